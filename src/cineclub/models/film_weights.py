"""Weights from film to film, dense or sparse: what a linear model answers a history with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.filtering import Extent
from cineclub.domain.recommender import History, Reading
from cineclub.models.stored import stored

MOST_DENSE_MOVIES = 10_000
"""With more films than this a table of all pairs is not solved: the closed form would take minutes, then gigabytes."""

ROWS_AT_ONCE = 256
"""How many rows of weights are copied at once for a product: few enough to stay in the cache."""

N_CHOSEN_MOVIES = 200
"""How many films each film is foretold from beyond that."""


@dataclass(frozen=True, slots=True)
class Listened:
    """What a linear model takes from a history: some of its ratings, and how much each counts.

    Attributes:
        movie_indices: (n,) the films.
        amounts: (n,) what each film's weights are multiplied by.
    """

    movie_indices: NDArray[np.int32]
    amounts: NDArray[np.float32]

    @classmethod
    def to(cls, history: History, used: NDArray[np.bool_], values: NDArray[np.float32], half_life: float) -> "Listened":
        """Return the used ratings, a mask (n,), with their ``values`` (n,) faded by how many used ones are newer."""
        heard = History(history.movie_indices[used], history.ratings[used], history.rated_at[used])
        return cls(heard.movie_indices, values[used] * heard.recency_weights(half_life))


@dataclass(frozen=True, slots=True)
class DenseWeights:
    """A weight for every pair of films.

    Attributes:
        weights: (n_movies, n_movies) row: the film in the history, column: the scored film; zero on the diagonal.
        has_weights: (n_movies,) whether a film's row holds any weight: a film without moves no score.
    """

    weights: NDArray[np.float32]
    has_weights: NDArray[np.bool_]

    @classmethod
    def of(cls, weights: NDArray[np.float32]) -> "DenseWeights":
        """Return the weights of a table, shape (n_movies, n_movies), stored row by row: answers read whole rows."""
        return cls(np.ascontiguousarray(weights), np.asarray(weights.any(axis=1)))

    def scores(self, listened: Listened) -> NDArray[np.float32]:
        """Return the weights summed over what was listened to, shape (n_movies,)."""
        scores = np.zeros(len(self.has_weights), np.float32)
        for start in range(0, len(listened.amounts), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            scores += listened.amounts[rows] @ self.weights.take(listened.movie_indices[rows], axis=0)
        return scores

    def scores_of_many(self, people: Sequence[Listened]) -> NDArray[np.float32]:
        """Return what ``scores`` returns for each, shape (n_people, n_movies)."""
        from cineclub.models.kernels.film_scores import sums_of_rows

        return sums_of_rows(people, self.weights)

    def onto_many(self, movie_indices: NDArray[np.int32], onto: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the weight of each film, n of them, on each of m others, shape (m, n)."""
        weights: NDArray[np.float32] = self.weights[movie_indices[np.newaxis, :], onto[:, np.newaxis]]
        return weights

    def onto(self, movie_indices: NDArray[np.int32], movie_index: int) -> NDArray[np.float32]:
        """Return the weight of each film, shape (n,), on one film."""
        onto: NDArray[np.float32] = self.weights[movie_indices, movie_index]
        return onto

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the table."""
        return {"weights": self.weights, "has_weights": self.has_weights}


@dataclass(frozen=True, slots=True)
class SparseWeights:
    """Weights from the few films that say most about each film, in compressed rows.

    Attributes:
        starts: (n_movies + 1,) where the weights of each film in the history begin.
        targets: (n_weights,) the scored films, rising within a row.
        weights: (n_weights,) none is zero.
    """

    starts: NDArray[np.int64]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]

    @property
    def has_weights(self) -> NDArray[np.bool_]:
        """Say of each film, shape (n_movies,), whether it moves any score."""
        return np.diff(self.starts) > 0

    def scores(self, listened: Listened) -> NDArray[np.float32]:
        """Return the weights summed over what was listened to, shape (n_movies,)."""
        scores = np.zeros(len(self.starts) - 1, np.float32)
        for movie_index, amount in zip(listened.movie_indices, listened.amounts, strict=True):
            row = slice(self.starts[movie_index], self.starts[movie_index + 1])
            np.add.at(scores, self.targets[row], amount * self.weights[row])  # twice as fast as adding to scores[...]
        return scores

    def scores_of_many(self, people: Sequence[Listened]) -> NDArray[np.float32]:
        """Return what ``scores`` returns for each, shape (n_people, n_movies)."""
        from cineclub.models.kernels.film_scores import sums_of_sparse_rows

        return sums_of_sparse_rows(people, self.starts, self.targets, self.weights)

    def onto_many(self, movie_indices: NDArray[np.int32], onto: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the weight of each film, n of them, on each of m others, shape (m, n)."""
        rows = [self.onto(movie_indices, int(movie_index)) for movie_index in onto]
        return np.array(rows, np.float32).reshape(len(onto), len(movie_indices))

    def onto(self, movie_indices: NDArray[np.int32], movie_index: int) -> NDArray[np.float32]:
        """Return the weight of each film, shape (n,), on one film."""
        weights = np.zeros(len(movie_indices), np.float32)
        for nth, source in enumerate(movie_indices):
            row = slice(self.starts[source], self.starts[source + 1])
            place = row.start + np.searchsorted(self.targets[row], movie_index)
            if place < row.stop and self.targets[place] == movie_index:
                weights[nth] = self.weights[place]
        return weights

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the compressed rows."""
        return {"weight_starts": self.starts, "weight_targets": self.targets, "weights": self.weights}


FilmWeights = DenseWeights | SparseWeights


def reading_of(weights: FilmWeights, history: History, is_used: NDArray[np.bool_], listened: Listened) -> Reading:
    """Return what a linear model makes of a history.

    Args:
        weights: the model.
        history: the whole history.
        is_used: (n,) which of its ratings are listened to.
        listened: those.
    """

    def explain(movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        reasons = np.zeros((len(movie_indices), len(history)), np.float32)
        reasons[:, is_used] = listened.amounts * weights.onto_many(listened.movie_indices, movie_indices)
        return reasons

    return Reading(weights.scores(listened), is_used, explain)


def weights_of_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> FilmWeights:
    """Return the weights that ``arrays`` of either form describe.

    Raises:
        BrokenArtifact: an array is missing, does not fit the others, or names films that there are not.
    """
    if "weight_starts" not in arrays and "weight_targets" not in arrays:
        has_weights = stored(arrays, "has_weights", np.bool_, (None,))
        return DenseWeights(stored(arrays, "weights", np.float32, (len(has_weights), len(has_weights))), has_weights)
    weights = stored(arrays, "weights", np.float32, (None,))
    starts = stored(arrays, "weight_starts", np.int64, (None,))
    targets = stored(arrays, "weight_targets", np.int32, (len(weights),))
    is_covering = (
        len(starts) > 0 and starts[0] == 0 and starts[-1] == len(targets) and bool((np.diff(starts) >= 0).all())
    )
    if not is_covering or (len(targets) and not 0 <= targets.min() <= targets.max() < len(starts) - 1):
        message = "the model's weights name films that it does not hold: train again or roll back"
        raise BrokenArtifact(message)
    return SparseWeights(starts, targets, weights)


def needed_bytes_of_fit(extent: Extent) -> int:
    """Return about how much memory it takes to solve weights: the histories both ways, and what is solved.

    Dense, that is two tables in double precision and one in single; sparse, half a table of two bytes and the chosen
    films. Films of which no rating counts take no part, so up to twice the limit may be solved densely.
    """
    dense = 20 * min(extent.n_movies, MOST_DENSE_MOVIES) ** 2 + 4 * min(extent.n_movies, 2 * MOST_DENSE_MOVIES) ** 2
    sparse = extent.n_movies**2 + 60 * N_CHOSEN_MOVIES * extent.n_movies
    is_dense = extent.n_movies <= MOST_DENSE_MOVIES
    return 64 * extent.n_ratings + (dense if is_dense else max(dense, sparse))

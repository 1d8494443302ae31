"""Weights from movie to movie, dense or sparse: the parameters of a linear model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.ratings.filtering import Extent
from cineclub.models.stored import stored
from cineclub.models.weighted_history import WeightedHistory, sums_of_rows

MOST_DENSE_MOVIES = 10_000
"""With more movies the table of all pairs is not solved: the closed form would take minutes, then gigabytes."""

ROWS_AT_ONCE = 256
"""Rows of weights that are copied at once for a product: few enough to stay in the cache."""

N_CHOSEN_MOVIES = 200
"""The number of movies that each movie is predicted from with more movies than that."""


@dataclass(frozen=True, slots=True)
class DenseWeights:
    """A weight for every pair of movies.

    Attributes:
        weights: (n_movies, n_movies) row: the movie of the history, column: the scored movie; zero on the diagonal.
        has_weights: (n_movies,) whether a movie's row has a weight that is not zero.
    """

    weights: NDArray[np.float32]
    has_weights: NDArray[np.bool_]

    @classmethod
    def of(cls, weights: NDArray[np.float32]) -> "DenseWeights":
        """Return the weights of a table, shape (n_movies, n_movies), stored by row: predictions read whole rows."""
        return cls(np.ascontiguousarray(weights), np.asarray(weights.any(axis=1)))

    def scores(self, weighted: WeightedHistory) -> NDArray[np.float32]:
        """Return the weights summed over the weighted ratings, shape (n_movies,)."""
        scores = np.zeros(len(self.has_weights), np.float32)
        for start in range(0, len(weighted.amounts), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            scores += weighted.amounts[rows] @ self.weights.take(weighted.movie_indices[rows], axis=0)
        return scores

    def scores_of_many(self, users: Sequence[WeightedHistory]) -> NDArray[np.float32]:
        """Return the scores of each user, shape (n_users, n_movies)."""
        return sums_of_rows(users, self.weights)

    def weights_to_items(self, movie_indices: NDArray[np.int32], onto: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the weight from each of n movies to each of m others, shape (m, n)."""
        weights: NDArray[np.float32] = self.weights[movie_indices[np.newaxis, :], onto[:, np.newaxis]]
        return weights

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the table."""
        return {"weights": self.weights, "has_weights": self.has_weights}


@dataclass(frozen=True, slots=True)
class SparseWeights:
    """Weights from the few movies that predict each movie best, in compressed rows.

    Attributes:
        starts: (n_movies + 1,) the start of the weights of each movie of a history.
        targets: (n_weights,) the scored movies, rising within a row.
        weights: (n_weights,) none is zero.
    """

    starts: NDArray[np.int64]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]

    @property
    def has_weights(self) -> NDArray[np.bool_]:
        """Whether each movie, shape (n_movies,), has a weight."""
        return np.diff(self.starts) > 0

    def scores(self, weighted: WeightedHistory) -> NDArray[np.float32]:
        """Return the weights summed over the weighted ratings, shape (n_movies,)."""
        scores = np.zeros(len(self.starts) - 1, np.float32)
        for movie_index, amount in zip(weighted.movie_indices, weighted.amounts, strict=True):
            row = slice(self.starts[movie_index], self.starts[movie_index + 1])
            np.add.at(scores, self.targets[row], amount * self.weights[row])  # twice as fast as adding to scores[...]
        return scores

    def scores_of_many(self, users: Sequence[WeightedHistory]) -> NDArray[np.float32]:
        """Return the scores of each user, shape (n_users, n_movies)."""
        from scipy.sparse import csr_array

        n_movies = len(self.starts) - 1
        return sums_of_rows(users, csr_array((self.weights, self.targets, self.starts), shape=(n_movies, n_movies)))

    def weights_to_items(self, movie_indices: NDArray[np.int32], onto: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the weight from each of n movies to each of m others, shape (m, n)."""
        weights = np.zeros((len(onto), len(movie_indices)), np.float32)
        for nth, source in enumerate(movie_indices):
            row = slice(self.starts[source], self.starts[source + 1])
            places = row.start + np.searchsorted(self.targets[row], onto)
            is_target = np.append(self.targets[row], -1)[places - row.start] == onto
            weights[is_target, nth] = self.weights[places[is_target]]
        return weights

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the compressed rows."""
        return {"weight_starts": self.starts, "weight_targets": self.targets, "weights": self.weights}


MovieWeights = DenseWeights | SparseWeights


def weights_of_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> MovieWeights:
    """Return the dense or sparse weights of their arrays.

    Raises:
        BrokenArtifact: an array is missing, does not fit the others, or refers to a movie that does not exist.
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
    """Return the approximate memory of a solve: the histories both ways, and the tables.

    The dense solve takes two tables in double precision and one in single; the sparse one half a table of two bytes and
    the chosen movies. Movies without a rating that counts take no part, so up to twice the limit may be solved densely.
    """
    dense = 20 * min(extent.n_movies, MOST_DENSE_MOVIES) ** 2 + 4 * min(extent.n_movies, 2 * MOST_DENSE_MOVIES) ** 2
    sparse = extent.n_movies**2 + 60 * N_CHOSEN_MOVIES * extent.n_movies
    is_dense = extent.n_movies <= MOST_DENSE_MOVIES
    return 64 * extent.n_ratings + (dense if is_dense else max(dense, sparse))

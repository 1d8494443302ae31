"""Neighbours of movies: as a table for predicted stars, and inverted for lists."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact
from cineclub.models.stored import stored

MOVIES_AT_ONCE = 4096
"""Movies whose neighbours are looked up at once: few enough to stay in the cache."""

MOST_TARGETS = 2000
"""A movie is a neighbour of at most so many: a history of 200 likes is scored in a few milliseconds."""


@dataclass(frozen=True, slots=True)
class NeighbourTable:
    """A row of neighbours for each movie.

    Attributes:
        nearest: (n_movies, n_kept) positions of the nearest movies, rising, padded with the movie itself.
        similarities: (n_movies, n_kept) above 0, at most 1; 0 for the padding at the end.
    """

    nearest: NDArray[np.int32]
    similarities: NDArray[np.float32]

    @property
    def n_movies(self) -> int:
        """The number of films."""
        return len(self.nearest)

    def pulls(
        self,
        movie_indices: NDArray[np.int32],
        rated: NDArray[np.int32],
        weights: NDArray[np.float32],
        values: NDArray[np.float32],
        damping: np.float32,
    ) -> NDArray[np.float32]:
        """Return the mean value of each movie's rated neighbours, shape (m,), damped towards 0.

        Args:
            movie_indices: (m,) the movies.
            rated: (n,) the movies with values.
            weights: (n,) the weight of each value, multiplied with the similarity.
            values: (n,) the values to average.
            damping: the total weight at which the mean counts half.
        """
        of_all = np.zeros((2, self.n_movies), np.float32)
        of_all[:, rated] = weights * values, weights
        pulls = np.empty(len(movie_indices), np.float32)
        for start in range(0, len(movie_indices), MOVIES_AT_ONCE):
            movies = movie_indices[start : start + MOVIES_AT_ONCE]
            nearest, similarities = self.nearest[movies], self.similarities[movies]
            summed, weight = (np.einsum("ij,ij->i", similarities, of_movies[nearest]) for of_movies in of_all)
            pulls[start : start + MOVIES_AT_ONCE] = summed / (weight + damping)
        return pulls

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return both arrays by name."""
        return {"nearest": self.nearest, "nearest_similarities": self.similarities}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], n_movies: int) -> Self:
        """Return the table of its arrays.

        Raises:
            BrokenArtifact: an array is missing, does not fit the others, or names films that there are not.
        """
        nearest = stored(arrays, "nearest", np.int32, (n_movies, None))
        table = cls(nearest, stored(arrays, "nearest_similarities", np.float32, nearest.shape))
        _check_movies(table.nearest, n_movies)
        return table


@dataclass(frozen=True, slots=True)
class NeighbourLists:
    """The inverted table: for each movie its targets, the movies that it is a neighbour of.

    A history is scored in as many steps as its movies have targets.

    Attributes:
        starts: (n_movies + 1,) the start of each movie's targets.
        targets: (n_pairs,) the movies that it is a neighbour of, rising.
        similarities: (n_pairs,) above 0, at most 1.
    """

    starts: NDArray[np.int64]
    targets: NDArray[np.int32]
    similarities: NDArray[np.float32]

    @classmethod
    def of(cls, nearest: NDArray[np.int32], similarities: NDArray[np.float32]) -> Self:
        """Return the inverse of a table of neighbours, both (n_movies, n_kept), without similarities of 0.

        A movie keeps the ``MOST_TARGETS`` most similar targets. It can be a neighbour of half of all movies, and users
        who like such movies must not wait longer.
        """
        from scipy.sparse import csr_array

        is_pair = similarities > 0
        row_starts = np.concatenate(([0], np.cumsum(np.count_nonzero(is_pair, axis=1))))
        shape = (len(nearest), len(nearest))
        turned = csr_array((similarities[is_pair], nearest[is_pair], row_starts), shape=shape).tocsc()
        starts, targets = turned.indptr.astype(np.int64), turned.indices.astype(np.int32)
        if not (np.diff(starts) > MOST_TARGETS).any():
            return cls(starts, targets, turned.data)
        is_kept = _is_among_best(turned.data, starts)
        kept_starts = np.concatenate(([0], np.cumsum(is_kept)))[starts].astype(np.int64)
        return cls(kept_starts, targets[is_kept], turned.data[is_kept])

    @property
    def n_movies(self) -> int:
        """The number of films."""
        return len(self.starts) - 1

    def has_any(self, movie_indices: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return whether each of some movies, shape (m,), is a neighbour of any movie."""
        return np.asarray(self.starts[movie_indices + 1] > self.starts[movie_indices])

    def votes(self, movie_indices: NDArray[np.int32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the votes of some movies, shape (m,), for all, shape (n_movies,): similarity times weight, summed."""
        pairs, owners = self._pairs_of(movie_indices)
        given = self.similarities[pairs] * weights[owners]
        return np.bincount(self.targets[pairs], given, self.n_movies).astype(np.float32)

    def votes_for(self, movie_index: int, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the similarity of each of some movies, shape (m,), to one movie; 0 if it is not its neighbour."""
        pairs, owners = self._pairs_of(movie_indices)
        to_movie = self.targets[pairs] == movie_index
        given = np.zeros(len(movie_indices), np.float32)
        given[owners[to_movie]] = self.similarities[pairs[to_movie]]
        return given

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays by name."""
        return {"list_starts": self.starts, "list_targets": self.targets, "list_similarities": self.similarities}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], n_movies: int) -> Self:
        """Return the lists of their arrays.

        Raises:
            BrokenArtifact: an array is missing, does not fit the others, or names films that there are not.
        """
        similarities = stored(arrays, "list_similarities", np.float32, (None,))
        starts = stored(arrays, "list_starts", np.int64, (n_movies + 1,))
        lists = cls(starts, stored(arrays, "list_targets", np.int32, (len(similarities),)), similarities)
        _check_movies(lists.targets, n_movies)
        if starts[0] != 0 or starts[-1] != len(similarities) or bool((np.diff(starts) < 0).any()):
            message = "list_starts does not cut the model's neighbours into films: train again or roll back"
            raise BrokenArtifact(message)
        return lists

    def _pairs_of(self, movie_indices: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of all pairs of some movies, shape (m,), and for each pair the position of its movie."""
        first = self.starts[movie_indices]
        n_targets = self.starts[movie_indices + 1] - first
        owners = np.repeat(np.arange(len(movie_indices)), n_targets)
        before = np.cumsum(n_targets) - n_targets
        return np.arange(len(owners)) + (first - before)[owners], owners


def _is_among_best(similarities: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the mask, shape (n_pairs,), of the ``MOST_TARGETS`` most similar pairs of each row."""
    is_kept = np.ones(len(similarities), np.bool_)
    for row in np.flatnonzero(np.diff(starts) > MOST_TARGETS):
        of_row = slice(starts[row], starts[row + 1])
        is_kept[of_row][np.argsort(-similarities[of_row], kind="stable")[MOST_TARGETS:]] = False
    return is_kept


def _check_movies(movies: NDArray[np.int32], n_movies: int) -> None:
    """Refuse neighbours outside the vocabulary."""
    if movies.size and not (movies.min() >= 0 and movies.max() < n_movies):
        message = "the model's neighbours name films that it does not hold: train again or roll back"
        raise BrokenArtifact(message)

"""Films near to films: as a table to look up what a film's neighbours were rated, and turned around to make lists."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact
from cineclub.models.stored import stored

FILMS_AT_ONCE = 4096
"""So many films' neighbours are looked up together: few enough to stay in the cache."""

MOST_TARGETS = 2000
"""So many films at most is one film a neighbour of: 200 liked films are answered in a few milliseconds."""


@dataclass(frozen=True, slots=True)
class NeighbourTable:
    """A row of neighbours for each film.

    Attributes:
        nearest: (n_movies, n_kept) positions of the nearest films, rising; the film itself where there are fewer.
        similarities: (n_movies, n_kept) above 0, at most 1; 0 where there are fewer, and those come last.
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
        """Return for each film asked for, shape (m,), the mean value of its rated neighbours, damped towards 0.

        Args:
            movie_indices: (m,) the films asked for.
            rated: (n,) the films with values.
            weights: (n,) how much each value counts, beside the similarity.
            values: (n,) what is averaged.
            damping: how much similarity it takes to believe the mean by half.
        """
        of_all = np.zeros((2, self.n_movies), np.float32)
        of_all[:, rated] = weights * values, weights
        pulls = np.empty(len(movie_indices), np.float32)
        for start in range(0, len(movie_indices), FILMS_AT_ONCE):
            films = movie_indices[start : start + FILMS_AT_ONCE]
            nearest, similarities = self.nearest[films], self.similarities[films]
            summed, weight = (np.einsum("ij,ij->i", similarities, of_one[nearest]) for of_one in of_all)
            pulls[start : start + FILMS_AT_ONCE] = summed / (weight + damping)
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
        _check_films(table.nearest, n_movies)
        return table


@dataclass(frozen=True, slots=True)
class NeighbourLists:
    """Neighbours turned around: not whom a film is near to, but which films it is a neighbour of.

    A history is then answered in as many steps as its films have such targets.

    Attributes:
        starts: (n_movies + 1,) where the targets of a film begin.
        targets: (n_pairs,) the films to which it is a neighbour, rising.
        similarities: (n_pairs,) above 0, at most 1.
    """

    starts: NDArray[np.int64]
    targets: NDArray[np.int32]
    similarities: NDArray[np.float32]

    @classmethod
    def of(cls, nearest: NDArray[np.int32], similarities: NDArray[np.float32]) -> Self:
        """Return a table of neighbours, both (n_movies, n_kept), turned around; similarities of 0 are left out.

        A film keeps at most ``MOST_TARGETS``, the most similar: what a film is a neighbour of can be half of all, and
        an answer must not take longer for who likes such films.
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
        """Say which films, shape (m,), are a neighbour of any film."""
        return np.asarray(self.starts[movie_indices + 1] > self.starts[movie_indices])

    def votes(self, movie_indices: NDArray[np.int32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what some films, shape (m,), give all films, shape (n_movies,): similarity times the film's weight."""
        pairs, owners = self._pairs_of(movie_indices)
        given = self.similarities[pairs] * weights[owners]
        return np.bincount(self.targets[pairs], given, self.n_movies).astype(np.float32)

    def votes_for(self, movie_index: int, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the similarity that each of some films, shape (m,), gives one film; 0 if it is no neighbour."""
        pairs, owners = self._pairs_of(movie_indices)
        to_movie = self.targets[pairs] == movie_index
        given = np.zeros(len(movie_indices), np.float32)
        given[owners[to_movie]] = self.similarities[pairs[to_movie]]
        return given

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return everything by name."""
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
        _check_films(lists.targets, n_movies)
        if starts[0] != 0 or starts[-1] != len(similarities) or bool((np.diff(starts) < 0).any()):
            message = "list_starts does not cut the model's neighbours into films: train again or roll back"
            raise BrokenArtifact(message)
        return lists

    def _pairs_of(self, movie_indices: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of all pairs of some films, shape (m,), and for each which of the films it is of."""
        first = self.starts[movie_indices]
        n_targets = self.starts[movie_indices + 1] - first
        owners = np.repeat(np.arange(len(movie_indices)), n_targets)
        before = np.cumsum(n_targets) - n_targets
        return np.arange(len(owners)) + (first - before)[owners], owners


def _is_among_best(similarities: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which pairs are among the ``MOST_TARGETS`` most similar of their row, shape (n_pairs,)."""
    is_kept = np.ones(len(similarities), np.bool_)
    for row in np.flatnonzero(np.diff(starts) > MOST_TARGETS):
        of_row = slice(starts[row], starts[row + 1])
        is_kept[of_row][np.argsort(-similarities[of_row], kind="stable")[MOST_TARGETS:]] = False
    return is_kept


def _check_films(films: NDArray[np.int32], n_movies: int) -> None:
    """Refuse neighbours that are not there."""
    if films.size and not (films.min() >= 0 and films.max() < n_movies):
        message = "the model's neighbours name films that it does not hold: train again or roll back"
        raise BrokenArtifact(message)

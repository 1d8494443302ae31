"""The user-by-movie matrix that models are fitted on, in compressed rows."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.log import RatingLog, RatingScale


@dataclass(frozen=True, slots=True)
class MovieColumns:
    """The same ratings as compressed sparse columns, one for each movie, users rising within a column.

    Attributes:
        starts: (n_movies + 1,) the start of each movie's ratings.
        user_indices: (n_ratings,) row of each rating.
        rows: (n_ratings,) the position of each rating in the arrays of the matrix.
    """

    starts: NDArray[np.int64]
    user_indices: NDArray[np.int32]
    rows: NDArray[np.int32]


@dataclass(frozen=True)
class RatingMatrix:
    """Ratings as compressed sparse rows, one for each user, in canonical order within a row.

    Derived arrays are computed once and shared by all models that are fitted on the matrix.

    Attributes:
        user_ids: (n_users,) rising; row ``user_index`` belongs to ``user_ids[user_index]``.
        movie_ids: (n_movies,) rising; column ``movie_index`` is the movie ``movie_ids[movie_index]``.
        row_starts: (n_users + 1,) the start of each user's ratings.
        movie_indices: (n_ratings,) column of each rating.
        ratings: (n_ratings,) on ``scale``.
        rated_at: (n_ratings,) microseconds since 1970-01-01 UTC.
        scale: the scale of the ratings.
        unfiltered: the ratings before users and movies with too few of them were left out; None if nobody filtered.
    """

    user_ids: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    row_starts: NDArray[np.int64]
    movie_indices: NDArray[np.int32]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]
    scale: RatingScale
    unfiltered: RatingLog | None = None

    @classmethod
    def from_log(cls, log: RatingLog) -> "RatingMatrix":
        """Return the matrix of a log, with its users and movies.

        Raises:
            InvalidInput: a user rated a movie twice.
        """
        user_ids, counts = np.unique(log.user_ids, return_counts=True)
        movie_ids, movie_indices = np.unique(log.movie_ids, return_inverse=True)
        row_starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        matrix = cls(
            user_ids, movie_ids, row_starts, movie_indices.astype(np.int32), log.ratings, log.rated_at, log.scale
        )
        matrix._refuse_duplicates()
        return matrix

    @classmethod
    def of_catalogue(cls, log: RatingLog) -> "RatingMatrix":
        """Return the matrix of a log with a column for every movie of its catalogue, also for those without ratings."""
        matrix = cls.from_log(log)
        if log.catalogue is None:
            return matrix
        movie_ids = np.union1d(matrix.movie_ids, log.catalogue)
        columns = np.searchsorted(movie_ids, matrix.movie_ids).astype(np.int32)
        return replace(matrix, movie_ids=movie_ids, movie_indices=columns[matrix.movie_indices])

    @property
    def of_all(self) -> "RatingMatrix":
        """The matrix of all ratings and the whole catalogue; itself if nobody filtered."""
        return self if self.unfiltered is None else self._of_unfiltered

    @cached_property
    def _of_unfiltered(self) -> "RatingMatrix":
        """The matrix of the ratings before the filter; it shares their arrays, and adds about 8 bytes a rating."""
        return RatingMatrix.of_catalogue(cast("RatingLog", self.unfiltered))

    def of_users(self, is_kept: NDArray[np.bool_], unfiltered: RatingLog | None = None) -> "RatingMatrix":
        """Return the matrix of the users of a mask, shape (n_users,), and of the movies that they rated.

        ``unfiltered`` has these ratings before the filter.
        """
        rows = np.repeat(is_kept, np.diff(self.row_starts))
        movies, movie_indices = np.unique(self.movie_indices[rows], return_inverse=True)
        row_starts = np.concatenate(([0], np.cumsum(np.diff(self.row_starts)[is_kept]))).astype(np.int64)
        return RatingMatrix(
            self.user_ids[is_kept],
            self.movie_ids[movies],
            row_starts,
            movie_indices.astype(np.int32),
            self.ratings[rows],
            self.rated_at[rows],
            self.scale,
            unfiltered,
        )

    def _refuse_duplicates(self) -> None:
        """Refuse a second rating of the same movie by the same user, which would count twice."""
        pairs = np.repeat(np.arange(self.n_users), np.diff(self.row_starts))
        pairs *= self.n_movies
        pairs += self.movie_indices
        pairs.sort()
        if (again := np.flatnonzero(pairs[1:] == pairs[:-1])).size:
            user_index, movie_index = divmod(int(pairs[again[0]]), self.n_movies)
            message = (
                f"user {self.user_ids[user_index]} rated film {self.movie_ids[movie_index]} more than once: keep the "
                "newest rating of each user and film"
            )
            raise InvalidInput(message)

    @property
    def n_users(self) -> int:
        """The number of rows."""
        return len(self.user_ids)

    @property
    def n_movies(self) -> int:
        """The number of columns."""
        return len(self.movie_ids)

    @property
    def n_ratings(self) -> int:
        """The number of ratings."""
        return len(self.ratings)

    @property
    def extent(self) -> Extent:
        """The size of the matrix."""
        return Extent(self.n_users, self.n_movies, self.n_ratings)

    @cached_property
    def user_indices(self) -> NDArray[np.int32]:
        """The row of each rating, shape (n_ratings,)."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.row_starts))

    @cached_property
    def columns(self) -> MovieColumns:
        """The ratings by movie."""
        rows = np.argsort(self.movie_indices, kind="stable").astype(np.int32)
        counts = np.bincount(self.movie_indices, minlength=self.n_movies)
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return MovieColumns(starts, self.user_indices[rows], rows)

"""The user-by-film matrix that models learn from, in compressed rows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.filtering import Extent
from cineclub.domain.ratings import RatingLog, RatingScale


@dataclass(frozen=True, slots=True)
class MovieColumns:
    """The same ratings as compressed sparse columns, a column a film, users rising within the column.

    Attributes:
        starts: (n_movies + 1,) where each film's ratings begin.
        user_indices: (n_ratings,) row of each rating.
        rows: (n_ratings,) where each rating stands among those of the matrix.
    """

    starts: NDArray[np.int64]
    user_indices: NDArray[np.int32]
    rows: NDArray[np.int32]


@dataclass(frozen=True)
class RatingMatrix:
    """Ratings as compressed sparse rows, a row a user, in canonical order within the row.

    What is derived from them is made once and shared by every model that is fitted on the matrix.

    Attributes:
        user_ids: (n_users,) rising; row ``user_index`` belongs to ``user_ids[user_index]``.
        movie_ids: (n_movies,) rising; column ``movie_index`` is the film ``movie_ids[movie_index]``.
        row_starts: (n_users + 1,) where each user's ratings begin.
        movie_indices: (n_ratings,) column of each rating.
        ratings: (n_ratings,) on ``scale``.
        rated_at: (n_ratings,) microseconds since 1970-01-01 UTC.
        scale: what the ratings may be.
    """

    user_ids: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    row_starts: NDArray[np.int64]
    movie_indices: NDArray[np.int32]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]
    scale: RatingScale

    @classmethod
    def from_log(cls, log: RatingLog) -> "RatingMatrix":
        """Return the matrix of a log; its vocabulary is the users and films that the log names.

        Raises:
            InvalidInput: somebody rated a film twice.
        """
        user_ids, counts = np.unique(log.user_ids, return_counts=True)
        movie_ids, movie_indices = np.unique(log.movie_ids, return_inverse=True)
        row_starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        matrix = cls(
            user_ids, movie_ids, row_starts, movie_indices.astype(np.int32), log.ratings, log.rated_at, log.scale
        )
        matrix._refuse_duplicates()
        return matrix

    def of_users(self, is_kept: NDArray[np.bool_]) -> "RatingMatrix":
        """Return the matrix of the users of a mask, shape (n_users,), and of the films that they rated."""
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
        )

    def _refuse_duplicates(self) -> None:
        """Refuse a second rating of the same film by the same user: it would count twice."""
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
        """How much the matrix holds."""
        return Extent(self.n_users, self.n_movies, self.n_ratings)

    @cached_property
    def user_indices(self) -> NDArray[np.int32]:
        """The row of each rating, shape (n_ratings,)."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.row_starts))

    @cached_property
    def columns(self) -> MovieColumns:
        """The ratings film by film."""
        rows = np.argsort(self.movie_indices, kind="stable").astype(np.int32)
        counts = np.bincount(self.movie_indices, minlength=self.n_movies)
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return MovieColumns(starts, self.user_indices[rows], rows)

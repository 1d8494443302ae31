"""The user-by-film matrix that models learn from, in compressed rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings import RatingLog, RatingScale


@dataclass(frozen=True, slots=True)
class RatingMatrix:
    """Ratings as compressed sparse rows, a row a user, in canonical order within the row.

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
        """Return the matrix of a log; its vocabulary is the users and films that the log names."""
        user_ids, counts = np.unique(log.user_ids, return_counts=True)
        movie_ids, movie_indices = np.unique(log.movie_ids, return_inverse=True)
        row_starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return cls(
            user_ids, movie_ids, row_starts, movie_indices.astype(np.int32), log.ratings, log.rated_at, log.scale
        )

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
    def user_indices(self) -> NDArray[np.int32]:
        """The row of each rating, shape (n_ratings,)."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.row_starts))

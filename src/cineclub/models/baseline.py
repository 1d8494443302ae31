"""Rating baselines: the global mean, and offsets of movies and users."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History
from cineclub.models.stored import one_value, stored

N_PASSES = 10


@dataclass(frozen=True, slots=True)
class Baseline:
    """Damped means: the offset of a movie or a user with few ratings stays close to zero.

    Attributes:
        global_mean: (1,) mean of all ratings.
        movie_offsets: (n_movies,) the mean rating of a movie above the global mean, users' offsets removed.
        user_damping: (1,) pseudo-ratings without offset for every user.
        scale_ends: (2,) lowest and highest rating.
    """

    global_mean: NDArray[np.float32]
    movie_offsets: NDArray[np.float32]
    user_damping: NDArray[np.float32]
    scale_ends: NDArray[np.float32]

    @classmethod
    def fit(cls, ratings: RatingMatrix, movie_damping: float, user_damping: float) -> Self:
        """Return the offsets after a few passes that alternate between movies and users (Koren 2010)."""
        users = ratings.user_indices
        mean = float(np.mean(ratings.ratings, dtype=np.float64)) if ratings.n_ratings else ratings.scale.lowest
        above = ratings.ratings.astype(np.float64) - mean
        of_movies, of_users = np.zeros(ratings.n_movies), np.zeros(ratings.n_users)
        for _ in range(N_PASSES):
            of_movies = _damped_means(ratings.movie_indices, above - of_users[users], ratings.n_movies, movie_damping)
            rest = above - of_movies[ratings.movie_indices]
            of_users = _damped_means(users, rest, ratings.n_users, user_damping)
        ends = np.array([ratings.scale.lowest, ratings.scale.highest], np.float32)
        return cls(one_value(mean), of_movies.astype(np.float32), one_value(user_damping), ends)

    def movie_means(self, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each movie by an average user, shape (m,)."""
        return self.global_mean + self.movie_offsets[movie_indices]

    def user_shares(self, history: History) -> NDArray[np.float32]:
        """Return the contribution of each rating of a history, shape (n,), to the user's offset."""
        above = history.ratings - self.movie_means(history.movie_indices)
        shares: NDArray[np.float32] = above / np.maximum(self.user_damping + np.float32(len(history)), 1)
        return shares

    def user_offset(self, history: History) -> np.float32:
        """Return the offset of a user; zero without a history."""
        return np.float32(self.user_shares(history).sum())

    def expected(self, history: History, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each movie, shape (m,), not clipped."""
        return self.movie_means(movie_indices) + self.user_offset(history)

    def residuals(self, history: History) -> NDArray[np.float32]:
        """Return each rating of a history minus the expected one, shape (n,)."""
        return history.ratings - self.expected(history, history.movie_indices)

    def all_residuals(self, ratings: RatingMatrix) -> NDArray[np.float32]:
        """Return each rating of a matrix minus the expected one, shape (n_ratings,)."""
        above = ratings.ratings - self.movie_means(ratings.movie_indices)
        counts = np.diff(ratings.row_starts)
        sums = np.bincount(ratings.user_indices, above, ratings.n_users)
        offsets = (sums / np.maximum(counts + self.user_damping, 1)).astype(np.float32)
        return np.asarray(above - offsets[ratings.user_indices], np.float32)

    def on_scale(self, ratings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ratings, shape (m,), clipped to the scale."""
        return np.clip(ratings, self.scale_ends[0], self.scale_ends[1])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays by name."""
        return {
            "global_mean": self.global_mean,
            "movie_offsets": self.movie_offsets,
            "user_damping": self.user_damping,
            "scale_ends": self.scale_ends,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the baseline of its arrays."""
        return cls(
            global_mean=stored(arrays, "global_mean", np.float32, (1,)),
            movie_offsets=stored(arrays, "movie_offsets", np.float32, (None,)),
            user_damping=stored(arrays, "user_damping", np.float32, (1,)),
            scale_ends=stored(arrays, "scale_ends", np.float32, (2,)),
        )


def _damped_means(
    groups: NDArray[np.int32], values: NDArray[np.float64], n_groups: int, damping: float
) -> NDArray[np.float64]:
    """Return the mean of each group's values, shape (n_groups,), damped by pseudo-values of zero."""
    counts = np.bincount(groups, minlength=n_groups)
    sums = np.bincount(groups, values, minlength=n_groups)
    return np.asarray(sums / np.maximum(counts + damping, 1), np.float64)

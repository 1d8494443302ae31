"""Small random matrices, and histories by hand."""

import numpy as np

from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History


def drawn_matrix(seed: int = 0, n_users: int = 40, n_movies: int = 15, share: float = 0.4) -> RatingMatrix:
    """Return a matrix in which each user rated a share of the films, from half a star to five."""
    rng = np.random.default_rng(seed)
    users, movies = np.nonzero(rng.random((n_users, n_movies)) < share)
    ratings = (rng.integers(1, 11, len(users)) / 2).astype(np.float32)
    return RatingMatrix.from_log(
        RatingLog.from_columns(users, movies, ratings, np.arange(len(users)), RatingScale(0.5, 5))
    )


def dense_of(matrix: RatingMatrix, values: np.ndarray) -> np.ndarray:
    """Return values by rating as a user-by-film table, zero without a rating."""
    table = np.zeros((matrix.n_users, matrix.n_movies))
    table[matrix.user_indices, matrix.movie_indices] = values
    return table


def history_of(stars: dict[int, float]) -> History:
    """Return a history of stars by film position."""
    return History(
        np.array(list(stars), np.int32),
        np.array(list(stars.values()), np.float32),
        np.arange(len(stars), dtype=np.int64),
    )


def ignore(_fraction: float) -> None:
    """Ignore progress."""

"""Random small matrices, and histories made by hand."""

import numpy as np

from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import RatingLog, RatingScale
from cineclub.domain.recommender import History


def drawn_matrix(seed: int = 0, n_users: int = 40, n_movies: int = 15, share: float = 0.4) -> RatingMatrix:
    """A matrix in which each user rated a share of the films, from half a star to five."""
    rng = np.random.default_rng(seed)
    users, movies = np.nonzero(rng.random((n_users, n_movies)) < share)
    ratings = (rng.integers(1, 11, len(users)) / 2).astype(np.float32)
    return RatingMatrix.from_log(
        RatingLog.from_columns(users, movies, ratings, np.arange(len(users)), RatingScale(0.5, 5))
    )


def dense_of(matrix: RatingMatrix, values: np.ndarray) -> np.ndarray:
    """A value per rating as a table of users by films, zero where there is no rating."""
    table = np.zeros((matrix.n_users, matrix.n_movies))
    table[matrix.user_indices, matrix.movie_indices] = values
    return table


def history_of(stars: dict[int, float]) -> History:
    """The history of somebody who gave these stars to films of these positions."""
    return History(
        np.array(list(stars), np.int32),
        np.array(list(stars.values()), np.float32),
        np.arange(len(stars), dtype=np.int64),
    )


def ignore(_fraction: float) -> None:
    """Hear no progress."""

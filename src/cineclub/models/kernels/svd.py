"""Biased matrix factorisation by stochastic gradient descent, one thread, compiled."""

from typing import NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recommender import Progress

INITIAL_DEVIATION = 0.1


class Factors(NamedTuple):
    """What a descent learned: rating = offset of the user + offset of the film + product of their vectors.

    A named tuple because the compiled kernel takes those, and no dataclasses.

    Attributes:
        user_offsets: (n_users,).
        movie_offsets: (n_movies,).
        user_factors: (n_users, n_factors).
        movie_factors: (n_movies, n_factors).
    """

    user_offsets: NDArray[np.float32]
    movie_offsets: NDArray[np.float32]
    user_factors: NDArray[np.float32]
    movie_factors: NDArray[np.float32]

    @classmethod
    def drawn(cls, n_users: int, n_movies: int, n_factors: int, rng: np.random.Generator) -> Self:
        """Return offsets of zero and small normal vectors to start from."""
        return cls(
            np.zeros(n_users, np.float32),
            np.zeros(n_movies, np.float32),
            rng.standard_normal((n_users, n_factors), np.float32) * np.float32(INITIAL_DEVIATION),
            rng.standard_normal((n_movies, n_factors), np.float32) * np.float32(INITIAL_DEVIATION),
        )

    @property
    def is_finite(self) -> bool:
        """Whether the descent did not run away."""
        return all(bool(np.isfinite(learned).all()) for learned in self)


def descend(
    ratings: RatingMatrix,
    centred: NDArray[np.float32],
    factors: Factors,
    n_epochs: int,
    learning_rate: float,
    regularization: float,
    rng: np.random.Generator,
    progress: Progress,
) -> None:
    """Change ``factors`` so that they reproduce ``centred`` ratings, shape (n_ratings,).

    Each epoch visits the users in another order and each user's ratings in canonical order, so that a user's vector
    stays in the cache.

    Raises:
        InvalidInput: the descent ran away.
    """
    for epoch in range(n_epochs):
        order = rng.permutation(ratings.n_users)
        rows = (ratings.row_starts, ratings.movie_indices, centred)
        _run_epoch(order, rows, factors, np.float32(learning_rate), np.float32(regularization))
        if not factors.is_finite:
            message = f"learning_rate {learning_rate} is too large for these ratings: choose a smaller one"
            raise InvalidInput(message)
        progress((epoch + 1) / n_epochs)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp", "nsz"})
def _run_epoch(
    order: NDArray[np.int64],
    rows: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
    factors: Factors,
    learning_rate: np.float32,
    regularization: np.float32,
) -> None:
    """Take one step of descent for every rating."""
    row_starts, movie_indices, centred = rows
    user_offsets, movie_offsets, user_factors, movie_factors = factors
    n_factors = user_factors.shape[1]
    for user in order:
        of_user = user_factors[user]
        for row in range(row_starts[user], row_starts[user + 1]):
            movie = movie_indices[row]
            of_movie = movie_factors[movie]
            product = np.float32(0)
            for factor in range(n_factors):
                product += of_user[factor] * of_movie[factor]
            error = centred[row] - user_offsets[user] - movie_offsets[movie] - product
            user_offsets[user] += learning_rate * (error - regularization * user_offsets[user])
            movie_offsets[movie] += learning_rate * (error - regularization * movie_offsets[movie])
            for factor in range(n_factors):
                was = of_user[factor]
                of_user[factor] += learning_rate * (error * of_movie[factor] - regularization * was)
                of_movie[factor] += learning_rate * (error * was - regularization * of_movie[factor])

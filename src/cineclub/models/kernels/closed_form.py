"""Linear movie-to-movie models in closed form: ridge regressions in which no movie may predict itself.

With G the Gram matrix of movies, S the counts of movies that follow others, and P = (G + diag(penalty))^-1, the best
weights that predict movie j from all others are column j of B = P S - P diag((P S)_jj / P_jj). If S is G, that is
EASE's -P_ij / P_jj (Steck 2019), which needs no product.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.recommend.recommender import Progress
from cineclub.models.kernels import lapack

BLOCK_MOVIES = 1024

MOST_FOR_SINGLE = 10_000.0
"""Up to this condition number single precision is exact to three digits of a weight, in half the time and memory."""


def penalties(own: NDArray[np.float32], regularization: float, degree_exponent: float = 0.0) -> NDArray[np.float32]:
    """Return the ridge penalty of each movie's weights, shape (n_movies,), above zero.

    It is ``regularization`` times a power of the movie's diagonal, ``own`` (n_movies,), relative to the mean: with an
    exponent of 0 all penalties are equal; above 0 well-known movies have larger ones.
    """
    relative = own / max(float(own.mean(dtype=np.float64)), 1e-30) if len(own) else own
    return (regularization * np.maximum(relative, 1e-6) ** degree_exponent).astype(np.float32)


def precision_for(own: NDArray[np.float32], penalty: NDArray[np.float32]) -> type[np.floating]:
    """Return the precision to solve in: the trace, the sum of ``own``, bounds the condition from above."""
    is_well_conditioned = own.sum(dtype=np.float64) <= MOST_FOR_SINGLE * float(penalty.min(initial=np.inf))
    return np.float32 if is_well_conditioned else np.float64


def companion_weights(
    gram: NDArray[np.floating], penalty: NDArray[np.float32], progress: Progress
) -> NDArray[np.float32]:
    """Return the weights that predict movies from their companions, shape (n_movies, n_movies); destroys ``gram``."""
    inverse = _inverse_of(_factor_of(gram, penalty), progress)
    n_movies = len(inverse)
    weights = np.zeros((n_movies, n_movies), np.float32)
    diagonal = inverse.diagonal().copy()
    for block, below in _blocks_of_lower(inverse):
        weights[block.start :, block] -= below / diagonal[block]
        weights[block, block.start :] -= below.T / diagonal[block.start :]
    return weights


def successor_weights(
    gram: NDArray[np.floating], successors: NDArray[np.floating], penalty: NDArray[np.float32], progress: Progress
) -> NDArray[np.float32]:
    """Return the weights that predict the next movies, shape (n_movies, n_movies).

    Args:
        gram: (n_movies, n_movies), destroyed.
        successors: (n_movies, n_movies) [earlier, later] in column-major order, destroyed.
        penalty: (n_movies,) of each movie as a predictor.
        progress: receives the finished fraction.
    """
    factor = _factor_of(gram, penalty)
    progress(0.2)
    solution = np.asfortranarray(successors, factor.dtype)
    lapack.solve(factor, solution)
    progress(0.7)
    weights: NDArray[np.float32] = solution.astype(np.float32)
    del solution
    inverse = _inverse_of(factor, progress)
    excess = weights.diagonal() / inverse.diagonal()
    for block, below in _blocks_of_lower(inverse):
        weights[block.start :, block] -= below * excess[block]
        weights[block, block.start :] -= below.T * excess[block.start :]
    np.fill_diagonal(weights, 0)
    return weights


def spread_out(weights: NDArray[np.float32], movies: NDArray[np.int64], n_movies: int) -> NDArray[np.float32]:
    """Return weights between some ``movies`` as weights between all, shape (n_movies, n_movies), zero elsewhere."""
    if len(movies) == n_movies:
        return weights
    every = np.zeros((n_movies, n_movies), np.float32)
    for row, movie in enumerate(movies):
        every[movie, movies] = weights[row]
    return every


def _factor_of(gram: NDArray[np.floating], penalty: NDArray[np.float32]) -> NDArray[np.floating]:
    """Return the lower Cholesky factor of the regularized Gram matrix, in the memory of ``gram``."""
    gram[np.diag_indices_from(gram)] += penalty
    # a symmetric matrix is its own transpose: LAPACK takes the column-major one of the two without a copy
    factor = np.asfortranarray(gram.T if gram.flags.c_contiguous else gram)
    if lapack.factorise(factor):
        smallest = float(penalty.min())
        message = f"a regularization of {smallest:g} for some film is too small for these ratings: choose a larger one"
        raise InvalidInput(message)
    return factor


def _inverse_of(factor: NDArray[np.floating], progress: Progress) -> NDArray[np.floating]:
    """Return the inverse, with only its lower triangle, in the memory of its factor."""
    lapack.invert(factor)
    progress(0.9)
    return factor


def _blocks_of_lower(inverse: NDArray[np.floating]) -> Iterator[tuple[slice, NDArray[np.floating]]]:
    """Yield blocks of columns, each with its part below the diagonal and zeros above."""
    for start in range(0, len(inverse), BLOCK_MOVIES):
        block = slice(start, min(start + BLOCK_MOVIES, len(inverse)))
        yield block, np.tril(inverse[start:, block], -1)

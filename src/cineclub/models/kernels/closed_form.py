"""Linear film-to-film models in closed form: ridge regressions in which no film may foretell itself.

With G the Gram matrix of films, S how often the later films follow the earlier ones, and P = (G + diag(penalty))^-1,
the weights onto film j that foretell it best from all others are column j of B = P S - P diag((P S)_jj / P_jj). Where
S is G that is EASE's -P_ij / P_jj (Steck 2019), which needs no product.
"""

from collections.abc import Iterator
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.recommender import Progress
from cineclub.models.kernels import lapack

BLOCK_MOVIES = 1024

MOST_FOR_SINGLE = 10_000.0
"""Up to this condition number single precision keeps three digits of a weight, in half the time and memory."""


def penalties(own: NDArray[np.float32], regularization: float, degree_exponent: float = 0.0) -> NDArray[np.float32]:
    """Return how firmly each film's weights are held near zero, shape (n_movies,), above zero.

    That is ``regularization`` times how much the film counts, ``own`` (n_movies,), relative to the mean film and to an
    exponent: at 0 all films are held alike; above 0 films that many people know are held more firmly.
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
    """Return the weights that foretell films from their companions, shape (n_movies, n_movies); destroys ``gram``."""
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
    """Return the weights that foretell what comes next, shape (n_movies, n_movies).

    Args:
        gram: (n_movies, n_movies), destroyed.
        successors: (n_movies, n_movies) [earlier, later] in columns' order, destroyed.
        penalty: (n_movies,) of each film as one that foretells.
        progress: told the finished fraction.
    """
    factor = _factor_of(gram, penalty)
    progress(0.2)
    foretold = np.asfortranarray(successors, factor.dtype)
    lapack.solve(factor, foretold)
    progress(0.7)
    weights: NDArray[np.float32] = foretold.astype(np.float32)
    del foretold
    inverse = _inverse_of(factor, progress)
    excess = weights.diagonal() / inverse.diagonal()
    for block, below in _blocks_of_lower(inverse):
        weights[block.start :, block] -= below * excess[block]
        weights[block, block.start :] -= below.T * excess[block.start :]
    np.fill_diagonal(weights, 0)
    return weights


def spread_out(weights: NDArray[np.float32], movies: NDArray[np.int64], n_movies: int) -> NDArray[np.float32]:
    """Return weights between some films as weights between all, shape (n_movies, n_movies), zero elsewhere."""
    if len(movies) == n_movies:
        return weights
    every = np.zeros((n_movies, n_movies), np.float32)
    for row, movie in enumerate(movies):
        every[movie, movies] = weights[row]
    return every


def _factor_of(gram: NDArray[np.floating], penalty: NDArray[np.float32]) -> NDArray[np.floating]:
    """Return the lower Cholesky factor of the regularized Gram matrix, in the memory of ``gram``."""
    gram[np.diag_indices_from(gram)] += penalty
    # a symmetric matrix is its own transpose: of the two, LAPACK takes the one in columns' order without a copy
    factor = np.asfortranarray(gram.T if gram.flags.c_contiguous else gram)
    if lapack.factorise(factor):
        _refuse(float(penalty.min()))
    return factor


def _inverse_of(factor: NDArray[np.floating], progress: Progress) -> NDArray[np.floating]:
    """Return the inverse, of which the lower triangle alone is filled, in the memory of its factor."""
    lapack.invert(factor)
    progress(0.9)
    return factor


def _blocks_of_lower(inverse: NDArray[np.floating]) -> Iterator[tuple[slice, NDArray[np.floating]]]:
    """Yield block after block of columns with the part of them that lies below the diagonal, zeros above it."""
    for start in range(0, len(inverse), BLOCK_MOVIES):
        block = slice(start, min(start + BLOCK_MOVIES, len(inverse)))
        yield block, np.tril(inverse[start:, block], -1)


def _refuse(least_penalty: float) -> NoReturn:
    """Say that the equations have no sound solution."""
    message = f"a regularization of {least_penalty:g} for some film is too small for these ratings: choose a larger one"
    raise InvalidInput(message)

"""The closed form of EASE, in place: one dense matrix of doubles, then the weights."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_array

from cineclub.domain.errors import InvalidInput
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recommender import Progress

BLOCK_MOVIES = 1024


def gram_of_likes(ratings: RatingMatrix, liked_from: np.float32) -> NDArray[np.float64]:
    """Return by how many people each two films are both liked, shape (n_movies, n_movies), in columns' order."""
    liked = ratings.ratings >= liked_from
    rows, columns = ratings.user_indices[liked], ratings.movie_indices[liked]
    likes = csr_array((np.ones(len(rows)), (rows, columns)), shape=(ratings.n_users, ratings.n_movies))
    gram: NDArray[np.float64] = np.asfortranarray((likes.T @ likes).toarray())
    return gram


def weights_of_gram(gram: NDArray[np.float64], regularization: float, progress: Progress) -> NDArray[np.float32]:
    """Return EASE's weights, shape (n_movies, n_movies); ``gram`` is destroyed.

    With P the inverse of the regularized Gram matrix, the weight of film i on film j is -P[i, j] / P[j, j].
    """
    gram[np.diag_indices_from(gram)] += regularization
    factor, failed = lapack.dpotrf(gram, lower=1, overwrite_a=1)
    progress(0.5)
    if failed:
        message = f"regularization {regularization} is too small for these ratings: choose a larger one"
        raise InvalidInput(message)
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    progress(0.9)
    return _weights_of_lower(inverse)


def _weights_of_lower(inverse: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the weights of an inverse of which only the lower triangle is filled, block by block."""
    n_movies = len(inverse)
    weights = np.zeros((n_movies, n_movies), np.float32)
    diagonal = inverse.diagonal().copy()
    for start in range(0, n_movies, BLOCK_MOVIES):
        block = slice(start, min(start + BLOCK_MOVIES, n_movies))
        below = np.tril(inverse[start:, block], -1)
        weights[start:, block] -= below / diagonal[block]
        weights[block, start:] -= below.T / diagonal[start:]
    return weights

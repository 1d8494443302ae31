"""The closed form of movie-to-movie models with too many movies for a dense table, solved for each movie alone.

Each movie is predicted from a few chosen movies only (after Ning & Karypis 2011, who choose them by similarity, and
Steck 2019, whose sparse approximation solves small dense systems): one small ridge regression for each. If all movies
are chosen, that is the dense solution. The Gram matrix is stored as a triangle of 16-bit square roots, whose rounding
is far below the noise of counts.
"""

from typing import NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

from cineclub.domain.recommend.recommender import Progress
from cineclub.models.kernels.movie_pairs import Closeness, Sequences, count_pairs_of, in_parts

LARGEST_CODE = 65_535


class Chosen(NamedTuple):
    """The chosen predictors of each movie, and the tables of their solve; filled by compiled code.

    Attributes:
        movies: (n_movies, n_chosen) rising, padded with -1.
        successors: (n_movies, n_chosen) the count of the movie as successor of each of them.
        triangle: (n_movies * (n_movies - 1) / 2,) companions of each movie with those before it, as codes.
        code_unit: the square root of the count of code 1.
        diagonal: (n_movies,) the regularized diagonal of the Gram matrix.
        penalty: (n_movies,) the part of the diagonal that is regularization.
    """

    movies: NDArray[np.int32]
    successors: NDArray[np.float32]
    triangle: NDArray[np.uint16]
    code_unit: np.float32
    diagonal: NDArray[np.float32]
    penalty: NDArray[np.float32]

    @classmethod
    def empty(cls, own: NDArray[np.float32], penalty: NDArray[np.float32], n_chosen: int) -> Self:
        """Return memory for the predictors of movies with the diagonal ``own``, shape (n_movies,)."""
        n_movies = len(own)
        shape = (n_movies, max(min(n_chosen, n_movies - 1), 1))
        return cls(
            np.full(shape, -1, np.int32),
            np.zeros(shape, np.float32),
            np.empty(n_movies * (n_movies - 1) // 2, np.uint16),
            np.float32(np.sqrt(own.max(initial=0) or 1.0) / LARGEST_CODE),
            own + penalty,
            penalty,
        )


class SparseTable(NamedTuple):
    """Weights in compressed rows.

    Attributes:
        starts: (n_rows + 1,) the start of the weights of each known movie.
        targets: (n_weights,) the predicted movies, rising within a row.
        weights: (n_weights,) none is zero.
    """

    starts: NDArray[np.int64]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]


def sparse_weights(
    sequences: Sequences, closeness: Closeness, penalty: NDArray[np.float32], n_chosen: int, progress: Progress
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the predictors of each movie, shape (n_movies, n_chosen), padded with -1, and their weights."""
    chosen = Chosen.empty(sequences.own, penalty, n_chosen)

    def choose(first: int, stop: int) -> None:
        _choose(sequences, closeness, (first, stop), chosen)

    in_parts(sequences, choose, lambda fraction: progress(0.6 * fraction))
    weights = np.zeros(chosen.movies.shape, np.float32)

    def solve(first: int, stop: int) -> None:
        _solve(chosen, (first, stop), weights)

    in_parts(sequences, solve, lambda fraction: progress(0.6 + 0.35 * fraction))
    return chosen.movies, weights


def by_known_movie(
    known: NDArray[np.int32], weights: NDArray[np.float32], movies: NDArray[np.int64], n_movies: int
) -> SparseTable:
    """Return the inverse table: for each of all movies, the movies that it predicts.

    Args:
        known: (n, n_chosen) the predictors of each of ``movies``, as positions in it, padded with -1.
        weights: (n, n_chosen) their weights.
        movies: (n,) rising, positions among all movies.
        n_movies: the number of all movies.
    """
    is_weight = (known >= 0) & (weights != 0)
    targets = np.repeat(movies.astype(np.int32), is_weight.sum(axis=1))
    sources = movies[known[is_weight]]
    order = np.argsort(sources, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(sources, minlength=n_movies)))).astype(np.int64)
    return SparseTable(starts, targets[order], weights[is_weight][order])


@numba.njit(cache=True, nogil=True)
def _choose(sequences: Sequences, closeness: Closeness, bounds: tuple[int, int], chosen: Chosen) -> None:
    """Fill the triangle's rows of consecutive movies and choose their predictors."""
    pairs = np.zeros((len(chosen.diagonal), 2), np.float32)
    for movie in range(bounds[0], bounds[1]):
        count_pairs_of(sequences, closeness, movie, pairs)
        start = movie * (movie - 1) // 2
        for other in range(movie):
            code = np.sqrt(pairs[other, 0]) / chosen.code_unit + np.float32(0.5)
            chosen.triangle[start + other] = np.uint16(min(code, np.float32(LARGEST_CODE)))
        _choose_strongest(pairs, chosen.diagonal, chosen.movies[movie], chosen.successors[movie])


@numba.njit(cache=True, nogil=True)
def _choose_strongest(
    pairs: NDArray[np.float32], diagonal: NDArray[np.float32], movies: NDArray[np.int32], amounts: NDArray[np.float32]
) -> None:
    """Write the strongest predictors of a movie, rising, and its counts as their successor, shape (n_chosen,) each.

    Args:
        pairs: (n_movies, 2) the counts of the movie as each one's companion and as its successor.
        diagonal: (n_movies,) the regularized diagonal: alone, a predictor explains its squared pairs / ``diagonal``.
        movies: receives the predictors; among equally strong ones the lower indices are chosen.
        amounts: receives the counts.
    """
    candidates = np.flatnonzero(pairs[:, 0] > 0)
    strengths = pairs[candidates, 1] / np.sqrt(diagonal[candidates])
    n_chosen, least = len(movies), np.float32(0)
    if len(candidates) > n_chosen:
        least = np.partition(strengths, len(candidates) - n_chosen)[len(candidates) - n_chosen]
    n_equal = n_chosen - np.sum(strengths > least)
    n_written = 0
    for nth, movie in enumerate(candidates):
        is_equal = strengths[nth] == least
        if strengths[nth] > least or (is_equal and n_equal > 0):
            n_equal -= is_equal
            movies[n_written], amounts[n_written] = movie, pairs[movie, 1]
            n_written += 1


@numba.njit(cache=True, nogil=True)
def _solve(chosen: Chosen, bounds: tuple[int, int], weights: NDArray[np.float32]) -> None:
    """Write the weights of consecutive movies' predictors by a Cholesky factorisation for each movie."""
    n_chosen = chosen.movies.shape[1]
    factor = np.zeros((n_chosen, n_chosen), np.float64)
    solution = np.zeros(n_chosen, np.float64)
    for movie in range(bounds[0], bounds[1]):
        known = chosen.movies[movie]
        n_known = np.sum(known >= 0)
        for row in range(n_known):
            start = np.int64(known[row]) * (known[row] - 1) // 2
            for column in range(row):
                root = chosen.triangle[start + known[column]] * chosen.code_unit
                factor[row, column] = root * root
            factor[row, row] = chosen.diagonal[known[row]]
            solution[row] = chosen.successors[movie, row]
        _factorise(factor, n_known, chosen.penalty, known)
        _solve_factored(factor, n_known, solution)
        weights[movie, :n_known] = solution[:n_known]


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _factorise(
    matrix: NDArray[np.float64], n_rows: int, penalty: NDArray[np.float32], known: NDArray[np.int32]
) -> None:
    """Replace the lower triangle of a matrix's first rows by its Cholesky factor.

    No pivot of an exact Gram matrix is below the penalty, so rounding must not cause one.
    """
    for row in range(n_rows):
        for column in range(row + 1):
            left = matrix[row, column]
            for inner in range(column):
                left -= matrix[row, inner] * matrix[column, inner]
            if column < row:
                matrix[row, column] = left / matrix[column, column]
            else:
                matrix[row, row] = np.sqrt(max(left, np.float64(penalty[known[row]])))


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _solve_factored(factor: NDArray[np.float64], n_rows: int, solution: NDArray[np.float64]) -> None:
    """Solve in place for a right-hand side, at least n_rows long, by a Cholesky factor."""
    for row in range(n_rows):
        left = solution[row]
        for inner in range(row):
            left -= factor[row, inner] * solution[inner]
        solution[row] = left / factor[row, row]
    for row in range(n_rows - 1, -1, -1):
        solution[row] /= factor[row, row]
        for inner in range(row):
            solution[inner] -= factor[row, inner] * solution[row]

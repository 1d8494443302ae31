"""Alternating least squares on implicit feedback, compiled, on all cores.

All users share one part of their equations, the sum over all movies that are not rated, and so do all movies. The
vectors are rotated so that this shared matrix is diagonal: then the cost of a step of conjugate gradients depends on a
user's own ratings alone, and the diagonal is a good preconditioner.
"""

from typing import NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import Progress
from cineclub.domain.threads import even_bounds, on_all_threads

N_PARTS = 64
"""The number of parts, of about equally many ratings, that users and movies are cut into."""

FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
SOLVED = np.float32(1e-20)
"""A vector with an error below this is not improved further: the next step would divide 0 by 0."""


class Observed(NamedTuple):
    """The rated pairs in compressed rows, a row for each user (columns are movies) or the other way round.

    Attributes:
        starts: (n_rows + 1,) the start of each row's entries.
        columns: (n_entries,).
        weights: (n_entries,) the weight of each, above 0.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def by_user(cls, ratings: RatingMatrix, weights: NDArray[np.float32]) -> Self:
        """Return the ratings of weight above 0, a row for each user; ``weights`` has shape (n_ratings,)."""
        return cls._of(ratings.row_starts, ratings.movie_indices, weights)

    @classmethod
    def by_movie(cls, ratings: RatingMatrix, weights: NDArray[np.float32]) -> Self:
        """Return the ratings of weight above 0, a row for each movie; ``weights`` has shape (n_ratings,)."""
        return cls._of(ratings.columns.starts, ratings.columns.user_indices, weights[ratings.columns.rows])

    @classmethod
    def _of(cls, starts: NDArray[np.int64], columns: NDArray[np.int32], weights: NDArray[np.float32]) -> Self:
        """Return compressed rows without their entries of weight 0."""
        counted = weights > 0
        before = np.concatenate(([0], np.cumsum(counted)))
        return cls(before[starts], columns[counted], weights[counted])

    @property
    def row_weights(self) -> NDArray[np.float32]:
        """The summed weight of each row, shape (n_rows,)."""
        before = np.concatenate(([0.0], np.cumsum(self.weights, dtype=np.float64)))
        return (before[self.starts[1:]] - before[self.starts[:-1]]).astype(np.float32)


class Penalty(NamedTuple):
    """The penalty of products without a rating, and the ridge penalty of vectors.

    Attributes:
        unobserved_weight: of every pair of a user and a movie.
        regularization: of a row of the typical frequency.
        exponent: the growth of the penalty with the frequency of a row: its weights and those of all its pairs.
        typical_frequency: the unobserved weight of a row of a square table with as many pairs.
    """

    unobserved_weight: float
    regularization: float
    exponent: float
    typical_frequency: float

    def of(self, row_weights: NDArray[np.float32], n_columns: int) -> NDArray[np.float32]:
        """Return the penalty of each row's vector, shape (n_rows,), which grows with the weight of its ratings."""
        frequency = row_weights + np.float32(self.unobserved_weight * n_columns)
        return np.float32(self.regularization) * (frequency / self.typical_frequency) ** np.float32(self.exponent)


def alternate(
    ratings: RatingMatrix,
    weights: NDArray[np.float32],
    movie_vectors: NDArray[np.float32],
    penalty: Penalty,
    n_epochs: int,
    n_steps: int,
    progress: Progress,
) -> NDArray[np.float32]:
    """Return the movies' vectors, shape (n_movies, n_factors), after ``n_epochs`` sweeps.

    A sweep solves all users given the movies, then all movies given the users.

    Args:
        ratings: the ratings.
        weights: (n_ratings,) the weight of each.
        movie_vectors: (n_movies, n_factors) the initial vectors.
        penalty: of the objective.
        n_epochs: the number of sweeps.
        n_steps: of conjugate gradients for each user and movie in a sweep.
        progress: receives the finished fraction after each sweep.
    """
    by_user, by_movie = Observed.by_user(ratings, weights), Observed.by_movie(ratings, weights)
    user_vectors = np.zeros((ratings.n_users, movie_vectors.shape[1]), np.float32)
    for epoch in range(n_epochs):
        user_vectors, movie_vectors = solve_side(by_user, user_vectors, movie_vectors, penalty, n_steps)
        movie_vectors, user_vectors = solve_side(by_movie, movie_vectors, user_vectors, penalty, n_steps)
        progress((epoch + 1) / n_epochs)
    return movie_vectors


def solve_side(
    observed: Observed, vectors: NDArray[np.float32], others: NDArray[np.float32], penalty: Penalty, n_steps: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the vectors of one side, a few steps closer to their solution, and the other side's, rotated alike.

    Args:
        observed: rows are the side that is solved.
        vectors: (n_rows, n_factors) the initial vectors.
        others: (n_columns, n_factors) held fixed.
        penalty: of the objective.
        n_steps: of conjugate gradients.
    """
    axes, squares = own_axes(others)
    vectors, others = vectors @ axes, others @ axes
    diagonal = np.float32(penalty.unobserved_weight) * squares
    penalties = penalty.of(observed.row_weights, len(others))
    bounds = even_bounds(observed.starts, N_PARTS)

    def solve_part(nth: int) -> None:
        _solve_rows((bounds[nth], bounds[nth + 1]), observed, vectors, others, diagonal, penalties, n_steps)

    on_all_threads(solve_part, N_PARTS)
    return vectors, others


def own_axes(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the axes on which the factors of vectors, shape (n, n_factors), are uncorrelated, and their squares.

    Returns:
        The axes, shape (n_factors, n_factors), one in each column, and the sum of squares on each, shape (n_factors,).
    """
    squares, axes = np.linalg.eigh((vectors.T @ vectors).astype(np.float64))
    return axes.astype(np.float32), np.maximum(squares, 0).astype(np.float32)


def on_own_axes(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return vectors rotated to their own axes, shape (n, n_factors), and the sum of squares on each, (n_factors,)."""
    axes, squares = own_axes(vectors)
    return vectors @ axes, squares


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _solve_rows(
    rows: tuple[int, int],
    observed: Observed,
    vectors: NDArray[np.float32],
    others: NDArray[np.float32],
    diagonal: NDArray[np.float32],
    penalties: NDArray[np.float32],
    n_steps: int,
) -> None:
    """Improve the vectors of the rows from the first to before the second of ``rows``."""
    starts, columns, weights = observed
    memory = np.empty((5, len(diagonal)), np.float32)
    for row in range(rows[0], rows[1]):
        entries = slice(starts[row], starts[row + 1])
        if starts[row] == starts[row + 1]:
            vectors[row] = 0
            continue
        for factor in range(len(diagonal)):
            memory[0, factor] = diagonal[factor] + penalties[row]
        _improve(vectors[row], (columns[entries], weights[entries]), others, memory, n_steps)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _improve(
    x: NDArray[np.float32],
    entries: tuple[NDArray[np.int32], NDArray[np.float32]],
    others: NDArray[np.float32],
    memory: NDArray[np.float32],
    n_steps: int,
) -> None:
    """Take steps of preconditioned conjugate gradients towards the solution of one row.

    Its equations are (D + sum of w y y') x = sum of w y, over the vectors y of its entries, with weights w and the
    diagonal matrix D that ``memory`` begins with.
    """
    base, error, scale, direction, image = memory[0], memory[1], memory[2], memory[3], memory[4]
    _set_error(x, entries, others, base, error, scale)
    size = np.float32(0)
    for factor in range(len(x)):
        direction[factor] = scale[factor] * error[factor]
        size += error[factor] * direction[factor]
    for _step in range(n_steps):
        if size < SOLVED:
            break
        curvature = _set_image(direction, entries, others, base, image)
        length, size_was, size = size / curvature, size, np.float32(0)
        for factor in range(len(x)):
            x[factor] += length * direction[factor]
            error[factor] -= length * image[factor]
            size += error[factor] * error[factor] * scale[factor]
        for factor in range(len(x)):
            direction[factor] = scale[factor] * error[factor] + size / size_was * direction[factor]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _set_error(
    x: NDArray[np.float32],
    entries: tuple[NDArray[np.int32], NDArray[np.float32]],
    others: NDArray[np.float32],
    base: NDArray[np.float32],
    error: NDArray[np.float32],
    scale: NDArray[np.float32],
) -> None:
    """Write the residual of ``x`` in its equations, and one over their diagonal, shape (n_factors,) each."""
    columns, weights = entries
    for factor in range(len(x)):
        scale[factor] = base[factor]
        error[factor] = -base[factor] * x[factor]
    for entry in range(len(columns)):
        y, weight = others[columns[entry]], weights[entry]
        product = np.float32(0)
        for factor in range(len(x)):
            product += x[factor] * y[factor]
        missing = weight * (np.float32(1) - product)
        for factor in range(len(x)):
            error[factor] += missing * y[factor]
            scale[factor] += weight * y[factor] * y[factor]
    for factor in range(len(x)):
        scale[factor] = np.float32(1) / scale[factor]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _set_image(
    direction: NDArray[np.float32],
    entries: tuple[NDArray[np.int32], NDArray[np.float32]],
    others: NDArray[np.float32],
    base: NDArray[np.float32],
    image: NDArray[np.float32],
) -> np.float32:
    """Write the image of a direction under the equations, shape (n_factors,), and return the product of the two."""
    columns, weights = entries
    for factor in range(len(direction)):
        image[factor] = base[factor] * direction[factor]
    for entry in range(len(columns)):
        y, product = others[columns[entry]], np.float32(0)
        for factor in range(len(direction)):
            product += direction[factor] * y[factor]
        product *= weights[entry]
        for factor in range(len(direction)):
            image[factor] += product * y[factor]
    curvature = np.float32(0)
    for factor in range(len(direction)):
        curvature += direction[factor] * image[factor]
    return curvature

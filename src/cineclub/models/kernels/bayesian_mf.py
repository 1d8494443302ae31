"""The draws of a Gibbs sampler for biased matrix factorisation, compiled.

Every row (a user or a movie) has a vector: its offset, then its factors. Given the other side, the rows are
independent, so they are drawn on all cores; their noise is drawn beforehand, so that no draw depends on the core.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from cineclub.domain.threads import even_bounds, on_all_threads

BLOCK_RATINGS = 64
UNROLLED = 4
N_PARTS = 64
LANES = 8
"""Components of a vector that the draw of a link updates together: its memory is read once for all of them."""


class RatedRows(NamedTuple):
    """The ratings of one side in compressed rows.

    Attributes:
        starts: (n_rows + 1,) the start of each row's ratings.
        others: (n_ratings,) row of the other side.
        values: (n_ratings,) ratings, centred and in units of their deviation.
    """

    starts: NDArray[np.int64]
    others: NDArray[np.int32]
    values: NDArray[np.float32]


class Given(NamedTuple):
    """The conditions of the draw of one side's vectors.

    Attributes:
        vectors: (n_others, 1 + n_factors) of the other side.
        weights: (n_others,) root of the relative precision of each other row's ratings.
        precisions: (n_rows,) noise precision of each row's ratings.
        prior_means: (n_rows, 1 + n_factors).
        prior_precision: (1 + n_factors, 1 + n_factors).
    """

    vectors: NDArray[np.float32]
    weights: NDArray[np.float32]
    precisions: NDArray[np.float64]
    prior_means: NDArray[np.float32]
    prior_precision: NDArray[np.float64]


class Drawn(NamedTuple):
    """The results of a draw.

    Attributes:
        vectors: (n_rows, 1 + n_factors) the drawn vectors.
        means: (n_rows, 1 + n_factors) the means of their distributions.
        errors: (n_rows,) squared errors of the drawn vectors, weighted by the other rows' relative precision.
    """

    vectors: NDArray[np.float32]
    means: NDArray[np.float32]
    errors: NDArray[np.float64]

    @classmethod
    def of_zeros(cls, n_rows: int, width: int) -> "Drawn":
        """Return memory for the draws of ``n_rows`` vectors."""
        return cls(np.zeros((n_rows, width), np.float32), np.zeros((n_rows, width), np.float32), np.zeros(n_rows))


def draw_vectors(rows: RatedRows, given: Given, noise: NDArray[np.float32], drawn: Drawn) -> None:
    """Draw the vector of every row from its conditional normal distribution.

    Its precision is the prior's plus the noise precision times the Gram matrix of the rated rows' vectors, with a one
    in place of the offset.

    Args:
        rows: the ratings.
        given: the other conditions.
        noise: (n_rows, 1 + n_factors) standard normal.
        drawn: receives the results.
    """
    bounds = even_bounds(rows.starts, N_PARTS)
    on_all_threads(lambda part: _draw_rows(bounds[part], bounds[part + 1], rows, given, noise, drawn), N_PARTS)


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _draw_rows(first: int, last: int, rows: RatedRows, given: Given, noise: NDArray[np.float32], drawn: Drawn) -> None:
    """Draw the vectors of the rows from ``first`` to before ``last``."""
    width = given.vectors.shape[1]
    block = np.zeros((BLOCK_RATINGS, width + 1), np.float32)
    gram = np.zeros((width + 1, width + 1), np.float64)
    part = np.zeros((width + 1, width + 1), np.float32)
    matrix = np.zeros((width, width), np.float64)
    right = np.zeros(width, np.float64)
    for row in range(first, last):
        gram[:] = 0
        for begin in range(rows.starts[row], rows.starts[row + 1], BLOCK_RATINGS):
            end = min(begin + BLOCK_RATINGS, rows.starts[row + 1])
            _gather(begin, end, rows, given, block)
            _add_gram(end - begin, block, part, gram)
        precision = given.precisions[row]
        for i in range(width):
            right[i] = precision * gram[width, i]
            for j in range(width):
                matrix[i, j] = given.prior_precision[i, j] + precision * gram[i, j]
                right[i] += given.prior_precision[i, j] * given.prior_means[row, j]
        _draw(matrix, right, noise[row], drawn.vectors[row], drawn.means[row])
        drawn.errors[row] = _squared_error(gram, drawn.vectors[row])


@numba.njit(cache=True, nogil=True)
def _gather(begin: int, end: int, rows: RatedRows, given: Given, block: NDArray[np.float32]) -> None:
    """Write the weighted vector of each rating, with a one in place of the offset, and after it its weighted value."""
    width = given.vectors.shape[1]
    for nth in range(end - begin):
        other = rows.others[begin + nth]
        weight = given.weights[other]
        block[nth, 0] = weight
        for factor in range(1, width):
            block[nth, factor] = weight * given.vectors[other, factor]
        block[nth, width] = weight * (rows.values[begin + nth] - given.vectors[other, 0])
    for nth in range(end - begin, _rounded_up(end - begin)):
        block[nth] = 0


@numba.njit(cache=True, nogil=True)
def _rounded_up(count: int) -> int:
    """Return the next multiple of ``UNROLLED``."""
    return (count + UNROLLED - 1) // UNROLLED * UNROLLED


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _add_gram(n: int, block: NDArray[np.float32], part: NDArray[np.float32], gram: NDArray[np.float64]) -> None:
    """Add the Gram matrix of the first ``n`` rows of a block: in single precision within it, in double across."""
    size = len(gram)
    for i in range(size):
        part[i] = 0
        for nth in range(0, _rounded_up(n), UNROLLED):
            at_0, at_1, at_2, at_3 = block[nth, i], block[nth + 1, i], block[nth + 2, i], block[nth + 3, i]
            for j in range(size):
                part[i, j] += (
                    at_0 * block[nth, j]
                    + at_1 * block[nth + 1, j]
                    + at_2 * block[nth + 2, j]
                    + at_3 * block[nth + 3, j]
                )
        for j in range(size):
            gram[i, j] += part[i, j]


@numba.njit(cache=True, nogil=True)
def _draw(
    matrix: NDArray[np.float64],
    right: NDArray[np.float64],
    noise: NDArray[np.float32],
    vector: NDArray[np.float32],
    mean: NDArray[np.float32],
) -> None:
    """Write the solution of ``matrix`` x = ``right`` as the mean, and a draw of that precision around it.

    The matrix becomes its Cholesky factor L, and ``right`` is destroyed; the draw is the mean plus L^-T ``noise``.
    """
    width = len(matrix)
    for j in range(width):
        for i in range(j, width):
            rest = matrix[i, j]
            for before in range(j):
                rest -= matrix[i, before] * matrix[j, before]
            matrix[i, j] = np.sqrt(rest) if i == j else rest / matrix[j, j]
        for before in range(j):
            right[j] -= matrix[j, before] * right[before]
        right[j] /= matrix[j, j]
    for i in range(width - 1, -1, -1):
        at_mean, at_draw = right[i], right[i] + noise[i]
        for j in range(i + 1, width):
            at_mean -= matrix[j, i] * mean[j]
            at_draw -= matrix[j, i] * vector[j]
        mean[i], vector[i] = at_mean / matrix[i, i], at_draw / matrix[i, i]


@numba.njit(cache=True, nogil=True)
def _squared_error(gram: NDArray[np.float64], vector: NDArray[np.float32]) -> float:
    """Return the summed squared error of a vector from the Gram matrix of its ratings, not below 0."""
    width = len(vector)
    error = gram[width, width]
    for i in range(width):
        error -= 2 * vector[i] * gram[width, i]
        for j in range(width):
            error += vector[i] * gram[i, j] * vector[j]
    return max(float(error), 0.0)


class Link(NamedTuple):
    """The links from users to the prior means of the movies they rated; components in groups of ``LANES``, zero-padded.

    Attributes:
        rows: the ratings, a row for each user.
        shares: (n_movies,) the weight of each rater of a movie: one over the root of their number.
        precisions: (n_users,) sum of the squared shares of the movies that each user rated, plus the prior's.
    """

    rows: RatedRows
    shares: NDArray[np.float32]
    precisions: NDArray[np.float64]


def draw_links(link: Link, noise: NDArray[np.float32], links: NDArray[np.float32], rests: NDArray[np.float32]) -> None:
    """Draw the link vectors of one user after the other, each given all others.

    Args:
        link: the ratings, and the precision of each vector.
        noise: (n_groups, n_users, LANES) drawn from the prior's covariance.
        links: (n_groups, n_users, LANES) the vectors; updated in place.
        rests: (n_groups, n_movies, LANES) the movies' vectors minus the links' part; updated with them.
    """
    on_all_threads(lambda group: _draw_group(link, noise[group], links[group], rests[group]), len(links))


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _draw_group(link: Link, noise: NDArray[np.float32], links: NDArray[np.float32], rests: NDArray[np.float32]) -> None:
    """Draw one group of components of every user's link vector."""
    total = np.zeros(LANES, np.float32)
    change = np.zeros(LANES, np.float32)
    for user in range(len(links)):
        total[:] = 0
        squares = np.float64(0)
        for row in range(link.rows.starts[user], link.rows.starts[user + 1]):
            movie = link.rows.others[row]
            share = link.shares[movie]
            squares += share * share
            for lane in range(LANES):
                total[lane] += share * rests[movie, lane]
        precision = link.precisions[user]
        for lane in range(LANES):
            was = links[user, lane]
            drawn = (total[lane] + squares * was) / precision + noise[user, lane] / np.sqrt(precision)
            links[user, lane] = drawn
            change[lane] = links[user, lane] - was
        for row in range(link.rows.starts[user], link.rows.starts[user + 1]):
            movie = link.rows.others[row]
            for lane in range(LANES):
                rests[movie, lane] -= link.shares[movie] * change[lane]

"""Biased matrix factorisation by stochastic gradient descent, compiled, on all cores and still reproducible.

Users and movies are cut into blocks. A stratum is a block of users with a block of movies; strata that share neither
can be descended at once, because they share no vector (Gemulla, Nijkamp, Haas & Sismanis 2011). An epoch has as many
rounds as there are blocks, with a barrier after each. The blocks follow from the ratings alone, so any number of
threads gives the same vectors.
"""

from typing import NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import Progress
from cineclub.domain.threads import even_bounds, on_all_threads

INITIAL_DEVIATION = 0.1
FEWEST_BLOCKS, MOST_BLOCKS = 2, 16
RATINGS_PER_BLOCK = 250_000
"""With so many ratings in a block, a barrier costs little beside a round, and a block of movies stays in the cache."""

INITIAL_HALF_WIDTH = np.float32(INITIAL_DEVIATION * 3**0.5)
"""Initial vectors are uniform numbers of 16 bits with the usual deviation: drawn ten times as fast as normal ones."""

N_DRAWN_PARTS = 8
VECTOR_WIDTH = 8
"""Vectors are padded with zeros to a multiple of this, so that the processor never handles single numbers."""

CACHE_LINE_BYTES = 64


class Factors(NamedTuple):
    """The result of a descent: rating = offset of the user + offset of the movie + product of their vectors.

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
        """Return offsets of zero and small random vectors to start from."""
        return cls(
            np.zeros(n_users, np.float32),
            np.zeros(n_movies, np.float32),
            _drawn_vectors(n_users, n_factors, rng),
            _drawn_vectors(n_movies, n_factors, rng),
        )

    @property
    def is_finite(self) -> bool:
        """Whether all factors are finite, because the descent did not diverge."""
        return self.has_finite_offsets and bool(
            np.isfinite(self.user_factors).all() and np.isfinite(self.movie_factors).all()
        )

    @property
    def has_finite_offsets(self) -> bool:
        """Whether the offsets are finite, a quick check because every step changes them."""
        return bool(np.isfinite(self.user_offsets).all() and np.isfinite(self.movie_offsets).all())


class Descent(NamedTuple):
    """The settings of a descent: epochs, the length of a step, and the ridge penalty."""

    n_epochs: int
    learning_rate: float
    regularization: float


class Strata(NamedTuple):
    """The ratings by blocks of users and movies.

    Attributes:
        n_blocks: the number of blocks of users, and of movies.
        user_blocks: (n_users,) the block of each user.
        starts: (n_blocks, n_users + 1) the start of each user's ratings of a block of movies.
        movie_indices: (n_ratings,) by block of movies, then user, then canonical order.
        centred: (n_ratings,) the ratings less their mean, in the same order.
    """

    n_blocks: int
    user_blocks: NDArray[np.int8]
    starts: NDArray[np.int64]
    movie_indices: NDArray[np.int32]
    centred: NDArray[np.float32]

    @classmethod
    def of(cls, ratings: RatingMatrix, centred: NDArray[np.float32]) -> Self:
        """Return the strata of ``centred`` ratings, shape (n_ratings,), in a number of blocks by their number."""
        wanted = min(max(ratings.n_ratings // RATINGS_PER_BLOCK, FEWEST_BLOCKS), MOST_BLOCKS)
        n_blocks = min(wanted, ratings.n_users, ratings.n_movies)
        n_raters = np.bincount(ratings.movie_indices, minlength=ratings.n_movies)
        user_blocks = even_blocks(ratings.row_starts, n_blocks)
        movie_blocks = even_blocks(np.concatenate(([0], np.cumsum(n_raters))).astype(np.int64), n_blocks)
        block_of_rating = movie_blocks[ratings.movie_indices]
        order = np.argsort(block_of_rating, kind="stable")
        starts = _starts_by_block(ratings.row_starts, block_of_rating, n_blocks)
        return cls(n_blocks, user_blocks, starts, ratings.movie_indices[order], centred[order])


def descend(
    ratings: RatingMatrix,
    centred: NDArray[np.float32],
    factors: Factors,
    descent: Descent,
    rng: np.random.Generator,
    progress: Progress,
) -> None:
    """Fit ``factors`` in place to ``centred`` ratings, shape (n_ratings,).

    Each epoch visits the users of a stratum in another order and each user's ratings in canonical order, so that a
    user's vector stays in the cache.

    Raises:
        InvalidInput: the descent diverged.
    """
    strata = Strata.of(ratings, centred)
    for epoch in range(descent.n_epochs):
        _run_epoch(strata, rng.permutation(ratings.n_users), factors, descent)
        is_last = epoch + 1 == descent.n_epochs
        if not (factors.is_finite if is_last else factors.has_finite_offsets):
            message = f"learning_rate {descent.learning_rate} is too large for these ratings: choose a smaller one"
            raise InvalidInput(message)
        progress((epoch + 1) / descent.n_epochs)


def even_blocks(starts: NDArray[np.int64], n_blocks: int) -> NDArray[np.int8]:
    """Return the block of each row, shape (n_rows,): consecutive rows with about equally many ratings in each block.

    Rows are consecutive because two cores must not write to vectors in one cache line.

    Args:
        starts: (n_rows + 1,) the start of each row's ratings.
        n_blocks: the number of blocks; some are empty if single rows have more ratings than a block should.
    """
    return np.repeat(np.arange(n_blocks, dtype=np.int8), np.diff(even_bounds(starts, n_blocks)))


def _run_epoch(strata: Strata, order: NDArray[np.int64], factors: Factors, descent: Descent) -> None:
    """Take one step of descent for every rating: round by round, the strata of a round at once."""
    of_block = strata.user_blocks[order]
    users = [order[of_block == block] for block in range(strata.n_blocks)]
    steps = (np.float32(descent.learning_rate), np.float32(descent.regularization))
    for shift in range(strata.n_blocks):

        def descend_stratum(block: int, shift: int = shift) -> None:
            movie_block = (block + shift) % strata.n_blocks
            rows = (strata.starts[movie_block], strata.movie_indices, strata.centred)
            _descend_stratum(users[block], rows, factors, steps)

        on_all_threads(descend_stratum, strata.n_blocks)


def _starts_by_block(
    row_starts: NDArray[np.int64], block_of_rating: NDArray[np.int8], n_blocks: int
) -> NDArray[np.int64]:
    """Return the start of each user's ratings once sorted by block, shape (n_blocks, n_users + 1)."""
    starts = np.empty((n_blocks, len(row_starts)), np.int64)
    before = 0
    for block in range(n_blocks):
        counted = np.concatenate(([0], np.cumsum(block_of_rating == block)))
        starts[block] = before + counted[row_starts]
        before += int(counted[-1])
    return starts


def _drawn_vectors(n_rows: int, n_factors: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return small random vectors, shape (n_rows, n_factors), padded with columns of zeros."""
    vectors = _aligned_zeros(n_rows, -(-n_factors // VECTOR_WIDTH) * VECTOR_WIDTH)
    bounds = np.linspace(0, n_rows, N_DRAWN_PARTS + 1).astype(np.int64)
    generators = rng.spawn(N_DRAWN_PARTS)

    def draw_part(nth: int) -> None:
        rows = vectors[bounds[nth] : bounds[nth + 1], :n_factors]
        drawn = np.frombuffer(generators[nth].bytes(2 * rows.size), np.int16).reshape(rows.shape)
        np.multiply(drawn, INITIAL_HALF_WIDTH / np.float32(2**15), out=rows)

    on_all_threads(draw_part, N_DRAWN_PARTS)
    return vectors


def _aligned_zeros(n_rows: int, n_columns: int) -> NDArray[np.float32]:
    """Return zeros, shape (n_rows, n_columns), aligned so that no vector instruction spans two cache lines."""
    n_bytes = 4 * n_rows * n_columns
    memory = np.zeros(n_bytes + CACHE_LINE_BYTES, np.uint8)
    offset = -memory.ctypes.data % CACHE_LINE_BYTES
    return memory[offset : offset + n_bytes].view(np.float32).reshape(n_rows, n_columns)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp", "nsz"})
def _descend_stratum(
    users: NDArray[np.int64],
    rows: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
    factors: Factors,
    steps: tuple[np.float32, np.float32],
) -> None:
    """Take one step of descent for every rating of some users, shape (n,), of one block of movies."""
    starts, movie_indices, centred = rows
    for user in users:
        own = slice(starts[user], starts[user + 1])
        if starts[user] < starts[user + 1]:
            _descend_user(user, movie_indices[own], centred[own], factors, steps)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp", "nsz"})
def _descend_user(
    user: int,
    movie_indices: NDArray[np.int32],
    centred: NDArray[np.float32],
    factors: Factors,
    steps: tuple[np.float32, np.float32],
) -> None:
    """Take one step of descent for each rating of one user, shape (n,), at least one.

    A step turns the user's vector u into decay u + step v, so that its product with the next movie's vector w is
    decay (u w) + step (v w). Both products are computed during the step before, so that the processor does not wait for
    one step to end before it begins the next. The loops are not functions of their own because only here the compiler
    makes vector instructions of them.
    """
    user_offsets, movie_offsets, user_factors, movie_factors = factors
    learning_rate, regularization = steps
    n_columns, last = user_factors.shape[1], len(movie_indices) - 1
    decay = np.float32(1) - learning_rate * regularization
    u, v, w = user_factors[user], movie_factors[movie_indices[0]], movie_factors[movie_indices[min(1, last)]]
    offset, uv, uw, vw = user_offsets[user], np.float32(0), np.float32(0), np.float32(0)
    for column in range(n_columns):
        uv += u[column] * v[column]
        uw += u[column] * w[column]
        vw += v[column] * w[column]
    for row in range(last + 1):
        movie = movie_indices[row]
        step = learning_rate * (centred[row] - offset - movie_offsets[movie] - uv)
        offset = decay * offset + step
        movie_offsets[movie] = decay * movie_offsets[movie] + step
        if row == last:
            break
        uv, uw, vw = decay * uw + step * vw, np.float32(0), np.float32(0)
        later = movie_factors[movie_indices[min(row + 2, last)]]
        for column in range(n_columns):
            u_was, v_was = u[column], v[column]
            u[column] = decay * u_was + step * v_was
            v[column] = decay * v_was + step * u_was
            uw += u[column] * later[column]
            vw += w[column] * later[column]
        v, w = w, later
    for column in range(n_columns):
        u_was = u[column]
        u[column] = decay * u_was + step * v[column]
        v[column] = decay * v[column] + step * u_was
    user_offsets[user] = offset

"""Nearest neighbours of movies by the users who rated both, compiled, without a movie-by-movie matrix.

The products of one movie with all others are summed over its raters' ratings, in accumulators that fit a core's own
cache. A movie costs the sum of its raters' ratings, all movies the sum over users of n_ratings squared. Every movie is
the work of one thread, in canonical order, so that results do not depend on the number of threads.
"""

from typing import NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import Progress
from cineclub.domain.threads import even_bounds, on_all_threads

BIN_SHIFT = 20
LOWEST_BIN = (127 - 16) << 3
N_BINS = 17 << 3
"""The bits of a float32 above the 20th are its power of two and the eighth within it: 8 bins from 2^-16 to 2^-15, and
so on up to 1."""

TINY = 1e-30
PARTS_PER_ROUND = 16
USERS_PER_PART = 16
PAIRS_PER_ROUND = 200_000_000
"""About a quarter of a second of work between two reports of progress, a sixteenth of it in each part."""


class MovieVectors(NamedTuple):
    """A number for each rating, in compressed rows both ways.

    A named tuple because the compiled kernels take those.

    Attributes:
        user_starts: (n_users + 1,) the start of each user's movies.
        movies: (n,) movies by user.
        values: (n,) the numbers by user.
        movie_starts: (n_movies + 1,) the start of each movie's users.
        users: (n,) users by movie.
        values_by_movie: (n,) the numbers by movie.
    """

    user_starts: NDArray[np.int64]
    movies: NDArray[np.int32]
    values: NDArray[np.float32]
    movie_starts: NDArray[np.int64]
    users: NDArray[np.int32]
    values_by_movie: NDArray[np.float32]

    @classmethod
    def of(cls, ratings: RatingMatrix, values: NDArray[np.float32], is_kept: NDArray[np.bool_]) -> Self:
        """Return the vectors of the ``values`` of a mask, shape (n_ratings,) each."""
        columns = ratings.columns
        is_kept_by_movie = is_kept[columns.rows]
        rows = columns.rows[is_kept_by_movie]
        return cls(
            user_starts=_starts_of_kept(ratings.row_starts, is_kept),
            movies=ratings.movie_indices[is_kept],
            values=values[is_kept],
            movie_starts=_starts_of_kept(columns.starts, is_kept_by_movie),
            users=columns.user_indices[is_kept_by_movie],
            values_by_movie=values[rows],
        )

    @property
    def n_movies(self) -> int:
        """The number of movies."""
        return len(self.movie_starts) - 1

    @property
    def inverse_norms(self) -> NDArray[np.float32]:
        """One over the length of each movie's vector, shape (n_movies,); 0 for a vector of zeros."""
        of_ratings = np.repeat(np.arange(self.n_movies), np.diff(self.movie_starts))
        squares = np.bincount(of_ratings, np.square(self.values_by_movie, dtype=np.float64), self.n_movies)
        return np.where(squares > 0, 1 / np.sqrt(np.maximum(squares, TINY)), 0).astype(np.float32)

    @property
    def cost_starts(self) -> NDArray[np.int64]:
        """The pairs of ratings that are visited for all movies before each one, shape (n_movies + 1,)."""
        of_users = np.concatenate(([0], np.cumsum(np.diff(self.user_starts)[self.users]))).astype(np.int64)
        return of_users[self.movie_starts]


def nearest_neighbours(
    vectors: MovieVectors, n_neighbours: int, shrinkage: float, progress: Progress
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the most similar movies of each and their similarities, both (n_movies, n_kept).

    The similarity is the cosine of two movies' vectors times n / (n + shrinkage) for n users of both. Only movies with
    a similarity above 0 are neighbours; among equals the lower index is nearer. Rows rise by index and are padded with
    the movie itself at a similarity of 0; ``n_kept`` is the length of the longest row, at least 1.
    """
    n_movies = vectors.n_movies
    width = max(min(n_neighbours, n_movies - 1), 1)
    nearest = np.repeat(np.arange(n_movies, dtype=np.int32)[:, None], width, axis=1)
    similarities = np.zeros((n_movies, width), np.float32)
    inverse_norms, costs = vectors.inverse_norms, vectors.cost_starts
    n_rounds = int(costs[-1] // PAIRS_PER_ROUND) + 1
    bounds = even_bounds(costs, n_rounds * PARTS_PER_ROUND)
    for first in range(0, len(bounds) - 1, PARTS_PER_ROUND):

        def fill_part(nth: int, first: int = first) -> None:
            start, stop = bounds[first + nth], bounds[first + nth + 1]
            rows = (nearest[start:stop], similarities[start:stop])
            _fill_rows(vectors, inverse_norms, np.float32(shrinkage), start, rows)

        on_all_threads(fill_part, PARTS_PER_ROUND)
        progress((first + PARTS_PER_ROUND) / (len(bounds) - 1))
    n_kept = max(int(np.count_nonzero(similarities, axis=1).max()), 1)
    return np.ascontiguousarray(nearest[:, :n_kept]), np.ascontiguousarray(similarities[:, :n_kept])


def _starts_of_kept(starts: NDArray[np.int64], is_kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the starts of rows, shape (n_rows + 1,), that keep only the entries of a mask."""
    return np.concatenate(([0], np.cumsum(is_kept)))[starts].astype(np.int64)


@numba.njit(cache=True, nogil=True)
def _fill_rows(
    vectors: MovieVectors,
    inverse_norms: NDArray[np.float32],
    shrinkage: np.float32,
    first_movie: int,
    rows: tuple[NDArray[np.int32], NDArray[np.float32]],
) -> None:
    """Write the neighbours of consecutive movies and their similarities into ``rows``, shape (n_rows, width) each."""
    n_movies = len(inverse_norms)
    products = np.zeros(2 * n_movies, np.float32)
    similarities = np.empty(n_movies, np.float32)
    others, positive = np.empty(n_movies + 1, np.int32), np.empty(n_movies + 1, np.float32)
    for row in range(len(rows[0])):
        movie = first_movie + row
        _add_products(vectors, movie, products)
        products[2 * movie] = 0
        _take_similarities(products, inverse_norms, inverse_norms[movie], shrinkage, similarities)
        n_positive = _take_positive(similarities, others, positive)
        _keep_nearest(others[:n_positive], positive[:n_positive], rows[0][row], rows[1][row])


@numba.njit(cache=True, nogil=True)
def _add_products(vectors: MovieVectors, movie: int, products: NDArray[np.float32]) -> None:
    """Add a movie's product with each movie and their number of common users, in turns, shape (2 n_movies,)."""
    user_starts, movies, values, movie_starts, users, values_by_movie = vectors
    for position in range(movie_starts[movie], movie_starts[movie + 1]):
        user, value = users[position], values_by_movie[position]
        of_user = slice(user_starts[user], user_starts[user + 1])
        user_movies, user_values = movies[of_user], values[of_user]
        for nth in range(len(user_movies)):
            other = np.uint32(user_movies[nth])  # never negative: saves the check for an index from the end
            products[2 * other] += value * user_values[nth]
            products[2 * other + 1] += np.float32(1)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _take_similarities(
    products: NDArray[np.float32],
    inverse_norms: NDArray[np.float32],
    inverse_norm: np.float32,
    shrinkage: np.float32,
    similarities: NDArray[np.float32],
) -> None:
    """Write the similarities of products and numbers of users, shape (n_movies,), and reset both to zero."""
    for other in range(len(similarities)):
        n_both = products[2 * other + 1]
        share = n_both / (max(n_both, np.float32(1)) + shrinkage)
        similarities[other] = products[2 * other] * inverse_norm * inverse_norms[other] * share
    products[:] = 0


@numba.njit(cache=True, nogil=True)
def _take_positive(similarities: NDArray[np.float32], others: NDArray[np.int32], positive: NDArray[np.float32]) -> int:
    """Write the movies of positive similarity and their similarities, and return their number.

    Every movie is written and most are overwritten by the next: cheaper than a branch that is hard to predict.
    """
    n_positive = 0
    for other in range(len(similarities)):
        others[n_positive], positive[n_positive] = other, similarities[other]
        n_positive += similarities[other] > 0
    return n_positive


@numba.njit(cache=True, nogil=True)
def _keep_nearest(
    others: NDArray[np.int32],
    positive: NDArray[np.float32],
    nearest: NDArray[np.int32],
    similarities: NDArray[np.float32],
) -> None:
    """Write the most similar of some movies, which rise by index, into a row; among equals the first ones."""
    least = _nth_highest(positive, len(nearest))
    n_equal = len(nearest) - np.sum(positive > least)
    n_kept = 0
    for nth in range(len(others)):
        if positive[nth] >= least and (positive[nth] > least or n_equal > 0):
            n_equal -= positive[nth] == least
            nearest[n_kept], similarities[n_kept] = others[nth], positive[nth]
            n_kept += 1


@numba.njit(cache=True, nogil=True)
def _nth_highest(values: NDArray[np.float32], n: int) -> np.float32:
    """Return the ``n``-th highest of values from 0 to 1, or 0 if there are fewer.

    They are counted in bins of equal ratios first, so that only the values of one bin must be compared.
    """
    if len(values) <= n:
        return np.float32(0)
    bins = (values.view(np.int32) >> BIN_SHIFT) - LOWEST_BIN
    counts = np.zeros(N_BINS, np.int64)
    for nth in range(len(bins)):
        bins[nth] = min(max(bins[nth], 0), N_BINS - 1)
        counts[bins[nth]] += 1
    of_bin, n_above = N_BINS - 1, 0
    while n_above + counts[of_bin] < n:
        n_above += counts[of_bin]
        of_bin -= 1
    within = np.sort(values[bins == of_bin])
    return np.float32(within[len(within) - (n - n_above)])


def add_votes(
    lists: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
    starts: NDArray[np.int64],
    movie_indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    """Add the votes of the movies of each user's history to the user's ``scores``, shape (n_users, n_movies).

    Args:
        lists: starts, targets and similarities of ``NeighbourLists``.
        starts: (n_users + 1,) the start of each user's movies.
        movie_indices: (n,) movies by user.
        weights: (n,) the weight of each movie.
        scores: updated in place.
    """

    def add_part(nth: int) -> None:
        first, end = nth * USERS_PER_PART, min((nth + 1) * USERS_PER_PART, len(scores))
        _add_votes_of_users(lists, starts[first : end + 1], (movie_indices, weights), scores[first:end])

    on_all_threads(add_part, -(-len(scores) // USERS_PER_PART))


@numba.njit(cache=True, nogil=True)
def _add_votes_of_users(
    lists: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
    starts: NDArray[np.int64],
    rated: tuple[NDArray[np.int32], NDArray[np.float32]],
    scores: NDArray[np.float32],
) -> None:
    """Add the votes to the scores of consecutive users."""
    list_starts, targets, similarities = lists
    movie_indices, weights = rated
    for row in range(len(scores)):
        of_user = scores[row]
        for nth in range(starts[row], starts[row + 1]):
            movie, weight = movie_indices[nth], weights[nth]
            for pair in range(list_starts[movie], list_starts[movie + 1]):
                of_user[targets[pair]] += weight * similarities[pair]

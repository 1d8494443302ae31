"""Tables of pairs of movies in users' histories, counted in compiled code.

SLIST (Choi et al. 2021) cuts a history before each of its ratings and regresses the later part on the earlier one, both
weighted down with the distance from the cut. Summed over all cuts, the contribution of two ratings depends, but for the
ends of a history, on their distance alone, so that no cut needs to be made. Two ratings at a ``distance`` count
``everywhere`` plus ``nearby[distance]``, times the product of their amounts,
- as companions, in either order;
- as predecessor and successor, in that order; ``everywhere`` counts in either order.

With ``everywhere`` alone the companions are the Gram matrix of the ratings.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import Progress
from cineclub.domain.threads import even_bounds, on_all_threads

N_PARTS, PARTS_BETWEEN_REPORTS = 128, 16
"""Movies are cut into so many parts of about equal work, whatever the number of threads."""

LEAST_NEARBY = 0.001
"""Pairs at a distance at which they would count less than this as neighbours do not count as neighbours."""


class Sequences(NamedTuple):
    """Users' histories and the weights of ratings; a named tuple because the compiled kernel takes those.

    Only movies with a rating that counts take part: they are numbered anew, and n_movies is their number.

    Attributes:
        movies: (n_movies,) rising, the positions of these movies in the matrix.
        row_starts: (n_users + 1,) the start of each user's ratings, oldest first.
        movie_indices: (n_ratings,) by user, positions in ``movies``.
        amounts: (n_ratings,) the weight of a rating, above 0.
        column_starts: (n_movies + 1,) the start of each movie's ratings.
        column_rows: (n_ratings,) by movie, the position of each rating.
        column_users: (n_ratings,) by movie, the user of each rating.
    """

    movies: NDArray[np.int64]
    row_starts: NDArray[np.int64]
    movie_indices: NDArray[np.int32]
    amounts: NDArray[np.float32]
    column_starts: NDArray[np.int64]
    column_rows: NDArray[np.int32]
    column_users: NDArray[np.int32]

    @classmethod
    def of(cls, ratings: RatingMatrix, amounts: NDArray[np.float32]) -> Self:
        """Return the histories without the ratings whose amount, shape (n_ratings,), is zero."""
        counts = amounts > 0
        users, all_movies = ratings.user_indices[counts], ratings.movie_indices[counts]
        is_there = np.bincount(all_movies, minlength=ratings.n_movies) > 0
        movies = (np.cumsum(is_there, dtype=np.int32) - 1)[all_movies]
        by_movie = np.argsort(movies, kind="stable").astype(np.int32)
        return cls(
            np.flatnonzero(is_there),
            _starts_of(users, ratings.n_users),
            movies,
            amounts[counts],
            _starts_of(movies, int(np.count_nonzero(is_there))),
            by_movie,
            users[by_movie],
        )

    @property
    def n_movies(self) -> int:
        """The number of movies."""
        return len(self.movies)

    @property
    def own(self) -> NDArray[np.float32]:
        """The diagonal of the Gram matrix, shape (n_movies,): the summed squared amounts of each movie."""
        squares = self.amounts.astype(np.float64) ** 2
        return np.bincount(self.movie_indices, squares, minlength=self.n_movies).astype(np.float32)

    def parts(self) -> NDArray[np.int64]:
        """Return the bounds of parts of movies, shape (N_PARTS + 1,), with about equally many pairs each."""
        lengths = np.diff(self.row_starts)[self.column_users]
        before = np.concatenate(([0], np.cumsum(lengths)))
        return even_bounds(before[self.column_starts], N_PARTS)


class Closeness(NamedTuple):
    """The weight of a pair of ratings of one user.

    Attributes:
        everywhere: the weight of any pair.
        nearby: (n,) the additional weight by distance; zero at distance 0.
    """

    everywhere: np.float32
    nearby: NDArray[np.float32]

    @property
    def is_without_order(self) -> bool:
        """Whether predecessors are the same as companions, so that one table is enough."""
        return not self.nearby.any()

    @classmethod
    def of_all(cls) -> Self:
        """Return the same weight for all pairs."""
        return cls(np.float32(1), np.zeros(1, np.float32))

    @classmethod
    def mixed(cls, everywhere: float, half_life: float) -> Self:
        """Return ``everywhere`` for any pair, and the rest of 1 halved every ``half_life`` ratings of distance."""
        reach = int(np.ceil(half_life * -np.log2(LEAST_NEARBY)))
        nearby = (1 - everywhere) * np.exp2(-np.arange(reach + 1) / half_life)
        nearby[0] = 0
        return cls(np.float32(everywhere), nearby.astype(np.float32))


def tables_of_pairs(
    sequences: Sequences, closeness: Closeness, precision: type[np.floating], progress: Progress
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the tables of companions and of successors, (n_movies, n_movies) each.

    The diagonal of the companions is that of the Gram matrix; that of the successors, [earlier, later] in column-major
    order, is zero.
    """
    shape = (sequences.n_movies, sequences.n_movies)
    companions, predecessors = np.empty(shape, precision), np.empty(shape, precision)

    def fill_part(first: int, stop: int) -> None:
        _fill_tables(sequences, closeness, (first, stop), companions, predecessors)

    in_parts(sequences, fill_part, progress)
    companions[np.diag_indices_from(companions)] = sequences.own
    return companions, predecessors.T


def gram_of(
    sequences: Sequences, closeness: Closeness, precision: type[np.floating], progress: Progress
) -> NDArray[np.floating]:
    """Return the table of companions alone, shape (n_movies, n_movies)."""
    companions = np.empty((sequences.n_movies, sequences.n_movies), precision)

    def fill_part(first: int, stop: int) -> None:
        # without an order, predecessors are companions: both are written to the same place
        _fill_tables(sequences, closeness, (first, stop), companions, companions)

    in_parts(sequences, fill_part, progress)
    companions[np.diag_indices_from(companions)] = sequences.own
    return companions


def in_parts(sequences: Sequences, part: Callable[[int, int], None], progress: Progress) -> None:
    """Call ``part`` with the bounds of consecutive movies, first and end, on all threads, and report the progress.

    The parts have about equally many pairs each, and follow from the data alone.
    """
    bounds = sequences.parts()
    for start in range(0, N_PARTS, PARTS_BETWEEN_REPORTS):

        def do_part(nth: int, start: int = start) -> None:
            part(int(bounds[start + nth]), int(bounds[start + nth + 1]))

        on_all_threads(do_part, PARTS_BETWEEN_REPORTS)
        progress((start + PARTS_BETWEEN_REPORTS) / N_PARTS)


def _starts_of(groups: NDArray[np.int32], n_groups: int) -> NDArray[np.int64]:
    """Return the start of each group once its members are sorted, shape (n_groups + 1,)."""
    return np.concatenate(([0], np.cumsum(np.bincount(groups, minlength=n_groups)))).astype(np.int64)


@numba.njit(cache=True, nogil=True)
def _fill_tables(
    sequences: Sequences,
    closeness: Closeness,
    bounds: tuple[int, int],
    companions: NDArray[np.floating],
    predecessors: NDArray[np.floating],
) -> None:
    """Write the rows of consecutive movies, ``bounds`` first and end."""
    pairs = np.zeros((len(companions), 2), np.float32)
    for movie in range(bounds[0], bounds[1]):
        count_pairs_of(sequences, closeness, movie, pairs)
        companions[movie] = pairs[:, 0]
        predecessors[movie] = pairs[:, 1]


@numba.njit(cache=True, nogil=True)
def count_pairs_of(sequences: Sequences, closeness: Closeness, movie: int, pairs: NDArray[np.float32]) -> None:
    """Set ``pairs``, shape (n_movies, 2), to the counts of one movie as each one's companion and as its successor."""
    movies, amounts = sequences.movie_indices, sequences.amounts
    everywhere, nearby = closeness
    pairs[:] = 0
    for place in range(sequences.column_starts[movie], sequences.column_starts[movie + 1]):
        own, user = sequences.column_rows[place], sequences.column_users[place]
        first, stop = sequences.row_starts[user], sequences.row_starts[user + 1]
        if everywhere > 0:
            for other in range(first, stop):
                product = everywhere * amounts[own] * amounts[other]
                pairs[movies[other], 0] += product
                pairs[movies[other], 1] += product
        for other in range(max(first, own - len(nearby) + 1), own):
            product = nearby[own - other] * amounts[own] * amounts[other]
            pairs[movies[other], 0] += product
            pairs[movies[other], 1] += product
        for other in range(own + 1, min(stop, own + len(nearby))):
            pairs[movies[other], 0] += nearby[other - own] * amounts[own] * amounts[other]
    pairs[movie] = 0

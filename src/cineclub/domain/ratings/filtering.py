"""The filter before a fit: users and movies with too few ratings are left out until neither rule removes any."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.log import RatingLog


@dataclass(frozen=True, slots=True)
class Extent:
    """The size of a log."""

    n_users: int
    n_movies: int
    n_ratings: int

    @classmethod
    def of(cls, log: RatingLog) -> "Extent":
        """Return the size of ``log``."""
        return cls(log.n_users, log.n_movies, len(log))


@dataclass(frozen=True, slots=True)
class FilterPass:
    """Removals of one pass over users and movies, with those whose last rating was removed by the other rule."""

    n_users_removed: int
    n_movies_removed: int
    n_ratings_removed: int


@dataclass(frozen=True, slots=True)
class FilterReport:
    """The sizes before and after the filter, and the removals of each pass."""

    before: Extent
    after: Extent
    passes: tuple[FilterPass, ...]


def keep_core(log: RatingLog, min_ratings_per_user: int, min_ratings_per_movie: int) -> tuple[RatingLog, FilterReport]:
    """Return the largest part of a log in which every user and every movie has enough ratings, and the report.

    The result does not depend on the order of the rules; it is empty if no part is dense enough.
    """
    users = np.unique(log.user_ids, return_inverse=True)[1]
    movies = np.unique(log.movie_ids, return_inverse=True)[1]
    rows = np.arange(len(log))
    passes: list[FilterPass] = []
    while True:
        by_active_users = _rows_with_enough(users, rows, min_ratings_per_user)
        left = _rows_with_enough(movies, by_active_users, min_ratings_per_movie)
        if len(left) == len(rows):
            break
        passes.append(
            FilterPass(
                n_users_removed=_n_different(users[rows]) - _n_different(users[left]),
                n_movies_removed=_n_different(movies[rows]) - _n_different(movies[left]),
                n_ratings_removed=len(rows) - len(left),
            )
        )
        rows = left
    core = log.take(rows) if passes else log
    return core, FilterReport(Extent.of(log), Extent.of(core), tuple(passes))


def _rows_with_enough(groups: NDArray[np.int64], rows: NDArray[np.int64], at_least: int) -> NDArray[np.int64]:
    """Return those of ``rows`` whose group occurs in them ``at_least`` times."""
    members = groups[rows]
    return rows[np.bincount(members)[members] >= at_least]


def _n_different(indices: NDArray[np.int64]) -> int:
    """Return the number of different indices."""
    return int(np.count_nonzero(np.bincount(indices)))

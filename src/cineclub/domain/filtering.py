"""Who is left out before a model learns: users and films with too few ratings, until neither rule removes anything."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings import RatingLog


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a log holds."""

    n_users: int
    n_movies: int
    n_ratings: int

    @classmethod
    def of(cls, log: RatingLog) -> "Extent":
        """Return how much ``log`` holds."""
        return cls(log.n_users, log.n_movies, len(log))


@dataclass(frozen=True, slots=True)
class FilterPass:
    """What left in one pass over users and films, with those whose last rating left with the other side."""

    n_users_removed: int
    n_movies_removed: int
    n_ratings_removed: int


@dataclass(frozen=True, slots=True)
class FilterReport:
    """What came in, what stayed, and what each pass removed."""

    before: Extent
    after: Extent
    passes: tuple[FilterPass, ...]


def keep_core(log: RatingLog, min_ratings_per_user: int, min_ratings_per_movie: int) -> tuple[RatingLog, FilterReport]:
    """Return the largest part of a log in which every user and every film has enough ratings, and what left.

    The result does not depend on which rule goes first; it is empty when no part is dense enough.
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
    kept = log.take(rows) if passes else log
    return kept, FilterReport(Extent.of(log), Extent.of(kept), tuple(passes))


def _rows_with_enough(groups: NDArray[np.int64], rows: NDArray[np.int64], at_least: int) -> NDArray[np.int64]:
    """Return those of ``rows`` whose group occurs in them at least so often."""
    members = groups[rows]
    return rows[np.bincount(members)[members] >= at_least]


def _n_different(indices: NDArray[np.int64]) -> int:
    """Return how many different indices there are."""
    return int(np.count_nonzero(np.bincount(indices)))

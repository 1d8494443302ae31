"""Impressions: films that were shown to a user in several earlier visits and not rated step back in the next lists.

A visit is a row of responses to one user, each less than an hour after the one before, a day at most. A film counts
once a visit, and only when the visit is over: within a visit the lists stay, so that a page that is loaded again shows
the same films. The weight of an impression falls evenly to 0 within ``REMEMBERED_DAYS``; the weights of a film move it
by as much as their sum exceeds ``FREE_VISITS``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.crowd import positions_in
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY

VISIT_GAP_MICROSECONDS = 3_600 * 1_000_000
"""A pause after which the next response begins a new visit."""

LONGEST_VISIT_MICROSECONDS = MICROSECONDS_PER_DAY
REMEMBERED_DAYS = 14
"""After so many days without it in a list a film is back in its place."""

FREE_VISITS = 3.0
"""Weights up to this sum move nothing: a film of the last visits is often taken in the next (``make bench-moving``)."""

REMEMBERED_MICROSECONDS = REMEMBERED_DAYS * MICROSECONDS_PER_DAY


@dataclass(frozen=True, slots=True, eq=False)
class Impressions:
    """The films that step back for one user; the same object throughout a visit.

    Attributes:
        movie_ids: (n,) rising.
        discounts: (n,) 0 to 1: the factor of the film's utility in a list.
    """

    movie_ids: NDArray[np.int64]
    discounts: NDArray[np.float64]

    def of(self, movie_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the discount of each movie, shape (n,); 1 for those that were not shown."""
        discounts = np.ones(len(movie_ids))
        positions, was_shown = positions_in(self.movie_ids, movie_ids)
        discounts[was_shown] = self.discounts[positions[was_shown]]
        return discounts

    def without(self, rated_ids: NDArray[np.int64]) -> "Impressions":
        """Return the films that are not among the rated ones, (n_rated,)."""
        was_taken = np.isin(self.movie_ids, rated_ids) if len(self) else np.zeros(0, np.bool_)
        return Impressions(self.movie_ids[~was_taken], self.discounts[~was_taken]) if was_taken.any() else self

    def __len__(self) -> int:
        """Return the number of films."""
        return len(self.movie_ids)


NO_IMPRESSIONS = Impressions(np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True, slots=True, eq=False)
class ShownMovies:
    """Every film of the lists that were shown to a user lately, in any order.

    Attributes:
        shown_at: (n,) microseconds since 1970-01-01 UTC.
        movie_ids: (n,).
    """

    shown_at: NDArray[np.int64]
    movie_ids: NDArray[np.int64]

    @classmethod
    def none(cls) -> "ShownMovies":
        """Return no films."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Visit:
    """The visit of a moment, and the films of earlier visits that step back."""

    started_at: int
    impressions: Impressions

    @classmethod
    def at(cls, moment: int, shown: ShownMovies, step_back: float) -> "Visit":
        """Return the visit of a user at a moment, microseconds since 1970-01-01 UTC.

        Args:
            moment: the time of a request; lists after it count as shown then.
            shown: the films shown to the user before.
            step_back: 0 to 1; a film with weights of the sum n keeps ``(1 - step_back) ** max(0, n - FREE_VISITS)`` of
                its utility.
        """
        moments, of_row = np.unique(np.append(np.minimum(shown.shown_at, moment), moment), return_inverse=True)
        starts = starts_of_visits(moments)
        current = int(starts[-1])
        weights = np.where(starts < current, np.maximum(0.0, 1 - (current - starts) / REMEMBERED_MICROSECONDS), 0.0)
        movie_ids, of_movie = np.unique(shown.movie_ids, return_inverse=True)
        first_of_visit = np.searchsorted(starts, starts)
        once = np.unique(of_movie * len(moments) + first_of_visit[of_row[:-1]])
        n_shown = np.bincount(once // len(moments), weights[once % len(moments)], len(movie_ids))
        steps = n_shown > FREE_VISITS
        discounts = np.power(1.0 - step_back, n_shown[steps] - FREE_VISITS, dtype=np.float64)
        return cls(current, Impressions(movie_ids[steps], discounts) if steps.any() else NO_IMPRESSIONS)

    def goes_on(self, last_response_at: int, moment: int) -> bool:
        """Return whether a request at a moment belongs to this visit, whose last response so far is given."""
        is_long = moment - self.started_at >= LONGEST_VISIT_MICROSECONDS
        return moment - last_response_at < VISIT_GAP_MICROSECONDS and not is_long


def starts_of_visits(moments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the start of the visit of each response, shape (n,), from their rising times."""
    starts = moments.copy()
    for at in range(1, len(moments)):
        is_near = moments[at] - moments[at - 1] < VISIT_GAP_MICROSECONDS
        if is_near and moments[at] - starts[at - 1] < LONGEST_VISIT_MICROSECONDS:
            starts[at] = starts[at - 1]
    return starts


def stepped_back(discounts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the order in which contenders are listed, shape (k,), after each film's utility is discounted.

    The utility of place p, from 1, is ``1 / log2(p + 1)``, as in nDCG: it depends on no scale of scores. A film falls
    behind those whose discounted utility is greater; equal ones keep their order.

    Args:
        discounts: (k,) the discount of each contender, best first.
    """
    utilities = discounts / np.log2(np.arange(2, len(discounts) + 2))
    return np.argsort(-utilities, kind="stable")

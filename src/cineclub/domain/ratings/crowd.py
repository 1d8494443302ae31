"""The crowd's counts: likes of each movie, decayed by several half-lives, as of a moment.

Decayed sums advance by one multiplication: with a half-life h, the sum at t' is that at t times 2^-((t' - t) / h), plus
the likes in between (Cormode, Shkapenyuk, Srivastava & Xu 2009, forward decay).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.popularity import (
    MICROSECONDS_PER_DAY,
    ROGUE_GAP_MICROSECONDS,
    n_rogue_of,
    plausible_newest,
)

HALF_LIVES_DAYS = (1.0, 3.0, 7.0, 14.0, 30.0, 90.0)
"""The half-lives of the counts; each count has one row for each of them."""

GRANULE_MICROSECONDS = 5 * 60 * 1_000_000
"""Counts change on a grid of five minutes in UTC: a like is counted from the next grid line on."""

FULL_WEIGHT_RATINGS = 10
"""A user's ratings of one day beyond so many weigh less, so that one person's burst is no trend."""

STANDSTILL_MICROSECONDS = 7 * MICROSECONDS_PER_DAY
"""The crowd's clock stands still so long after the newest like: after an outage the last trends are still known."""

OLDER_DAYS = 2
"""Ratings from before the start of the UTC day so many days ago are the older part of the counts."""

EPOCHS_PER_GRANULE = 1000
"""Counts of one grid line that differ, as ratings of the past changed meanwhile, have epochs of their own."""

USUAL_GAP_QUANTILE = 0.99
ROGUE_GAP_FACTOR = 20.0
"""A gap between likes that is so many times as long as nearly all others is the mistake of a clock."""

_HALF_LIVES = np.array(HALF_LIVES_DAYS)[:, None] * MICROSECONDS_PER_DAY


def granule_of(moment: int) -> int:
    """Return the grid line at or before a moment, both in microseconds since 1970-01-01 UTC."""
    return moment // GRANULE_MICROSECONDS * GRANULE_MICROSECONDS


def start_of_recent(moment: int) -> int:
    """Return the start of the UTC day before yesterday: earlier ratings change rarely, and no UTC day is split."""
    return (moment // MICROSECONDS_PER_DAY - OLDER_DAYS) * MICROSECONDS_PER_DAY


def decay(age_microseconds: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Return the weight of likes by age, shape (n_half_lives, n): 1 at age 0, halved after each half-life."""
    weights: NDArray[np.float64] = np.exp2(-np.atleast_1d(np.asarray(age_microseconds)) / _HALF_LIVES)
    return weights


@dataclass(frozen=True, slots=True, eq=False)
class CountedLikes:
    """Likes in the order of time.

    Attributes:
        movie_ids: (n,) internal movie ids.
        rated_at: (n,) rising, microseconds since 1970-01-01 UTC.
        weights: (n,) above 0, at most 1; less than 1 in a burst of one user.
    """

    movie_ids: NDArray[np.int64]
    rated_at: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, log: RatingLog) -> "CountedLikes":
        """Return the likes of a log."""
        weights = burst_weights(log.user_ids, log.rated_at)
        return cls.of_columns(log.movie_ids, log.ratings, log.rated_at, weights, log.scale)

    @classmethod
    def of_columns(
        cls,
        movie_ids: NDArray[np.int64],
        ratings: NDArray[np.float32],
        rated_at: NDArray[np.int64],
        weights: NDArray[np.float64],
        scale: RatingScale,
    ) -> "CountedLikes":
        """Return the likes among ratings with weights, four columns of shape (n,) in any order."""
        liked = np.flatnonzero(ratings >= scale.relevance_threshold)
        order = liked[np.lexsort((movie_ids[liked], rated_at[liked]))]
        return cls(movie_ids[order], rated_at[order], weights[order])

    def __len__(self) -> int:
        """Return the number of likes."""
        return len(self.movie_ids)

    def between(self, start: int, end: int | None) -> "CountedLikes":
        """Return the likes with ``start`` <= time < ``end``; no end takes all later ones."""
        last = len(self) if end is None else int(np.searchsorted(self.rated_at, end))
        rows = slice(int(np.searchsorted(self.rated_at, start)), last)
        return CountedLikes(self.movie_ids[rows], self.rated_at[rows], self.weights[rows])

    def plausible_end(self) -> int:
        """Return the time of the newest like, without the few of a wrong clock behind all others; 0 for none.

        These are the newest likes, at most one of a thousand but always the last one, after a gap that the pace of the
        other likes does not explain: more than a day and more than 20 times the 99th percentile of their gaps. A gap of
        more than 30 days is enough at any pace.
        """
        return plausible_newest(self.rated_at, _rogue_gap(self.rated_at)) if len(self) else 0


def _rogue_gap(rated_at: NDArray[np.int64]) -> int:
    """Return the gap in microseconds after which a few newest of rising times, (n,), are of a wrong clock."""
    gaps = np.diff(rated_at[: len(rated_at) - n_rogue_of(len(rated_at))])
    if not len(gaps):
        return ROGUE_GAP_MICROSECONDS
    usual = float(np.quantile(gaps, USUAL_GAP_QUANTILE))
    return int(np.clip(ROGUE_GAP_FACTOR * usual, MICROSECONDS_PER_DAY, ROGUE_GAP_MICROSECONDS))


def burst_weights(user_ids: NDArray[np.int64], rated_at: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weight of each rating of a log in canonical order, shape (n,): min(1, 10 / k).

    k is the number of the user's ratings on the same UTC day up to and including the same instant, so that the order of
    ratings of one instant does not matter and no weight depends on a later rating.
    """
    if not len(user_ids):
        return np.empty(0)
    rows = np.arange(len(user_ids))
    days = rated_at // MICROSECONDS_PER_DAY
    begins_day = np.concatenate(([True], (np.diff(user_ids) != 0) | (np.diff(days) != 0)))
    ends_instant = np.concatenate(((np.diff(user_ids) != 0) | (np.diff(rated_at) != 0), [True]))
    first = np.maximum.accumulate(np.where(begins_day, rows, 0))
    last = np.flatnonzero(ends_instant)
    last_of_instant = last[np.searchsorted(last, rows)]
    return np.minimum(1.0, FULL_WEIGHT_RATINGS / (last_of_instant - first + 1))


def epoch_of(granule: int) -> int:
    """Return the epoch of the first counts of a grid line; each change of them within the grid line adds one."""
    return granule // GRANULE_MICROSECONDS * EPOCHS_PER_GRANULE


@dataclass(frozen=True, slots=True, eq=False)
class CrowdCounts:
    """The decayed counts of all liked movies as of one moment.

    Attributes:
        movie_ids: (n_movies,) rising; the movies with likes.
        sums: (n_half_lives, n_movies) weights of the likes, decayed up to ``clock``.
        clock: the time up to which sums are decayed, microseconds since 1970-01-01 UTC.
        moment: the grid line up to which likes are counted; after ``clock`` where the clock stands still.
        newest_liked_at: the newest counted like; None without any.
        epoch: changes whenever the counts of a service change (``epoch_of``); remembered responses are keyed by it.
    """

    movie_ids: NDArray[np.int64]
    sums: NDArray[np.float64]
    clock: int
    moment: int
    newest_liked_at: int | None
    epoch: int = 0

    @classmethod
    def of(cls, likes: CountedLikes, moment: int) -> "CrowdCounts":
        """Return the counts of the likes before the grid line of a moment."""
        granule = granule_of(moment)
        known = likes.between(np.iinfo(np.int64).min, granule)
        newest = int(known.rated_at[-1]) if len(known) else None
        clock = clock_at(granule, newest)
        movie_ids, positions = np.unique(known.movie_ids, return_inverse=True)
        sums = _summed(decay(clock - known.rated_at) * known.weights, positions, len(movie_ids))
        return cls(movie_ids, sums, clock, granule, newest, epoch_of(granule))

    @classmethod
    def empty(cls, moment: int) -> "CrowdCounts":
        """Return the counts of nobody's likes before the grid line of a moment."""
        granule = granule_of(moment)
        return cls(np.empty(0, np.int64), np.empty((len(HALF_LIVES_DAYS), 0)), granule, granule, None)

    def with_recent(self, recent: "CrowdCounts", n_changes: int = 0) -> "CrowdCounts":
        """Return these counts, of older ratings, advanced to the moment of ``recent`` and added to those counts.

        Likes that are dated after now are part of ``recent`` with weight 1, and do not move the clock. All other
        likes of ``recent`` are younger than the standstill, so that it is decayed up to the common clock.

        Args:
            recent: the counts of the likes from this moment on.
            n_changes: how often the counts of the grid line changed, for the epoch.
        """
        newest = self.newest_liked_at if recent.newest_liked_at is None else recent.newest_liked_at
        clock = clock_at(recent.moment, newest)
        movie_ids = np.union1d(self.movie_ids, recent.movie_ids)
        sums = np.zeros((len(HALF_LIVES_DAYS), len(movie_ids)))
        sums[:, np.searchsorted(movie_ids, self.movie_ids)] = self.sums * decay(clock - self.clock)
        sums[:, np.searchsorted(movie_ids, recent.movie_ids)] += recent.sums
        return CrowdCounts(movie_ids, sums, clock, recent.moment, newest, epoch_of(recent.moment) + n_changes)

    def is_same_as(self, other: "CrowdCounts") -> bool:
        """Return whether both are the same counts of the same moment, whatever their epochs."""
        return (
            (self.moment, self.clock) == (other.moment, other.clock)
            and np.array_equal(self.movie_ids, other.movie_ids)
            and np.array_equal(self.sums, other.sums)
        )

    def aligned(self, movie_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the sums of the movies of a vocabulary, shape (n_half_lives, n_movies); 0 for those without likes."""
        aligned = np.zeros((len(HALF_LIVES_DAYS), len(movie_ids)))
        positions, known = positions_in(self.movie_ids, movie_ids)
        aligned[:, known] = self.sums[:, positions[known]]
        return aligned


OlderChanges = Literal["none", "some", "erasure", "unknown"]
"""What happened to older ratings since their counts were read: a rating changed, or somebody was erased."""


@dataclass(frozen=True, slots=True, eq=False)
class OlderCounts:
    """The counts of the older ratings.

    Attributes:
        counts: as of the start of a UTC day.
        seen: a mark of the changes that the read has seen, different for each read.
        read_at: when the read began.
        read_seconds: how long it took.
    """

    counts: CrowdCounts
    seen: str
    read_at: datetime
    read_seconds: float


def clock_at(moment: int, newest_liked_at: int | None) -> int:
    """Return the time up to which counts decay: the moment, at most a week after the newest like before it."""
    return moment if newest_liked_at is None else min(moment, newest_liked_at + STANDSTILL_MICROSECONDS)


def positions_in(rising: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the position of each wanted id among rising ids, and a mask of those that are there, both (n_wanted,)."""
    positions = np.searchsorted(rising, wanted)
    known = positions < len(rising)
    known[known] = rising[positions[known]] == wanted[known]
    return positions, known


@dataclass(frozen=True, slots=True, eq=False)
class CrowdWindow:
    """The crowd in a window of time: the counts at its start, and the likes in it.

    Attributes:
        before: the counts as of the start.
        likes: those from the grid line of the start on.
    """

    before: CrowdCounts
    likes: CountedLikes

    @classmethod
    def of(cls, log: RatingLog, start: int, end: int | None) -> "CrowdWindow":
        """Return the crowd of a log from ``start`` up to, without, ``end``; None takes all later ratings."""
        likes = CountedLikes.of(log)
        before = CrowdCounts.of(likes, start)
        return cls(before, likes.between(before.moment, end))

    def sums_at(
        self, moments: NDArray[np.int64], movie_ids: NDArray[np.int64]
    ) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield for each moment, (n,) rising, its grid line and the sums (n_half_lives, n_movies) of a vocabulary.

        The very same array is yielded while the grid line stays the same, and no array is changed later.
        """
        sums, clock, newest = self.before.aligned(movie_ids), self.before.clock, self.before.newest_liked_at
        positions, known = positions_in(movie_ids, self.likes.movie_ids)
        granule, done = self.before.moment, 0
        for moment in moments.tolist():
            if granule_of(moment) > granule:
                granule = granule_of(moment)
                upto = done + int(np.searchsorted(self.likes.rated_at[done:], granule))
                newest = int(self.likes.rated_at[upto - 1]) if upto > done else newest
                next_clock = clock_at(granule, newest)
                rows = np.arange(done, upto)[known[done:upto]]
                gained = decay(next_clock - self.likes.rated_at[rows]) * self.likes.weights[rows]
                sums = sums * decay(next_clock - clock) + _summed(gained, positions[rows], len(movie_ids))
                clock, done = next_clock, upto
            yield granule, sums


def _summed(weights: NDArray[np.float64], positions: NDArray[np.int64], n_movies: int) -> NDArray[np.float64]:
    """Return the sum of the weights, (n_half_lives, n), of the likes of each movie, (n_half_lives, n_movies)."""
    return np.array([np.bincount(positions, of_half_life, minlength=n_movies) for of_half_life in weights])

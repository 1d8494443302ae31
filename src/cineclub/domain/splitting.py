"""Which ratings a model may learn from, and which people it is judged on with which of their ratings."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import NotEnoughData
from cineclub.domain.ratings import RatingLog, RatingScale, UserRatings
from cineclub.domain.training_plan import TrainingPlan

SplitKind = Literal["time", "random", "last-out"]
LARGEST_JUDGED_SHARE = 0.6
"""How much of the ratings test windows and validation window may take together before no window is added."""


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """People with what is known of them and what is held out, in compressed rows, a row a person.

    Attributes:
        user_ids: (n_users,) rising.
        known: what the model is told about them, from every film, also from those it did not learn.
        known_starts: (n_users + 1,) where each person's known ratings begin.
        held_out: what they rated later; no film of it is known of the same person.
        held_out_starts: (n_users + 1,) where each person's held-out ratings begin.
        n_users_without_history: people with held-out ratings of whom nothing is known: every model answers them with
            the popular films, so they are counted and not judged.
        movie_ids: (n_movies,) rising; the films of the ratings a model may learn from.
        rater_shares: (n_movies,) the share of the learning users who rated each of them.
    """

    user_ids: NDArray[np.int64]
    known: RatingLog
    known_starts: NDArray[np.int64]
    held_out: RatingLog
    held_out_starts: NDArray[np.int64]
    n_users_without_history: int
    movie_ids: NDArray[np.int64]
    rater_shares: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of people."""
        return len(self.user_ids)

    @property
    def scale(self) -> RatingScale:
        """What the ratings may be."""
        return self.known.scale

    @property
    def n_known(self) -> NDArray[np.int64]:
        """How many ratings are known of each person, shape (n_users,), at least one."""
        return np.diff(self.known_starts)

    def user_ids_who_like(self) -> NDArray[np.int64]:
        """Return the people, rising, who like something of what is held out of them: whose lists can be judged."""
        rows = np.repeat(np.arange(len(self)), np.diff(self.held_out_starts))
        is_liked = self.held_out.ratings >= self.scale.relevance_threshold
        return self.user_ids[np.unique(rows[is_liked])]

    def sampled(self, most: int, rng: np.random.Generator) -> "JudgedWindow":
        """Return the window of at most so many people, drawn at random; the window itself if it holds no more."""
        if len(self) <= most:
            return self
        is_drawn = np.zeros(len(self), np.bool_)
        is_drawn[rng.permutation(len(self))[:most]] = True
        known, known_starts = _of_people(self.known, self.known_starts, is_drawn)
        held_out, held_out_starts = _of_people(self.held_out, self.held_out_starts, is_drawn)
        return replace(
            self,
            user_ids=self.user_ids[is_drawn],
            known=known,
            known_starts=known_starts,
            held_out=held_out,
            held_out_starts=held_out_starts,
        )

    def known_of(self, row: int) -> UserRatings:
        """Return what is known of the person at ``row``."""
        return _part(self.known, self.known_starts, row)

    def held_out_of(self, row: int) -> UserRatings:
        """Return what is held out of the person at ``row``."""
        return _part(self.held_out, self.held_out_starts, row)


@dataclass(frozen=True, slots=True)
class Split:
    """The ratings that a model may learn from, and the people it is judged on."""

    fit: RatingLog
    window: JudgedWindow


@dataclass(frozen=True, slots=True)
class TimeCuts:
    """Where the validation window and the test windows begin, microseconds since 1970-01-01 UTC, rising.

    Each test window ends where the next begins, the last with the newest rating.
    """

    validation_start: int
    test_starts: tuple[int, ...]

    @property
    def test_start(self) -> int:
        """Where the first test window begins: whatever is chosen is chosen from what lies before."""
        return self.test_starts[0]

    @property
    def windows(self) -> tuple[tuple[int, int | None], ...]:
        """The start and the end of each test window; the last has no end."""
        return tuple(zip(self.test_starts, (*self.test_starts[1:], None), strict=True))


def time_cuts(log: RatingLog, validation_fraction: float, test_fraction: float, n_windows: int = 1) -> TimeCuts:
    """Return the cuts that leave the newest ratings to test, and those before them to tune.

    There are ``n_windows`` test windows, one after the other, each with ``test_fraction`` of the ratings.
    Ratings of one instant stay together, so a window can hold a few more ratings than its fraction.

    Raises:
        NotEnoughData: the ratings lie in too few instants for the periods.
    """
    if not len(log):
        message = "there are no ratings to learn from: import some with `cineclub import PATH`"
        raise NotEnoughData(message)
    starts = [_start_of_newest(log, nth * test_fraction) for nth in range(n_windows, 0, -1)]
    validation_start = _start_of_newest(log, n_windows * test_fraction + validation_fraction)
    periods = [int(log.rated_at.min()), validation_start, *starts]
    if not all(earlier < later for earlier, later in pairwise(periods)):
        message = (
            f"{len(log)} ratings lie in too few instants to be cut into a fitting period, a validation window and a "
            "test window: import ratings with the times at which they were given"
        )
        raise NotEnoughData(message)
    return TimeCuts(validation_start, tuple(starts))


def rolling_cuts(log: RatingLog, plan: TrainingPlan) -> TimeCuts:
    """Return the cuts with the fewest test windows in which the people wanted can be judged, or with all there may be.

    Test windows and validation window take at most ``LARGEST_JUDGED_SHARE``, unless there is one test window alone.

    Raises:
        NotEnoughData: the ratings lie in too few instants for one test window.
    """
    cuts = time_cuts(log, plan.validation_fraction, plan.test_fraction)
    for n_windows in range(2, plan.max_test_windows + 1):
        share = n_windows * plan.test_fraction + plan.validation_fraction
        if share > LARGEST_JUDGED_SHARE or _n_judged(log, cuts) >= plan.wanted_judged_users:
            break
        try:
            cuts = time_cuts(log, plan.validation_fraction, plan.test_fraction, n_windows)
        except NotEnoughData:
            break
    return cuts


def _n_judged(log: RatingLog, cuts: TimeCuts) -> int:
    """Return how many people like something of what the test windows hold out of them."""
    likers = [split_at(log, start, end).window.user_ids_who_like() for start, end in cuts.windows]
    return len(np.unique(np.concatenate(likers)))


def _start_of_newest(log: RatingLog, fraction: float) -> int:
    """Return the time from which the newest ``fraction`` of the ratings were given."""
    if not len(log):
        return 0
    n_newest = math.ceil(round(fraction * len(log), 6))  # three times 0.1 is a little more than 0.3
    position = max(len(log) - n_newest, 0)
    return int(np.partition(log.rated_at, position)[position])


def split_at(log: RatingLog, start: int, end: int | None = None) -> Split:
    """Return the split whose fitting ratings are older than ``start`` and whose window is ``start`` <= time < ``end``.

    A person of the window is known by their ratings before it and the first half, rounded down, of those in it.
    """
    is_before = log.rated_at < start
    is_in_window = ~is_before if end is None else ~is_before & (log.rated_at < end)
    users = _user_indices(log)
    n_in_window = np.bincount(users[is_in_window], minlength=log.n_users)
    nth_in_window = _nth_of_user(users, is_in_window)
    is_first_half = is_in_window & (nth_in_window < n_in_window[users] // 2)
    return _split_of(log, is_before, is_before | is_first_half, is_in_window & ~is_first_half)


def split_by_time(log: RatingLog, test_fraction: float) -> Split:
    """Return the split at the time from which the newest ``test_fraction`` of the ratings were given."""
    return split_at(log, _start_of_newest(log, test_fraction))


def split_at_random(log: RatingLog, test_fraction: float, rng: np.random.Generator) -> Split:
    """Return a split that holds out random ratings: it lets models see the future, and serves comparisons only."""
    is_held_out = np.zeros(len(log), np.bool_)
    is_held_out[rng.permutation(len(log))[: math.ceil(test_fraction * len(log))]] = True
    return _split_of(log, ~is_held_out, ~is_held_out, is_held_out)


def split_last_out(log: RatingLog, test_fraction: float) -> Split:
    """Return a split that holds out each user's last ceil(fraction x n) ratings."""
    users = _user_indices(log)
    n_ratings = np.bincount(users, minlength=log.n_users)
    nth = _nth_of_user(users, np.ones(len(log), np.bool_))
    is_held_out = nth >= (n_ratings - np.ceil(test_fraction * n_ratings))[users]
    return _split_of(log, ~is_held_out, ~is_held_out, is_held_out)


def split_ratings(log: RatingLog, kind: SplitKind, test_fraction: float, rng: np.random.Generator) -> Split:
    """Return the split of the kind asked for; only ``random`` draws from ``rng``."""
    if kind == "time":
        return split_by_time(log, test_fraction)
    if kind == "last-out":
        return split_last_out(log, test_fraction)
    return split_at_random(log, test_fraction, rng)


def _split_of(
    log: RatingLog,
    may_fit: NDArray[np.bool_],
    is_known: NDArray[np.bool_],
    is_held_out: NDArray[np.bool_],
) -> Split:
    """Return the split of three masks over the log, each of shape (n_ratings,)."""
    users = _user_indices(log)
    has_held_out = np.bincount(users[is_held_out], minlength=log.n_users) > 0
    n_known = np.bincount(users[is_known], minlength=log.n_users)
    is_judged = has_held_out & (n_known > 0)
    known_rows = is_known & is_judged[users]
    held_out_rows = is_held_out & is_judged[users]
    fit = log.take(may_fit)
    movie_ids, n_raters = np.unique(fit.movie_ids, return_counts=True)
    window = JudgedWindow(
        user_ids=np.unique(log.user_ids)[is_judged],
        known=log.take(known_rows),
        known_starts=_starts(users[known_rows], is_judged),
        held_out=log.take(held_out_rows),
        held_out_starts=_starts(users[held_out_rows], is_judged),
        n_users_without_history=int(np.count_nonzero(has_held_out & ~is_judged)),
        movie_ids=movie_ids,
        rater_shares=n_raters / max(fit.n_users, 1),
    )
    return Split(fit, window)


def _part(log: RatingLog, starts: NDArray[np.int64], row: int) -> UserRatings:
    """Return the ratings of the person at ``row`` as a view."""
    rows = slice(starts[row], starts[row + 1])
    return UserRatings(log.movie_ids[rows], log.ratings[rows], log.rated_at[rows])


def _of_people(
    log: RatingLog, starts: NDArray[np.int64], is_kept: NDArray[np.bool_]
) -> tuple[RatingLog, NDArray[np.int64]]:
    """Return the ratings of some people, shape (n_people,), and where each one's begin."""
    counts = np.diff(starts)
    kept_starts = np.concatenate(([0], np.cumsum(counts[is_kept]))).astype(np.int64)
    return log.take(np.repeat(is_kept, counts)), kept_starts


def _starts(users: NDArray[np.int64], is_judged: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return where each judged user's rows begin, shape (n_judged + 1,)."""
    counts = np.bincount(users, minlength=len(is_judged))[is_judged]
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def _user_indices(log: RatingLog) -> NDArray[np.int64]:
    """Return the position of each row's user among the log's users, shape (n_ratings,)."""
    if not len(log):
        return np.empty(0, np.int64)
    return np.concatenate(([0], np.cumsum(np.diff(log.user_ids) != 0))).astype(np.int64)


def _nth_of_user(users: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many counted rows of the same user come before each row, shape (n_ratings,)."""
    before: NDArray[np.int64] = np.cumsum(counted) - counted
    if not len(users):
        return before
    first_rows = np.flatnonzero(np.diff(users, prepend=-1))
    return before - before[first_rows][users]

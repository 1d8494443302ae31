"""Splits of a rating log into the ratings to fit on and an evaluation window."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import NotEnoughData
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.ratings.log import RatingLog, RatingScale, UserRatings

UserSplitKind = Literal["time", "random", "last-out"]
"""Splits by user: each user's held-out ratings are judged from one history; models ignore the crowd's last days."""

SplitKind = Literal["prequential"] | UserSplitKind
LARGEST_EVALUATED_SHARE = 0.6
"""The share of the ratings in test and validation windows together above which no window is added."""


@dataclass(frozen=True, slots=True)
class EvaluationWindow:
    """Users with their known and their held-out ratings, in compressed rows, one for each user.

    Attributes:
        user_ids: (n_users,) rising.
        known: the histories that a model gets, also of movies outside its vocabulary.
        known_starts: (n_users + 1,) the start of each user's known ratings.
        held_out: later ratings, none of a movie that is known of the same user.
        held_out_starts: (n_users + 1,) the start of each user's held-out ratings.
        n_users_without_history: the number of users with held-out ratings and no known ones: every model recommends
            popular movies to them, so they are not evaluated.
        movie_ids: (n_movies,) rising; the movies of the ratings to fit on.
        rater_shares: (n_movies,) the share of the users in the ratings to fit on who rated each of them.
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
        """Return the number of users."""
        return len(self.user_ids)

    @property
    def scale(self) -> RatingScale:
        """The scale of the ratings."""
        return self.known.scale

    @property
    def known_parts(self) -> tuple[RatingLog, NDArray[np.int64], NDArray[np.int64]]:
        """A log, and where each user's history starts and ends in it, both (n_users,)."""
        return self.known, self.known_starts[:-1], self.known_starts[1:]

    @property
    def n_known(self) -> NDArray[np.int64]:
        """The number of known ratings of each user, shape (n_users,), at least one."""
        return np.diff(self.known_starts)

    def user_ids_who_like(self) -> NDArray[np.int64]:
        """Return the users, rising, who like a held-out movie: their lists can be evaluated."""
        rows = np.repeat(np.arange(len(self)), np.diff(self.held_out_starts))
        is_liked = self.held_out.ratings >= self.scale.relevance_threshold
        return self.user_ids[np.unique(rows[is_liked])]

    def sampled(self, most: int, rng: np.random.Generator) -> "EvaluationWindow":
        """Return the window of at most ``most`` users, drawn at random; the window itself if it has no more."""
        if len(self) <= most:
            return self
        is_drawn = np.zeros(len(self), np.bool_)
        is_drawn[rng.permutation(len(self))[:most]] = True
        known, known_starts = _of_users(self.known, self.known_starts, is_drawn)
        held_out, held_out_starts = _of_users(self.held_out, self.held_out_starts, is_drawn)
        return replace(
            self,
            user_ids=self.user_ids[is_drawn],
            known=known,
            known_starts=known_starts,
            held_out=held_out,
            held_out_starts=held_out_starts,
        )

    def known_of(self, row: int) -> UserRatings:
        """Return the known ratings of the user at ``row``."""
        return _part(self.known, self.known_starts, row)

    def held_out_of(self, row: int) -> UserRatings:
        """Return the held-out ratings of the user at ``row``."""
        return _part(self.held_out, self.held_out_starts, row)


@dataclass(frozen=True, slots=True)
class Split:
    """The ratings to fit on, and the window to evaluate on."""

    fit: RatingLog
    window: EvaluationWindow


@dataclass(frozen=True, slots=True)
class TimeCuts:
    """The starts of the validation window and the test windows, microseconds since 1970-01-01 UTC, rising.

    Each test window ends at the start of the next, the last with the newest rating.
    """

    validation_start: int
    test_starts: tuple[int, ...]

    @property
    def test_start(self) -> int:
        """The start of the first test window; recipes are chosen on earlier ratings."""
        return self.test_starts[0]

    @property
    def windows(self) -> tuple[tuple[int, int | None], ...]:
        """The start and the end of each test window; the last has no end."""
        return tuple(zip(self.test_starts, (*self.test_starts[1:], None), strict=True))


def time_cuts(log: RatingLog, validation_fraction: float, test_fraction: float, n_windows: int = 1) -> TimeCuts:
    """Return the cuts with the newest ratings in the test windows, and those before them in the validation window.

    There are ``n_windows`` test windows, one after the other, each with ``test_fraction`` of the ratings.
    Ratings of one instant stay together, so a window can hold a few more ratings than its fraction.

    Raises:
        NotEnoughData: the ratings lie in too few instants for the periods.
    """
    if not len(log):
        message = "there are no ratings to learn from: import some with `cineclub import PATH`"
        raise NotEnoughData(message)
    starts = [start_of_newest(log, nth * test_fraction) for nth in range(n_windows, 0, -1)]
    validation_start = start_of_newest(log, n_windows * test_fraction + validation_fraction)
    periods = [int(log.rated_at.min()), validation_start, *starts]
    if not all(earlier < later for earlier, later in pairwise(periods)):
        message = (
            f"{len(log)} ratings lie in too few instants to be cut into a fitting period, a validation window and a "
            "test window: import ratings with the times at which they were given"
        )
        raise NotEnoughData(message)
    return TimeCuts(validation_start, tuple(starts))


def rolling_cuts(log: RatingLog, plan: TrainingPlan) -> TimeCuts:
    """Return the cuts with the fewest test windows that have the wanted number of evaluated users, or with the most.

    Test and validation windows take at most ``LARGEST_EVALUATED_SHARE``, unless there is only one test window.

    Raises:
        NotEnoughData: the ratings lie in too few instants for one test window.
    """
    cuts = time_cuts(log, plan.validation_fraction, plan.test_fraction)
    for n_windows in range(2, plan.max_test_windows + 1):
        share = n_windows * plan.test_fraction + plan.validation_fraction
        if share > LARGEST_EVALUATED_SHARE or _n_evaluated_users(log, cuts) >= plan.wanted_judged_users:
            break
        try:
            cuts = time_cuts(log, plan.validation_fraction, plan.test_fraction, n_windows)
        except NotEnoughData:
            break
    return cuts


def _n_evaluated_users(log: RatingLog, cuts: TimeCuts) -> int:
    """Return the number of different users in the test windows who like a held-out movie."""
    is_liked = (log.rated_at >= cuts.test_start) & (log.ratings >= log.scale.relevance_threshold)
    return len(np.unique(log.user_ids[is_liked]))


def start_of_newest(log: RatingLog, fraction: float) -> int:
    """Return the time of the oldest of the newest ``fraction`` of the ratings."""
    if not len(log):
        return 0
    n_newest = math.ceil(round(fraction * len(log), 6))  # three times 0.1 is a little more than 0.3
    position = max(len(log) - n_newest, 0)
    return int(np.partition(log.rated_at, position)[position])


def split_at(log: RatingLog, start: int, end: int | None = None) -> Split:
    """Return the split with the ratings before ``start`` to fit on and the window ``start`` <= time < ``end``.

    The known ratings of a user are those before the window and the first half, rounded down, of those in it.
    """
    is_before = log.rated_at < start
    is_in_window = ~is_before if end is None else ~is_before & (log.rated_at < end)
    users = _user_indices(log)
    n_in_window = np.bincount(users[is_in_window], minlength=log.n_users)
    nth_in_window = _nth_of_user(users, is_in_window)
    is_first_half = is_in_window & (nth_in_window < n_in_window[users] // 2)
    return _split_of(log, is_before, is_before | is_first_half, is_in_window & ~is_first_half)


def split_by_time(log: RatingLog, test_fraction: float) -> Split:
    """Return the split with the newest ``test_fraction`` of the ratings in the window."""
    return split_at(log, start_of_newest(log, test_fraction))


def split_at_random(log: RatingLog, test_fraction: float, rng: np.random.Generator) -> Split:
    """Return a split that holds out random ratings; models see the future, so it serves comparisons only."""
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


def split_users(log: RatingLog, kind: UserSplitKind, test_fraction: float, rng: np.random.Generator) -> Split:
    """Return the split of a kind; only ``random`` draws from ``rng``."""
    if kind == "time":
        return split_by_time(log, test_fraction)
    if kind == "last-out":
        return split_last_out(log, test_fraction)
    return split_at_random(log, test_fraction, rng)


def _split_of(
    log: RatingLog, may_fit: NDArray[np.bool_], is_known: NDArray[np.bool_], is_held_out: NDArray[np.bool_]
) -> Split:
    """Return the split of three masks over the log, each of shape (n_ratings,).

    The ratings to fit on have no catalogue: a movie in it that is held out alone would be one that people are to rate.
    """
    users = _user_indices(log)
    has_held_out = np.bincount(users[is_held_out], minlength=log.n_users) > 0
    n_known = np.bincount(users[is_known], minlength=log.n_users)
    is_evaluated = has_held_out & (n_known > 0)
    known_rows = is_known & is_evaluated[users]
    held_out_rows = is_held_out & is_evaluated[users]
    fit = replace(log.take(may_fit), catalogue=None)
    movie_ids, n_raters = np.unique(fit.movie_ids, return_counts=True)
    window = EvaluationWindow(
        user_ids=np.unique(log.user_ids)[is_evaluated],
        known=log.take(known_rows),
        known_starts=_starts(users[known_rows], is_evaluated),
        held_out=log.take(held_out_rows),
        held_out_starts=_starts(users[held_out_rows], is_evaluated),
        n_users_without_history=int(np.count_nonzero(has_held_out & ~is_evaluated)),
        movie_ids=movie_ids,
        rater_shares=n_raters / max(fit.n_users, 1),
    )
    return Split(fit, window)


def _part(log: RatingLog, starts: NDArray[np.int64], row: int) -> UserRatings:
    """Return the ratings of the user at ``row`` as a view."""
    rows = slice(starts[row], starts[row + 1])
    return UserRatings(log.movie_ids[rows], log.ratings[rows], log.rated_at[rows])


def _of_users(
    log: RatingLog, starts: NDArray[np.int64], is_kept: NDArray[np.bool_]
) -> tuple[RatingLog, NDArray[np.int64]]:
    """Return the ratings of the users of a mask, shape (n_users,), and the start of each user's."""
    counts = np.diff(starts)
    kept_starts = np.concatenate(([0], np.cumsum(counts[is_kept]))).astype(np.int64)
    return log.take(np.repeat(is_kept, counts)), kept_starts


def _starts(users: NDArray[np.int64], is_evaluated: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the start of each evaluated user's rows, shape (n_evaluated_users + 1,)."""
    counts = np.bincount(users, minlength=len(is_evaluated))[is_evaluated]
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def _user_indices(log: RatingLog) -> NDArray[np.int64]:
    """Return the position of each row's user among the log's users, shape (n_ratings,)."""
    if not len(log):
        return np.empty(0, np.int64)
    return np.concatenate(([0], np.cumsum(np.diff(log.user_ids) != 0))).astype(np.int64)


def _nth_of_user(users: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of counted rows of the same user before each row, shape (n_ratings,)."""
    before: NDArray[np.int64] = np.cumsum(counted) - counted
    if not len(users):
        return before
    first_rows = np.flatnonzero(np.diff(users, prepend=-1))
    return before - before[first_rows][users]

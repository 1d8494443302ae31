"""Split of ratings by time into a past, which is imported, and equal simulated days, which are played."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.domain.ratings.imported import RatingRows

PAST_SHARE = 0.7
MAX_DAILY_RATINGS = 100
"""Ratings of one user on one simulated day; a session of a thousand ratings is not a normal visit."""

MIN_RATINGS_PER_DAY = 20
MAX_WINDOW_DAYS = 7
SHARE_OF_FULL_WINDOWS = 0.8
MARGIN = 1.25
"""Users in a typical drift window, as a multiple of the users that a check needs, so that quiet windows have enough."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The time of each rating, by its position in the rows that were split.

    Attributes:
        past: (n_past,) positions of the imported ratings, in order of time.
        days_before: (n_past,) simulated days between each of them and the start of the month, above 0.
        days: the positions of the ratings played on each day, in order of time.
        n_left_out: ratings that are not played because their user reached the daily limit.
        n_past_days: simulated days that the past fills, as dense as the played ones.
    """

    past: NDArray[np.int64]
    days_before: NDArray[np.float64]
    days: tuple[NDArray[np.int64], ...]
    n_left_out: int
    n_past_days: int

    @property
    def n_played(self) -> int:
        """The number of played ratings."""
        return sum(map(len, self.days))


def split_by_time(rows: RatingRows, n_days: int, max_daily_ratings: int = MAX_DAILY_RATINGS) -> Calendar:
    """Return the calendar of a month of equal days: the newest ratings are played, the older ones are its past.

    Before the daily limit, each day holds the same number of ratings. Ratings of one user beyond
    ``max_daily_ratings`` a day are left out of the month. In the past they are imported too, but dated before all its
    days, so that past days resemble played days.

    Raises:
        InvalidInput: ``n_days`` or ``max_daily_ratings`` is below 1.
        NotEnoughData: there are too few ratings to fill the days.
    """
    if n_days < 1 or max_daily_ratings < 1:
        message = f"a month needs at least one day and one rating a person, not {n_days} and {max_daily_ratings}"
        raise InvalidInput(message)
    order = np.lexsort((rows.movie_codes, rows.user_codes, rows.rated_at))
    n_past = int(PAST_SHARE * len(order))
    played, past = order[n_past:], order[:n_past]
    if len(played) < MIN_RATINGS_PER_DAY * n_days:
        needed = int(np.ceil(MIN_RATINGS_PER_DAY * n_days / (1 - PAST_SHARE)))
        message = f"{n_days} days need at least {needed} ratings, there are {len(order)}: choose fewer days"
        raise NotEnoughData(message)
    n_per_day = len(played) / n_days
    day_of_played = (np.arange(len(played)) / n_per_day).astype(np.int64)
    is_kept = _n_earlier_of_user(day_of_played, rows.user_codes[played]) < max_daily_ratings
    days = tuple(played[is_kept & (day_of_played == day)] for day in range(n_days))
    n_past_days = int(np.ceil(n_past / n_per_day))
    days_before = np.arange(n_past, 0, -1) / n_per_day
    is_beyond = _n_earlier_of_user(np.ceil(days_before).astype(np.int64), rows.user_codes[past]) >= max_daily_ratings
    days_before[is_beyond] = n_past_days + 1 - np.arange(is_beyond.sum()) / max(1, is_beyond.sum())
    return Calendar(past, days_before, days, int((~is_kept).sum()), n_past_days)


def shortest_window_days(calendar: Calendar, user_codes: NDArray[np.int32], min_users: int) -> int:
    """Return the shortest window, in days from 1 to 7, of which 80 % in the past have at least ``min_users`` users."""
    day = np.ceil(calendar.days_before).astype(np.int64)
    users = user_codes[calendar.past]
    for n_days in range(1, MAX_WINDOW_DAYS):
        windows = (calendar.n_past_days - day) // n_days
        is_inside = day <= calendar.n_past_days
        pairs = np.unique(np.stack([windows[is_inside], users[is_inside].astype(np.int64)]), axis=1)
        n_users = np.bincount(pairs[0] - pairs[0].min()) if pairs.size else np.zeros(1)
        if (n_users >= min_users).mean() >= SHARE_OF_FULL_WINDOWS:
            return n_days
    return MAX_WINDOW_DAYS


def _n_earlier_of_user(days: NDArray[np.int64], users: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return for each rating, shape (n,), the number of ratings that its user gave before it on the same day."""
    order = np.lexsort((np.arange(len(days)), users, days))
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (days[order][1:] != days[order][:-1]) | (users[order][1:] != users[order][:-1])
    starts = np.flatnonzero(is_first)
    n_earlier = np.empty(len(order), np.int64)
    n_earlier[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return n_earlier

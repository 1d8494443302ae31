"""Ratings cut by time into a past, which is imported, and equal simulated days, which are played."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.domain.imported_ratings import RatingRows

PAST_SHARE = 0.7
MOST_A_DAY = 100
"""How many ratings one person gives on a simulated day; a sitting of a thousand is no visit to a film club."""

FEWEST_A_DAY = 20
LONGEST_WINDOW_DAYS = 7
SHARE_OF_FULL_WINDOWS = 0.8


@dataclass(frozen=True, slots=True)
class Calendar:
    """When each rating happens, by its position in the rows that were cut.

    Attributes:
        past: (n_past,) positions of what is imported, in order of time.
        days_before: (n_past,) how many simulated days before the month begins each of them was given, above 0.
        days: the positions of what is played on each day, in order of time.
        n_left_out: ratings that are not played because their person gave enough on that day.
        n_past_days: how many simulated days the past fills, as dense as those that are played.
    """

    past: NDArray[np.int64]
    days_before: NDArray[np.float64]
    days: tuple[NDArray[np.int64], ...]
    n_left_out: int
    n_past_days: int

    @property
    def n_played(self) -> int:
        """How many ratings are played."""
        return sum(map(len, self.days))

    def taking(self, share: float) -> "Calendar":
        """Return the calendar of which only the first share of each day is played, above 0 and at most 1."""
        kept = tuple(day[: max(FEWEST_A_DAY, round(share * len(day)))] for day in self.days)
        left_out = self.n_left_out + self.n_played - sum(map(len, kept))
        return Calendar(self.past, self.days_before, kept, left_out, self.n_past_days)


def cut(rows: RatingRows, n_days: int, most_a_day: int = MOST_A_DAY) -> Calendar:
    """Return the calendar of a month of equal days: the newest ratings are played, the others are its past.

    A day holds equally many ratings as the data have them; what one person gave beyond ``most_a_day`` of them is left
    out. So that days of the past look like those to come, what is beyond that lies before all of them: still learned
    from, on no day of its own.

    Raises:
        InvalidInput: no day, or nobody may rate.
        NotEnoughData: too few ratings to fill the days.
    """
    if n_days < 1 or most_a_day < 1:
        message = f"a month needs at least one day and one rating a person, not {n_days} and {most_a_day}"
        raise InvalidInput(message)
    order = np.lexsort((rows.movie_codes, rows.user_codes, rows.rated_at))
    n_past = int(PAST_SHARE * len(order))
    played, past = order[n_past:], order[:n_past]
    if len(played) < FEWEST_A_DAY * n_days:
        needed = int(np.ceil(FEWEST_A_DAY * n_days / (1 - PAST_SHARE)))
        message = f"{n_days} days need at least {needed} ratings, there are {len(order)}: choose fewer days"
        raise NotEnoughData(message)
    a_day = len(played) / n_days
    day_of_played = (np.arange(len(played)) / a_day).astype(np.int64)
    is_kept = _nth_of_person(day_of_played, rows.user_codes[played]) < most_a_day
    days = tuple(played[is_kept & (day_of_played == day)] for day in range(n_days))
    n_past_days = int(np.ceil(n_past / a_day))
    days_before = np.arange(n_past, 0, -1) / a_day
    beyond = _nth_of_person(np.ceil(days_before).astype(np.int64), rows.user_codes[past]) >= most_a_day
    days_before[beyond] = n_past_days + 1 - np.arange(beyond.sum()) / max(1, beyond.sum())
    return Calendar(past, days_before, days, int((~is_kept).sum()), n_past_days)


def window_days_for(calendar: Calendar, user_codes: NDArray[np.int32], fewest_users: int) -> int:
    """Return of how many days a window must be so that most of those in the past have enough people, at most seven."""
    day = np.ceil(calendar.days_before).astype(np.int64)
    people = user_codes[calendar.past]
    for n_days in range(1, LONGEST_WINDOW_DAYS):
        windows = (calendar.n_past_days - day) // n_days
        is_inside = day <= calendar.n_past_days
        pairs = np.unique(np.stack([windows[is_inside], people[is_inside].astype(np.int64)]), axis=1)
        n_users = np.bincount(pairs[0] - pairs[0].min()) if pairs.size else np.zeros(1)
        if (n_users >= fewest_users).mean() >= SHARE_OF_FULL_WINDOWS:
            return n_days
    return LONGEST_WINDOW_DAYS


def _nth_of_person(days: NDArray[np.int64], people: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return for each rating, shape (n,), how many its person gave before it on the same day."""
    order = np.lexsort((np.arange(len(days)), people, days))
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (days[order][1:] != days[order][:-1]) | (people[order][1:] != people[order][:-1])
    starts = np.flatnonzero(is_first)
    nth = np.empty(len(order), np.int64)
    nth[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return nth

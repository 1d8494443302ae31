"""What is done to a month on purpose, on which day, and how ratings look that somebody has spoilt."""

from dataclasses import dataclass
from math import ceil
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings import RatingScale

EventKind = Literal[
    "database_restart", "taste_reversal", "broken_recipe", "crippled_version", "killed_worker", "bad_ratings"
]
Scenario = Literal["calm", "taste-shift", "bad-data", "bad-model", "outage", "all"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)

WORDS: dict[EventKind, str] = {
    "database_restart": "PostgreSQL is stopped at noon",
    "taste_reversal": "the taste for one genre turns around",
    "broken_recipe": "the night's training uses a broken recipe",
    "crippled_version": "a person promotes the broken version",
    "killed_worker": "the worker is killed in mid-training",
    "bad_ratings": "all ratings of a day arrive halved",
}
MOMENTS: dict[EventKind, tuple[float, float]] = {
    "database_restart": (0.13, 0.5),
    "taste_reversal": (0.2, 0.0),
    "broken_recipe": (0.3, 1.0),
    "crippled_version": (0.4, 0.3),
    "killed_worker": (0.6, 1.0),
    "bad_ratings": (0.8, 0.0),
}
"""After which part of the month each happens, and at which part of that day; 1 is the midnight at its end."""

INJECTED: dict[Scenario, tuple[EventKind, ...]] = {
    "calm": (),
    "taste-shift": ("taste_reversal",),
    "bad-data": ("bad_ratings",),
    "bad-model": ("broken_recipe", "crippled_version"),
    "outage": ("database_restart", "killed_worker"),
    "all": tuple(WORDS),
}
TASTE_SHARE, MOST_COMMON_SHARE = 0.2, 0.6


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is done to the month: what, on which day from 1, at which part of the day."""

    kind: EventKind
    day: int
    at: float

    @property
    def title(self) -> str:
        """What happens, in words."""
        return WORDS[self.kind]

    @property
    def begins_at_days(self) -> float:
        """After how many days of the month it happens."""
        return self.day - 1 + self.at


def events_of(scenario: str, n_days: int) -> tuple[Event, ...]:
    """Return the events of a scenario in order of time, spread over the days there are.

    Raises:
        InvalidInput: there is no such scenario.
    """
    known = next((name for name in SCENARIOS if name == scenario), None)
    if known is None:
        message = f"there is no scenario {scenario!r}: there are {', '.join(SCENARIOS)}"
        raise InvalidInput(message)
    moments = [(kind, *MOMENTS[kind]) for kind in INJECTED[known]]
    events = [Event(kind, max(1, ceil(part * n_days - 1e-9)), at) for kind, part, at in moments]
    return tuple(sorted(events, key=lambda event: event.begins_at_days))


def halved(ratings: NDArray[np.float32], scale: RatingScale) -> NDArray[np.float32]:
    """Return ratings, shape (n,), as a client sends them that counts to half of the scale: halved, never below it."""
    lowered = np.maximum(np.floor(ratings) / 2, scale.lowest)
    return lowered.astype(np.float32)


def turned_around(
    ratings: NDArray[np.float32], is_of_genre: NDArray[np.bool_], scale: RatingScale
) -> NDArray[np.float32]:
    """Return ratings, shape (n,), of which those of a genre say the opposite: the best is the worst."""
    opposite = np.float32(scale.lowest + scale.highest) - ratings
    return np.where(is_of_genre, opposite, ratings).astype(np.float32)


def genre_to_turn(shares: dict[str, float], liked: dict[str, float]) -> str:
    """Return the genre whose turn is seen best: among those that many ratings are of, the one people like most.

    Args:
        shares: the share of the ratings that are of each genre.
        liked: the mean rating of each.

    Raises:
        InvalidInput: no film has a genre.
    """
    common = [name for name, share in shares.items() if TASTE_SHARE <= share <= MOST_COMMON_SHARE] or list(shares)
    if not common:
        message = "no film of these ratings has a genre, so no taste for one can turn around: choose another scenario"
        raise InvalidInput(message)
    return max(common, key=lambda name: (liked[name], name))

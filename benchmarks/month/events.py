"""The faults injected into a month: their days, and the effect of the two that change ratings."""

from dataclasses import dataclass
from math import ceil
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.log import RatingScale

EventKind = Literal[
    "database_restart", "taste_reversal", "broken_recipe", "crippled_version", "killed_worker", "bad_ratings"
]
Scenario = Literal["calm", "taste-shift", "bad-data", "bad-model", "outage", "all"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)

TITLES: dict[EventKind, str] = {
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
"""The part of the month after which each event happens, and the part of that day; 1 is the midnight at its end."""

EVENTS_OF_SCENARIO: dict[Scenario, tuple[EventKind, ...]] = {
    "calm": (),
    "taste-shift": ("taste_reversal",),
    "bad-data": ("bad_ratings",),
    "bad-model": ("broken_recipe", "crippled_version"),
    "outage": ("database_restart", "killed_worker"),
    "all": tuple(TITLES),
}
MIN_GENRE_SHARE, MAX_GENRE_SHARE = 0.2, 0.6


@dataclass(frozen=True, slots=True)
class Event:
    """An event to inject: its kind, its day from 1, and the part of that day."""

    kind: EventKind
    day: int
    at: float

    @property
    def title(self) -> str:
        """The event in words."""
        return TITLES[self.kind]

    @property
    def begins_at_days(self) -> float:
        """Simulated days between the start of the month and the event."""
        return self.day - 1 + self.at


def events_of(scenario: str, n_days: int) -> tuple[Event, ...]:
    """Return the events of a scenario in order of time, spread over ``n_days`` days.

    Raises:
        InvalidInput: the scenario does not exist.
    """
    known = next((name for name in SCENARIOS if name == scenario), None)
    if known is None:
        message = f"there is no scenario {scenario!r}: there are {', '.join(SCENARIOS)}"
        raise InvalidInput(message)
    moments = [(kind, *MOMENTS[kind]) for kind in EVENTS_OF_SCENARIO[known]]
    events = [Event(kind, max(1, ceil(part * n_days - 1e-9)), at) for kind, part, at in moments]
    return tuple(sorted(events, key=lambda event: event.begins_at_days))


def halved(ratings: NDArray[np.float32], scale: RatingScale) -> NDArray[np.float32]:
    """Return ratings, shape (n,), as a client with half of the scale sends them: halved, never below the scale."""
    lowered = np.maximum(np.floor(ratings) / 2, scale.lowest)
    return lowered.astype(np.float32)


def with_reversed_taste(
    ratings: NDArray[np.float32], is_of_genre: NDArray[np.bool_], scale: RatingScale
) -> NDArray[np.float32]:
    """Return ratings, shape (n,), of which those of the genre are mirrored on the scale: the best is the worst."""
    mirrored = np.float32(scale.lowest + scale.highest) - ratings
    return np.where(is_of_genre, mirrored, ratings).astype(np.float32)


def genre_to_reverse(shares: dict[str, float], mean_ratings: dict[str, float]) -> str:
    """Return the genre whose reversal is most visible: among the common genres, the one with the highest mean rating.

    Args:
        shares: the share of the ratings, by genre.
        mean_ratings: the mean rating, by genre.

    Raises:
        InvalidInput: no movie has a genre.
    """
    common = [name for name, share in shares.items() if MIN_GENRE_SHARE <= share <= MAX_GENRE_SHARE] or list(shares)
    if not common:
        message = "no film of these ratings has a genre, so no taste for one can turn around: choose another scenario"
        raise InvalidInput(message)
    return max(common, key=lambda name: (mean_ratings[name], name))

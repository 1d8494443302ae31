"""Counts of an import."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cineclub.domain.ratings.log import RatingScale

ImportProgress = Callable[[float, str], None]
"""Receives the finished fraction, 0 to 1, and the name of the phase."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The state of the rating source: counts, the scale, and whether ratings may be written here."""

    n_users: int
    n_movies: int
    n_ratings: int
    scale: RatingScale | None
    is_writable: bool


@dataclass(frozen=True, slots=True)
class FutureRatings:
    """The ratings that are dated after now: their number, and the newest of their times."""

    n_ratings: int
    newest_rated_at: datetime | None


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """The changes of an import, and the duration of each phase of writing."""

    n_inserted: int
    n_updated: int
    n_unchanged: int
    n_new_users: int
    n_new_movies: int
    phase_seconds: Mapping[str, float]
    n_changed_movies: int = 0

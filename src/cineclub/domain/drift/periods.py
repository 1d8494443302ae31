"""Periods of ratings, and the measure that compared periods share."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cineclub.domain.ratings.log import EPOCH, RatingScale

MICROSECOND = timedelta(microseconds=1)
NEWEST_PART = 3
"""The newest of so many equal parts of a window is compared beside the whole: a fault of a day fills more of it."""


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time; its end is exclusive."""

    starts_at: datetime
    ends_at: datetime

    @classmethod
    def up_to(cls, oldest: datetime, newest: datetime) -> "Period":
        """Return the shortest period that contains two times."""
        return cls(oldest, newest + MICROSECOND)

    @classmethod
    def of_microseconds(cls, starts_at: int, ends_at: int) -> "Period":
        """Return the period between two times in microseconds since 1970-01-01 UTC."""
        return cls(EPOCH + starts_at * MICROSECOND, EPOCH + ends_at * MICROSECOND)

    @property
    def microseconds(self) -> tuple[int, int]:
        """Start and end in microseconds since 1970-01-01 UTC."""
        return (self.starts_at - EPOCH) // MICROSECOND, (self.ends_at - EPOCH) // MICROSECOND

    def windows_before(self, length: timedelta, n_windows: int) -> list["Period"]:
        """Return the newest windows of a length that lie in the period as a whole, the oldest of them first."""
        n_windows = min(n_windows, (self.ends_at - self.starts_at) // length)
        return [
            Period(self.ends_at - (nth + 1) * length, self.ends_at - nth * length) for nth in reversed(range(n_windows))
        ]

    @property
    def newest_part(self) -> "Period":
        """The newest part of the period, one of ``NEWEST_PART``."""
        return Period(self.ends_at - (self.ends_at - self.starts_at) / NEWEST_PART, self.ends_at)

    def overlaps(self, other: "Period") -> bool:
        """Return whether both have a time in common."""
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at


@dataclass(frozen=True, slots=True)
class Measure:
    """Parameters of the statistics that all compared periods share.

    Attributes:
        scale: the scale of the ratings.
        sample_size: the number of ratings of each period that the sampled concentration is computed on.
        head_movie_ids: internal ids, rising, of the movies that the segments call head.
    """

    scale: RatingScale
    sample_size: int
    head_movie_ids: tuple[int, ...]

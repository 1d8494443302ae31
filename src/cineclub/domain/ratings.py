"""Ratings as flat arrays: the log of everybody's ratings, one user's ratings, the films, and a snapshot of all."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.canonical_order import canonical_order
from cineclub.domain.errors import InvalidInput

RELEVANT_FRACTION_OF_SCALE = 0.8
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RatingScale:
    """The lowest and the highest rating that the data allow, in the data's own unit (stars, points)."""

    lowest: float
    highest: float

    def __post_init__(self) -> None:
        """Refuse a scale that is not finite or not rising."""
        if not (np.isfinite(self.lowest) and np.isfinite(self.highest) and self.lowest < self.highest):
            message = f"a rating scale needs finite lowest < highest, not {self.lowest} to {self.highest}"
            raise InvalidInput(message)

    @property
    def relevance_threshold(self) -> float:
        """The rating from which a film counts as liked: 4 on a scale that ends at 5, the same fraction on others."""
        return RELEVANT_FRACTION_OF_SCALE * self.highest

    def holds(self, ratings: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Say for each rating, shape (n,), whether it is finite and on the scale."""
        return np.isfinite(ratings) & (ratings >= self.lowest) & (ratings <= self.highest)


@dataclass(frozen=True, slots=True)
class UserRatings:
    """One user's ratings in canonical order (``rated_at``, then film).

    Attributes:
        movie_ids: (n,) internal film ids.
        ratings: (n,) on the data's scale.
        rated_at: (n,) microseconds since 1970-01-01 UTC.
    """

    movie_ids: NDArray[np.int64]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]

    @classmethod
    def none(cls) -> "UserRatings":
        """Return the ratings of somebody who has rated nothing."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))

    def __len__(self) -> int:
        """Return the number of ratings."""
        return len(self.movie_ids)

    def is_same_as(self, other: "UserRatings") -> bool:
        """Say whether both are the same ratings of the same films at the same times."""
        return self is other or (
            np.array_equal(self.movie_ids, other.movie_ids)
            and np.array_equal(self.rated_at, other.rated_at)
            and np.array_equal(self.ratings, other.ratings)
        )


@dataclass(frozen=True, slots=True)
class RatingLog:
    """Everybody's ratings in canonical order: by user, then ``rated_at``, then film; one per user and film.

    Attributes:
        user_ids: (n,) internal user ids.
        movie_ids: (n,) internal film ids.
        ratings: (n,) on ``scale``.
        rated_at: (n,) microseconds since 1970-01-01 UTC.
        scale: what the ratings may be.
    """

    user_ids: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]
    scale: RatingScale

    @classmethod
    def from_columns(
        cls,
        user_ids: NDArray[np.int64],
        movie_ids: NDArray[np.int64],
        ratings: NDArray[np.float32],
        rated_at: NDArray[np.int64],
        scale: RatingScale,
    ) -> "RatingLog":
        """Return the log of four columns of shape (n,) in any order, put into canonical order.

        Raises:
            InvalidInput: columns of unequal length, or ratings that are off the scale.
        """
        if len({len(user_ids), len(movie_ids), len(ratings), len(rated_at)}) != 1:
            message = "the columns of a rating log must have the same length"
            raise InvalidInput(message)
        if not scale.holds(ratings).all():
            message = f"ratings must be finite and between {scale.lowest} and {scale.highest}"
            raise InvalidInput(message)
        order = canonical_order(user_ids, movie_ids, rated_at)
        if order is None:
            return cls(user_ids, movie_ids, ratings, rated_at, scale)
        return cls(user_ids[order], movie_ids[order], ratings[order], rated_at[order], scale)

    def __len__(self) -> int:
        """Return the number of ratings."""
        return len(self.ratings)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "RatingLog":
        """Return the rows of a mask (n,) or of rising positions (m,); canonical order is kept."""
        return RatingLog(self.user_ids[rows], self.movie_ids[rows], self.ratings[rows], self.rated_at[rows], self.scale)

    @property
    def n_users(self) -> int:
        """The number of different users."""
        return int(np.count_nonzero(np.diff(self.user_ids))) + 1 if len(self) else 0

    @property
    def n_movies(self) -> int:
        """The number of different films."""
        return len(np.unique(self.movie_ids))


@dataclass(frozen=True, slots=True)
class Movie:
    """A film as people see it; ``external_id`` is the caller's own id, kept as text."""

    movie_id: int
    external_id: str
    title: str
    year: int | None
    genres: tuple[str, ...]
    imdb_id: str | None = None
    tmdb_id: str | None = None


@dataclass(frozen=True, slots=True)
class SnapshotIdentity:
    """What says that two snapshots are the same: row count, newest rating, SHA-256 of the canonical columns."""

    n_ratings: int
    newest_rated_at: datetime | None
    content_sha256: str

    @classmethod
    def of(cls, log: RatingLog) -> "SnapshotIdentity":
        """Return the identity of a log; the hash is over the little-endian bytes of its columns, one after another."""
        digest = hashlib.sha256()
        for column in (log.user_ids, log.movie_ids, log.ratings, log.rated_at):
            digest.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
        newest = EPOCH + timedelta(microseconds=int(log.rated_at.max())) if len(log) else None
        return cls(len(log), newest, digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All ratings and films at one moment, read in one transaction."""

    log: RatingLog
    movies: tuple[Movie, ...]
    identity: SnapshotIdentity

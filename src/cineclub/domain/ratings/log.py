"""Ratings as flat arrays: the rating log, the ratings of one user, movies, and snapshots."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.canonical_order import canonical_order
from cineclub.domain.ratings.labels import Label, label_document

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
        """The rating from which a movie counts as liked: 4 on a scale that ends at 5, the same fraction on others."""
        return RELEVANT_FRACTION_OF_SCALE * self.highest

    def holds(self, ratings: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each rating, shape (n,), whether it is finite and on the scale."""
        return np.isfinite(ratings) & (ratings >= self.lowest) & (ratings <= self.highest)


@dataclass(frozen=True, slots=True)
class UserRatings:
    """One user's ratings in canonical order (``rated_at``, then movie).

    Attributes:
        movie_ids: (n,) internal movie ids.
        ratings: (n,) on the data's scale.
        rated_at: (n,) microseconds since 1970-01-01 UTC.
    """

    movie_ids: NDArray[np.int64]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]

    @classmethod
    def none(cls) -> "UserRatings":
        """Return the ratings of a user without any."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))

    def __len__(self) -> int:
        """Return the number of ratings."""
        return len(self.movie_ids)

    def is_same_as(self, other: "UserRatings") -> bool:
        """Return whether both are the same ratings of the same movies at the same times."""
        return self is other or (
            np.array_equal(self.movie_ids, other.movie_ids)
            and np.array_equal(self.rated_at, other.rated_at)
            and np.array_equal(self.ratings, other.ratings)
        )


@dataclass(frozen=True, slots=True)
class RatingLog:
    """All ratings in canonical order: by user, then ``rated_at``, then movie; one per user and movie.

    Attributes:
        user_ids: (n,) internal user ids.
        movie_ids: (n,) internal movie ids.
        ratings: (n,) on ``scale``.
        rated_at: (n,) microseconds since 1970-01-01 UTC.
        scale: the scale of the ratings.
        catalogue: (m,) rising ids of the movies that there are, rated or not; None for those with ratings alone.
    """

    user_ids: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]
    scale: RatingScale
    catalogue: NDArray[np.int64] | None = None

    @classmethod
    def from_columns(
        cls,
        user_ids: NDArray[np.int64],
        movie_ids: NDArray[np.int64],
        ratings: NDArray[np.float32],
        rated_at: NDArray[np.int64],
        scale: RatingScale,
    ) -> "RatingLog":
        """Return the log of four columns of shape (n,), which may be in any order.

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
        columns = (self.user_ids[rows], self.movie_ids[rows], self.ratings[rows], self.rated_at[rows])
        return RatingLog(*columns, self.scale, self.catalogue)

    def before(self, moment: int) -> "RatingLog":
        """Return the ratings before a moment, microseconds since 1970-01-01 UTC, with a catalogue.

        It is that of the log, or where there is none all its movies, also those that are first rated later.
        """
        earlier = self.take(self.rated_at < moment)
        return earlier if self.catalogue is not None else earlier.within(self.movie_ids)

    def within(self, catalogue: NDArray[np.int64]) -> "RatingLog":
        """Return the log with a catalogue, (m,) ids in any order: movies that nobody has rated may be in it."""
        return replace(self, catalogue=np.unique(catalogue))

    @property
    def n_users(self) -> int:
        """The number of different users."""
        return int(np.count_nonzero(np.diff(self.user_ids))) + 1 if len(self) else 0

    @property
    def n_movies(self) -> int:
        """The number of different movies."""
        return len(np.unique(self.movie_ids))


@dataclass(frozen=True, slots=True)
class Movie:
    """A movie of the catalogue.

    Attributes:
        movie_id: the internal id.
        external_id: the caller's own id, as text.
        title: without the year.
        year: of its release.
        genres: as they are written.
        imdb_id: IMDb's id, with or without ``tt``.
        tmdb_id: TMDB's number.
        labels: each name of a kind once (``domain.ratings.labels``).
        runtime_minutes: its length.
        is_available: whether it may be recommended; one that was withdrawn is still known from histories.
        overview: a text about it; read for single movies only.
    """

    movie_id: int
    external_id: str
    title: str
    year: int | None
    genres: tuple[str, ...]
    imdb_id: str | None = None
    tmdb_id: str | None = None
    labels: tuple[Label, ...] = ()
    runtime_minutes: int | None = None
    is_available: bool = True
    overview: str | None = None

    def known_at(self, moment: datetime) -> "Movie":
        """Return the movie without the labels that are known later than at a moment."""
        if all(label.since is None or label.since <= moment for label in self.labels):
            return self
        known = (label for label in self.labels if label.since is None or label.since <= moment)
        return replace(self, labels=tuple(known))


def next_known_at(movies: Iterable[Movie], moment: datetime) -> datetime | None:
    """Return when the next label of some movies is known, after a moment; None if all are."""
    times = (label.since for movie in movies for label in movie.labels if label.since is not None)
    return min((since for since in times if since > moment), default=None)


@dataclass(frozen=True, slots=True)
class SnapshotIdentity:
    """The identity of a snapshot: row count, newest rating, SHA-256 of the canonical columns and of the labels."""

    n_ratings: int
    newest_rated_at: datetime | None
    content_sha256: str

    @classmethod
    def of(cls, log: RatingLog, movies: Iterable[Movie] = ()) -> "SnapshotIdentity":
        """Return the identity of a log and its movies.

        The hash is over the little-endian bytes of the columns, one after another, then over the labels of the movies
        that have some, by rising id, in JSON; without any label it is that of the ratings alone.
        """
        digest = hashlib.sha256()
        for column in (log.user_ids, log.movie_ids, log.ratings, log.rated_at):
            digest.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
        for movie in sorted(movies, key=lambda movie: movie.movie_id):
            if movie.labels:
                digest.update(json.dumps([movie.movie_id, label_document(movie.labels)], sort_keys=True).encode())
        newest = EPOCH + timedelta(microseconds=int(log.rated_at.max())) if len(log) else None
        return cls(len(log), newest, digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All ratings and movies of one moment, read in one transaction."""

    log: RatingLog
    movies: tuple[Movie, ...]
    identity: SnapshotIdentity

    @property
    def log_in_catalogue(self) -> RatingLog:
        """The ratings with the ids of all movies, so that a model can know movies that nobody has rated yet."""
        return self.log.within(np.array([movie.movie_id for movie in self.movies], np.int64))

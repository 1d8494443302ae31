"""What answers need from outside: films, histories, the live model, logs and counts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cineclub.domain.outcomes import Outcomes
from cineclub.domain.questions import Naming
from cineclub.domain.ratings import Movie, UserRatings
from cineclub.ports.records import Asker, LiveModel, PredictionRecord, Production, Promotion


@dataclass(frozen=True, slots=True)
class PopularMovie:
    """A film of the popular list when no model is in production."""

    movie: Movie
    score: float


class FilmReader(Protocol):
    """The films of the catalogue; async."""

    async def everything(self) -> list[Movie]:
        """Return all films by rising id.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def texts_of(self, movie_ids: Sequence[int]) -> Mapping[int, Movie]:
        """Return films by internal id.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def popularity(self, window_days: int | None) -> Sequence[tuple[int, float]]:
        """Return rated films by internal id with their damped popularity, most popular first.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class HistoryReader(Protocol):
    """What one user has rated by now; async, on the request path."""

    async def ratings_of(self, user_id: str) -> UserRatings:
        """Return everything the user with this external id has rated; nothing for an unknown user.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def ratings_of_many(self, user_ids: Sequence[str]) -> Mapping[str, UserRatings]:
        """Return the same for many users, by external id; those who have rated nothing are left out.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    def users(self) -> AsyncIterator[list[str]]:
        """Yield the external ids of all users, some hundreds at a time.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def popular(self, limit: int) -> list[PopularMovie]:
        """Return the most popular films by damped popularity, for as long as no model is in production."""
        ...

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user in memory."""
        ...


class HistoryMemory(Protocol):
    """Histories in memory, and what is told about them."""

    def trust(self) -> None:
        """Keep histories from now on: every change will be told."""
        ...

    def distrust(self) -> None:
        """Keep nothing, now and until trusted again: changes may be missed."""
        ...

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user whose ratings changed."""
        ...

    def forget_all(self) -> None:
        """Keep nothing of anybody."""
        ...


@dataclass(frozen=True, slots=True)
class NewRating:
    """A rating as a caller sends it; without ``rated_at`` it was given just now.

    ``movie_id`` is the caller's own, or whose ``naming`` says.
    """

    user_id: str
    movie_id: str
    rating: float
    rated_at: datetime | None = None
    naming: Naming = "movie_id"


class RatingWriter(Protocol):
    """Where single ratings are written while serving; async."""

    async def write(self, ratings: Sequence[NewRating]) -> None:
        """Write all the ratings or none; a second rating of the same film replaces the first.

        Raises:
            InvalidInput: a rating is off the catalogue's scale.
            NotFound: a film is not in the catalogue.
            ReadOnlySource: ratings come from the owner's views.
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def delete(self, user_id: str, movie_id: str) -> None:
        """Take one rating back.

        Raises:
            NotFound: there is no such rating.
            ReadOnlySource: ratings come from the owner's views.
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class ProductionReader(Protocol):
    """What was promoted last, as PostgreSQL knows it; async."""

    async def read(self) -> Production:
        """Return what should serve now.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class LiveModels(Protocol):
    """The model in memory, as it is at this moment."""

    def current(self) -> LiveModel | None:
        """Return the model that answers now; None before the first one was loaded."""
        ...


class RequestMetrics(Protocol):
    """Counts of HTTP requests, and the page that Prometheus reads."""

    def observe_request(self, method: str, route: str, status: int, latency_seconds: float) -> None:
        """Count one request under its route template."""
        ...

    def exposition(self) -> tuple[bytes, str]:
        """Return every metric in Prometheus' text format, with its media type."""
        ...


class PredictionMetrics(Protocol):
    """Counts of answers."""

    def count_answer(self, strategy: str, model_version: int | None, *, degraded: bool) -> None:
        """Count one answer."""
        ...


class ModelMetrics(Protocol):
    """What is known of the model in memory."""

    def model_served(self, promotion: Promotion) -> None:
        """Note that this version answers from now on."""
        ...

    def model_refused(self) -> None:
        """Count a promoted version that could not be loaded."""
        ...

    def refusals_known(self, n_refusals: Mapping[Asker, int]) -> None:
        """Note how many promotions were refused so far, by who asked for them."""
        ...


class PredictionLog(Protocol):
    """Where answers are logged; never waits, drops and counts when it is full."""

    def append(self, record: PredictionRecord) -> None:
        """Put one answer into the queue."""
        ...

    def forget(self, user_id: str) -> None:
        """Let what waits of a user who is erased be nobody's."""
        ...


class OutcomeStore(Protocol):
    """What became of the logged answers; async."""

    async def count(self, since: datetime, until: datetime, window_days: float) -> Outcomes:
        """Return what became of the answers from ``since`` to ``until``, by the ratings given until then.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not within a minute.
        """
        ...

    async def delete_before(self, before: datetime, limit: int) -> int:
        """Delete at most ``limit`` of the answers from before a time, of the compared ones, and of checks of drift.

        Return how many rows that were.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class OutcomeMetrics(Protocol):
    """What is known of the outcomes of recommendations."""

    def outcomes_known(self, outcomes: Outcomes) -> None:
        """Note what became of the answers of the last days, in place of what was known before."""
        ...

"""The client for programs with an event loop."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Self, TypeVar, Unpack

import httpx

from cineclub.api.drift_schemas import BaselinesOut, DriftHistoryOut, DriftOut
from cineclub.api.outcome_schemas import ComparisonsOut, RecommendationOutcomesOut
from cineclub.api.schemas import (
    BatchResponse,
    ErasedOut,
    GivenRatingIn,
    HealthOut,
    ModelsOut,
    MovieOut,
    MoviesOut,
    PopularOut,
    PredictResponse,
    ProductionOut,
    PromotionOut,
    RatingRequest,
    RatingsWritten,
    ReadyOut,
    SimilarOut,
    TrainingOut,
    TrainingsOut,
    UserRatingsOut,
    VersionDetailOut,
)
from cineclub.client import calls
from cineclub.client.answers import LONGEST_WAIT, NO_ANSWER, RETRIES, TIMEOUT, Connection, value_of
from cineclub.client.calls import Call, Id, Wishes
from cineclub.client.waiting import POLL_SECONDS, Watch

T = TypeVar("T")


class AsyncClient:
    """Every route of the API as a method; use it in an ``async with``, or close it.

    Every method raises ``ServiceError`` when the service refuses or does not answer. A request that may be sent twice
    is sent again when the service asks for it (503 with ``Retry-After``).
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        longest_wait: float = LONGEST_WAIT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open a client of the service at an address, for example ``http://127.0.0.1:8000``.

        Args:
            address: where the service answers.
            api_key: sent as ``Authorization: Bearer``.
            timeout: seconds for each step of a request: to connect, to send, to wait for the answer.
            retries: how often a request that may be sent twice is sent again.
            longest_wait: seconds; a service that asks to wait longer is not asked again.
            transport: how requests travel; over the network unless given.
        """
        self._connection = Connection(address, api_key, timeout, retries, longest_wait)
        self._http = httpx.AsyncClient(base_url=address, headers=self._connection.headers(), transport=transport)

    async def __aenter__(self) -> Self:
        """Return this client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(
        self, user_id: Id | None = None, *, ratings: Sequence[GivenRatingIn] | None = None, **wishes: Unpack[Wishes]
    ) -> PredictResponse:
        """Return films for a user, or for somebody without an account who says what they think of some."""
        return await self._send(calls.predict(user_id, ratings, wishes))

    async def predict_batch(self, user_ids: Sequence[Id], **wishes: Unpack[Wishes]) -> BatchResponse:
        """Return films for up to 1000 users, in their order."""
        return await self._send(calls.predict_batch(user_ids, wishes))

    async def rate(self, user_id: Id, movie_id: Id, rating: float, rated_at: datetime | None = None) -> RatingsWritten:
        """Write one rating; it replaces an earlier one of the same film."""
        one = calls.rating(user_id, movie_id, rating, rated_at)
        return await self._send(calls.rate(one))

    async def rate_many(self, ratings: Sequence[RatingRequest]) -> RatingsWritten:
        """Write up to 1000 ratings, all or none."""
        return await self._send(calls.rate(list(ratings)))

    async def take_back(self, user_id: Id, movie_id: Id) -> None:
        """Take one rating back."""
        await self._send(calls.take_back(user_id, movie_id))

    async def search(self, title: str, *, limit: int | None = None) -> MoviesOut:
        """Return films by title, also with a few wrong letters, the best first."""
        return await self._send(calls.search(title, limit))

    async def movie(self, movie_id: Id) -> MovieOut:
        """Return one film."""
        return await self._send(calls.movie(movie_id))

    async def similar(self, movie_id: Id, *, limit: int | None = None) -> SimilarOut:
        """Return films like another."""
        return await self._send(calls.similar(movie_id, limit))

    async def popular(
        self, *, window_days: int | None = None, genre: str | None = None, limit: int | None = None
    ) -> PopularOut:
        """Return the films rated most and best, of all time or of the last days."""
        return await self._send(calls.popular(window_days, genre, limit))

    async def ratings_of(self, user_id: Id, *, limit: int | None = None) -> UserRatingsOut:
        """Return what a user has rated, newest first."""
        return await self._send(calls.ratings_of(user_id, limit))

    async def erase(self, user_id: Id) -> ErasedOut:
        """Erase a user, and return what was taken out and what remains until when."""
        return await self._send(calls.erase(user_id))

    async def start_training(self, models: Sequence[str] | None = None, reason: str | None = None) -> TrainingOut:
        """Queue a training; while one is under way, ``details`` of the error name its ``training_id``."""
        return await self._send(calls.start_training(models, reason))

    async def follow_training(self, training_id: str) -> TrainingOut:
        """Return one training: its progress, in the end its report."""
        return await self._send(calls.follow_training(training_id))

    async def cancel_training(self, training_id: str) -> TrainingOut:
        """Cancel a training and return it; a running one stops at its next step."""
        return await self._send(calls.cancel_training(training_id))

    async def list_trainings(self, *, limit: int | None = None) -> TrainingsOut:
        """Return the newest trainings, without their reports."""
        return await self._send(calls.list_trainings(limit))

    async def wait_for_training(
        self,
        training_id: str,
        *,
        on_progress: Callable[[TrainingOut], None] | None = None,
        give_up_after: float | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> TrainingOut:
        """Return a training once it has ended, well or not: its ``status`` says which.

        Args:
            training_id: which.
            on_progress: called with the training at once and whenever it has changed.
            give_up_after: seconds; it waits without end unless given.
            poll_seconds: how long to wait between two looks.

        Raises:
            ServiceError: the time is up (timed_out), or the service fails; the training itself goes on.
        """
        watch = Watch(on_progress, give_up_after)
        while True:
            training = await self.follow_training(training_id)
            if watch.is_over(training):
                return training
            await asyncio.sleep(poll_seconds)

    async def models(
        self,
        *,
        limit: int | None = None,
        before: int | None = None,
        promotions_before: int | None = None,
        refusals_before: int | None = None,
    ) -> ModelsOut:
        """Return versions, promotions and refusals, newest first, each list before what is given."""
        return await self._send(calls.models(limit, before, promotions_before, refusals_before))

    async def model(self, version: int) -> VersionDetailOut:
        """Return everything known of a version."""
        return await self._send(calls.model(version))

    async def production(self) -> ProductionOut:
        """Return the model that answers now, and why it does."""
        return await self._send(calls.production())

    async def promote(self, version: int, reason: str) -> PromotionOut:
        """Let a version serve, whatever the gate said of it; the reason is kept."""
        return await self._send(calls.promote(version, reason))

    async def roll_back(self, reason: str) -> PromotionOut:
        """Let the version serve again that served before; the reason is kept."""
        return await self._send(calls.roll_back(reason))

    async def health(self) -> HealthOut:
        """Say that the process lives."""
        return await self._send(calls.health())

    async def ready(self) -> ReadyOut:
        """Return whether recommendations can be given, and from what; also when they cannot."""
        return await self._send(calls.ready())

    async def outcomes(self, days: int = 30) -> RecommendationOutcomesOut:
        """Return what became of the recommendations of the last days, by version and strategy."""
        return await self._send(calls.outcomes(days))

    async def comparisons(self, days: int = 30) -> ComparisonsOut:
        """Return how other versions, asked beside the one that served, compare, and how the probation stands."""
        return await self._send(calls.comparisons(days))

    async def drift(
        self, threshold_pct: float | None = None, window: str | None = None, until: str | None = None
    ) -> DriftOut:
        """Return how the newest ratings and answers compare with what was normal."""
        return await self._send(calls.drift(threshold_pct, window, until))

    async def drift_history(self, limit: int | None = None, before: int | None = None) -> DriftHistoryOut:
        """Return the checks of drift that were made, newest first."""
        return await self._send(calls.drift_history(limit, before))

    async def drift_baseline(self) -> BaselinesOut:
        """Return what windows are compared with."""
        return await self._send(calls.drift_baseline())

    async def pin_drift_baseline(self, version: int | None = None) -> BaselinesOut:
        """Pin the baseline of a version, or one taken from the ratings now."""
        return await self._send(calls.pin_drift_baseline(version))

    async def unpin_drift_baseline(self) -> BaselinesOut:
        """Let no baseline be pinned."""
        return await self._send(calls.unpin_drift_baseline())

    async def metrics(self) -> str:
        """Return every metric in Prometheus' text format."""
        return await self._send(calls.metrics())

    async def _send(self, call: Call[T]) -> T:
        """Send a request until its answer is one to keep, and return what that holds."""
        n_sent = 0
        while True:
            try:
                response = await self._http.request(**self._connection.request(call))
            except NO_ANSWER as error:
                raise self._connection.failure(error) from None
            n_sent += 1
            wait = self._connection.wait_before_retry(call, response, n_sent)
            if wait is None:
                return value_of(call, response)
            await asyncio.sleep(wait)

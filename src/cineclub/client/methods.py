"""The methods of both clients, one for each route; a new route needs only its method here."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import TypeVar, Unpack

from cineclub.api.drift_schemas import BaselinesOut, DriftHistoryOut, DriftOut, PinRequest
from cineclub.api.filters import MovieFilterParams
from cineclub.api.model_schemas import DecisionRequest, ModelsOut, ProductionOut, PromotionOut, VersionDetailOut
from cineclub.api.movie_schemas import (
    IdentifiedMovieIn,
    MovieDetailOut,
    MovieIn,
    MoviesIn,
    MoviesOut,
    MoviesWritten,
    PopularOut,
)
from cineclub.api.outcome_schemas import ComparisonsOut, RecommendationOutcomesOut
from cineclub.api.schemas import (
    BatchRequest,
    BatchResponse,
    ErasedOut,
    GivenRatingIn,
    HealthOut,
    PredictRequest,
    PredictResponse,
    RatingRequest,
    RatingsRequest,
    RatingsWritten,
    ReadyOut,
    SimilarOut,
    TrainingOut,
    TrainingRequest,
    TrainingsOut,
    UserRatingsOut,
)
from cineclub.client.base import BaseClient, Method
from cineclub.client.calls import (
    ACCEPTED,
    NO_CONTENT,
    OK,
    UNAVAILABLE,
    Call,
    Id,
    RecommendationParams,
    checked_body,
    filter_query,
    path_part,
    without_none,
)
from cineclub.client.errors import ServiceError

LOADING_SECONDS = 120.0
"""Least timeout of a promotion, which first loads the version in a fresh process."""

COUNTING_SECONDS = 120.0
"""Least timeout of a drift check or a new baseline, which read the ratings."""

POLL_SECONDS = 1.0
ENDED = frozenset({"succeeded", "failed", "cancelled"})
Transport = TypeVar("Transport")


class Methods(BaseClient[Transport]):
    """Every route of the API as a method."""

    @Method
    async def predict(
        self,
        user_id: Id | None = None,
        *,
        ratings: Sequence[GivenRatingIn] | None = None,
        **params: Unpack[RecommendationParams],
    ) -> PredictResponse:
        """Return recommendations for a user, or for a person without an account who gives some ratings."""
        user = without_none(user_id=user_id, ratings=None if ratings is None else list(ratings))
        body = checked_body(PredictRequest, {**params, **user})
        return await self._send(Call("POST", "/predict/", PredictResponse, body=body))

    @Method
    async def predict_batch(self, user_ids: Sequence[Id], **params: Unpack[RecommendationParams]) -> BatchResponse:
        """Return recommendations for up to 1000 users, in their order."""
        body = checked_body(BatchRequest, {**params, "user_ids": list(user_ids)})
        return await self._send(Call("POST", "/predict/batch", BatchResponse, body=body))

    @Method
    async def rate(self, user_id: Id, movie_id: Id, rating: float, rated_at: datetime | None = None) -> RatingsWritten:
        """Write one rating; it replaces the user's earlier rating of the film."""
        document = {"user_id": user_id, "movie_id": movie_id, "rating": rating, "rated_at": rated_at}
        body = checked_body(RatingRequest, document)
        return await self._send(Call("POST", "/ratings/", RatingsWritten, body=body))

    @Method
    async def rate_many(self, ratings: Sequence[RatingRequest]) -> RatingsWritten:
        """Write up to 1000 ratings, all or none."""
        body = checked_body(RatingsRequest, list(ratings))
        return await self._send(Call("POST", "/ratings/", RatingsWritten, body=body))

    @Method
    async def take_back(self, user_id: Id, movie_id: Id) -> None:
        """Take one rating back."""
        if "/" in str(movie_id):
            message = f"movie_id {movie_id!r} holds a slash, which this route cannot take: rate the film anew instead"
            raise ServiceError(None, "invalid_request", message)
        path = f"/ratings/{path_part(user_id)}/{path_part(movie_id)}"
        await self._send(Call("DELETE", path, type(None), good=(NO_CONTENT,)))

    @Method
    async def search(
        self,
        title: str,
        *,
        available: bool | None = None,
        limit: int | None = None,
        **filters: Unpack[MovieFilterParams],
    ) -> MoviesOut:
        """Return films by title, also with a few wrong letters, best match first."""
        query = {"search": title, "available": available, "limit": limit, **filter_query(filters)}
        return await self._send(Call("GET", "/movies/", MoviesOut, query))

    @Method
    async def movie(self, movie_id: Id) -> MovieDetailOut:
        """Return one film."""
        return await self._send(Call("GET", f"/movies/{path_part(movie_id)}", MovieDetailOut))

    @Method
    async def put_movie(self, movie_id: Id, movie: MovieIn, *, ids_become_text: bool | None = None) -> MovieDetailOut:
        """Add a film, or replace what is known of it, and return it."""
        call = Call(
            "PUT",
            f"/movies/{path_part(movie_id)}",
            MovieDetailOut,
            {"ids_become_text": ids_become_text},
            checked_body(MovieIn, movie),
        )
        return await self._send(call)

    @Method
    async def put_movies(
        self, movies: Sequence[IdentifiedMovieIn], *, ids_become_text: bool | None = None
    ) -> MoviesWritten:
        """Add up to 1000 films, or replace what is known of them, all or none."""
        query, body = {"ids_become_text": ids_become_text}, checked_body(MoviesIn, list(movies))
        return await self._send(Call("POST", "/movies/", MoviesWritten, query, body))

    @Method
    async def delete_movie(self, movie_id: Id) -> None:
        """Delete a film that nobody has rated."""
        await self._send(Call("DELETE", f"/movies/{path_part(movie_id)}", type(None), good=(NO_CONTENT,)))

    @Method
    async def similar(
        self, movie_id: Id, *, limit: int | None = None, **filters: Unpack[MovieFilterParams]
    ) -> SimilarOut:
        """Return films similar to one."""
        query = {"limit": limit, **filter_query(filters)}
        return await self._send(Call("GET", f"/movies/{path_part(movie_id)}/similar", SimilarOut, query))

    @Method
    async def popular(
        self,
        *,
        window_days: int | None = None,
        genre: str | None = None,
        limit: int | None = None,
        **filters: Unpack[MovieFilterParams],
    ) -> PopularOut:
        """Return the popular films, of all time or of the last days."""
        query = {"window_days": window_days, "genre": genre, "limit": limit, **filter_query(filters)}
        return await self._send(Call("GET", "/movies/popular", PopularOut, query))

    @Method
    async def ratings_of(self, user_id: Id, *, limit: int | None = None) -> UserRatingsOut:
        """Return the ratings of a user, newest first."""
        return await self._send(Call("GET", f"/users/{path_part(user_id)}/ratings", UserRatingsOut, {"limit": limit}))

    @Method
    async def erase(self, user_id: Id) -> ErasedOut:
        """Erase a user, and return what was removed and what remains until when."""
        # the response to a repetition would not count what the first request removed
        return await self._send(Call("DELETE", f"/users/{path_part(user_id)}", ErasedOut, repeatable=False))

    @Method
    async def start_training(self, models: Sequence[str] | None = None, reason: str | None = None) -> TrainingOut:
        """Queue a training; while one is under way, ``details`` of the error name its ``training_id``."""
        document = without_none(models=None if models is None else list(models), reason=reason)
        body = checked_body(TrainingRequest, document)
        # a repetition would be refused as a second training
        call = Call("POST", "/training/", TrainingOut, body=body, repeatable=False, good=(ACCEPTED,))
        return await self._send(call)

    @Method
    async def follow_training(self, training_id: str) -> TrainingOut:
        """Return one training with its progress, and with its report once it has succeeded."""
        return await self._send(_training(training_id))

    @Method
    async def cancel_training(self, training_id: str) -> TrainingOut:
        """Cancel a training and return it; a running one stops at its next step."""
        return await self._send(Call("DELETE", f"/training/{path_part(training_id)}", TrainingOut))

    @Method
    async def list_trainings(self, *, limit: int | None = None) -> TrainingsOut:
        """Return the newest trainings, without their reports."""
        return await self._send(Call("GET", "/training/", TrainingsOut, {"limit": limit}))

    @Method
    async def wait_for_training(
        self,
        training_id: str,
        *,
        on_progress: Callable[[TrainingOut], None] | None = None,
        give_up_after: float | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> TrainingOut:
        """Wait until a training has succeeded, failed or been cancelled, and return it.

        Args:
            training_id: the id of the training.
            on_progress: called with the training at once and whenever it has changed.
            give_up_after: seconds to wait at most; no limit unless given.
            poll_seconds: seconds between two requests.

        Raises:
            ServiceError: the time is up (timed_out), or the service fails; the training itself continues.
        """
        deadline = monotonic() + (math.inf if give_up_after is None else give_up_after)
        previous = None
        while True:
            training = await self._send(_training(training_id))
            if on_progress is not None and training != previous:
                on_progress(training)
            if training.status in ENDED:
                return training
            if monotonic() >= deadline:
                message = f"training {training_id} is still {training.status}: wait longer or cancel it"
                raise ServiceError(None, "timed_out", message)
            previous = training
            await self._wait(poll_seconds)

    @Method
    async def models(
        self,
        *,
        limit: int | None = None,
        before: int | None = None,
        promotions_before: int | None = None,
        refusals_before: int | None = None,
    ) -> ModelsOut:
        """Return versions, promotions and refusals, newest first; each list may start before a given entry."""
        pages = {"before": before, "promotions_before": promotions_before, "refusals_before": refusals_before}
        return await self._send(Call("GET", "/models/", ModelsOut, {"limit": limit, **pages}))

    @Method
    async def model(self, version: int) -> VersionDetailOut:
        """Return a version with its tags, promotions and refusals."""
        return await self._send(Call("GET", f"/models/{path_part(version)}", VersionDetailOut))

    @Method
    async def production(self) -> ProductionOut:
        """Return the model in production and the reason of its promotion."""
        return await self._send(Call("GET", "/models/production", ProductionOut))

    @Method
    async def promote(self, version: int, reason: str) -> PromotionOut:
        """Put a version into production, regardless of the gate's verdict; the reason is recorded."""
        return await self._send(_decision(f"/models/{path_part(version)}/promote", reason))

    @Method
    async def roll_back(self, reason: str) -> PromotionOut:
        """Put the previous version into production again; the reason is recorded."""
        return await self._send(_decision("/models/rollback", reason))

    @Method
    async def health(self) -> HealthOut:
        """Return that the process is alive."""
        return await self._send(Call("GET", "/health", HealthOut))

    @Method
    async def ready(self) -> ReadyOut:
        """Return the readiness of the service, also if it is not ready (status 503)."""
        return await self._send(Call("GET", "/ready", ReadyOut, repeatable=False, good=(OK, UNAVAILABLE)))

    @Method
    async def outcomes(self, days: int = 30) -> RecommendationOutcomesOut:
        """Return the outcomes of the recommendations of the last days, by version and strategy."""
        return await self._send(Call("GET", "/monitoring/recommendations", RecommendationOutcomesOut, {"days": days}))

    @Method
    async def comparisons(self, days: int = 30) -> ComparisonsOut:
        """Return the online comparisons of the served version with other versions, and the state of the probation."""
        return await self._send(Call("GET", "/monitoring/comparisons", ComparisonsOut, {"days": days}))

    @Method
    async def drift(
        self, threshold_pct: float | None = None, window: str | None = None, until: str | None = None
    ) -> DriftOut:
        """Check the newest ratings and recommendations for drift."""
        query = {"threshold_pct": threshold_pct, "window": window, "until": until}
        return await self._send(Call("GET", "/monitoring/drift", DriftOut, query, least_timeout=COUNTING_SECONDS))

    @Method
    async def drift_history(self, limit: int | None = None, before: int | None = None) -> DriftHistoryOut:
        """Return the past drift checks, newest first."""
        query = {"limit": limit, "before": before}
        return await self._send(Call("GET", "/monitoring/drift/history", DriftHistoryOut, query))

    @Method
    async def drift_baseline(self) -> BaselinesOut:
        """Return the baselines."""
        return await self._send(Call("GET", "/monitoring/drift/baseline", BaselinesOut))

    @Method
    async def pin_drift_baseline(self, version: int | None = None) -> BaselinesOut:
        """Pin the baseline of a version, or one taken from the ratings now."""
        body = checked_body(PinRequest, {"version": version})
        call = Call("POST", "/monitoring/drift/baseline", BaselinesOut, body=body, least_timeout=COUNTING_SECONDS)
        return await self._send(call)

    @Method
    async def unpin_drift_baseline(self) -> BaselinesOut:
        """Unpin the baseline."""
        return await self._send(Call("DELETE", "/monitoring/drift/baseline", BaselinesOut))

    @Method
    async def metrics(self) -> str:
        """Return all metrics in Prometheus' text format."""
        return await self._send(Call("GET", "/metrics", str))


def _training(training_id: str) -> Call[TrainingOut]:
    """Return the request for one training."""
    return Call("GET", f"/training/{path_part(training_id)}", TrainingOut)


def _decision(path: str, reason: str) -> Call[PromotionOut]:
    """Return the request of a promotion or a rollback; a repeated rollback would go one version further back."""
    body = checked_body(DecisionRequest, {"reason": reason})
    return Call("POST", path, PromotionOut, body=body, repeatable=False, least_timeout=LOADING_SECONDS)

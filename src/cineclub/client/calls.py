"""Each route of the API as a value: what to send, and what comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter, ValidationError

from cineclub.api.drift_schemas import BaselinesOut, DriftHistoryOut, DriftOut, PinRequest
from cineclub.api.fields import checked_id
from cineclub.api.outcome_schemas import ComparisonsOut, RecommendationOutcomesOut
from cineclub.api.schemas import (
    BatchRequest,
    BatchResponse,
    DecisionRequest,
    ErasedOut,
    GivenRatingIn,
    HealthOut,
    ModelsOut,
    MovieOut,
    MoviesOut,
    PopularOut,
    PredictRequest,
    PredictResponse,
    ProductionOut,
    PromotionOut,
    RatingRequest,
    RatingsRequest,
    RatingsWritten,
    ReadyOut,
    SimilarOut,
    TrainingOut,
    TrainingRequest,
    TrainingsOut,
    UserRatingsOut,
    VersionDetailOut,
)
from cineclub.client.errors import ServiceError

OK = 200
UNAVAILABLE = 503
LOADING_SECONDS = 120.0
"""The least time to wait for a promotion: the server loads the version in a fresh process first."""

COUNTING_SECONDS = 120.0
"""The least time to wait for a check of drift or a new baseline: the server counts ratings."""

Id = int | str
T = TypeVar("T")
_RATINGS: TypeAdapter[RatingRequest | list[RatingRequest]] = TypeAdapter(RatingsRequest)


class Wishes(TypedDict, total=False):
    """Which films an answer may hold and how many; what each means stands in ``cineclub.api.schemas.ChoiceIn``."""

    top_n: int
    genres: Sequence[str]
    exclude_genres: Sequence[str]
    year_from: int | None
    year_to: int | None
    exclude_movie_ids: Sequence[Id]
    candidate_movie_ids: Sequence[Id] | None
    include_seen: bool
    diversity: float


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request: ``repeatable`` when sending it twice leaves what sending it once leaves.

    ``good`` are the statuses that carry an ``answer``; None of 204 and text of /metrics are answers too.
    """

    method: str
    path: str
    answer: type[T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    repeatable: bool = True
    good: tuple[int, ...] = (OK,)
    least_timeout: float = 0.0


def predict(user_id: Id | None, ratings: Sequence[GivenRatingIn] | None, wishes: Wishes) -> Call[PredictResponse]:
    """Recommend films to a user, or to somebody who says what they think of some."""
    whom = _given(user_id=user_id, ratings=None if ratings is None else list(ratings))
    return Call("POST", "/predict/", PredictResponse, body=_body(PredictRequest, {**wishes, **whom}))


def predict_batch(user_ids: Sequence[Id], wishes: Wishes) -> Call[BatchResponse]:
    """Recommend films to many users."""
    body = _body(BatchRequest, {**wishes, "user_ids": list(user_ids)})
    return Call("POST", "/predict/batch", BatchResponse, body=body)


def rate(ratings: RatingRequest | Sequence[RatingRequest]) -> Call[RatingsWritten]:
    """Write one rating or several; writing them again changes nothing."""
    given = ratings if isinstance(ratings, RatingRequest) else list(ratings)
    body = _checked(_RATINGS, given)
    return Call("POST", "/ratings/", RatingsWritten, body=body)


def rating(user_id: Id, movie_id: Id, stars: float, rated_at: datetime | None) -> RatingRequest:
    """Return a rating, checked.

    Raises:
        ServiceError: a field is not what it may be.
    """
    document = {"user_id": user_id, "movie_id": movie_id, "rating": stars, "rated_at": rated_at}
    try:
        return RatingRequest.model_validate(document)
    except ValidationError as error:
        raise _refusal(error) from None


def take_back(user_id: Id, movie_id: Id) -> Call[None]:
    """Take one rating back.

    Raises:
        ServiceError: the film's id holds a slash, which this route cannot tell from its own.
    """
    if "/" in str(movie_id):
        message = f"movie_id {movie_id!r} holds a slash: this route cannot take such a film, rate it anew instead"
        raise ServiceError(None, "invalid_request", message)
    return Call("DELETE", f"/ratings/{_part(user_id)}/{_part(movie_id)}", type(None), good=(204,))


def search(title: str, limit: int | None) -> Call[MoviesOut]:
    """Find films by title."""
    return Call("GET", "/movies/", MoviesOut, _given(search=title, limit=limit))


def movie(movie_id: Id) -> Call[MovieOut]:
    """Look one film up."""
    return Call("GET", f"/movies/{_part(movie_id)}", MovieOut)


def similar(movie_id: Id, limit: int | None) -> Call[SimilarOut]:
    """Find films like another."""
    return Call("GET", f"/movies/{_part(movie_id)}/similar", SimilarOut, _given(limit=limit))


def popular(window_days: int | None, genre: str | None, limit: int | None) -> Call[PopularOut]:
    """List the popular films."""
    return Call("GET", "/movies/popular", PopularOut, _given(window_days=window_days, genre=genre, limit=limit))


def ratings_of(user_id: Id, limit: int | None) -> Call[UserRatingsOut]:
    """List what a user has rated."""
    return Call("GET", f"/users/{_part(user_id)}/ratings", UserRatingsOut, _given(limit=limit))


def erase(user_id: Id) -> Call[ErasedOut]:
    """Erase a user; not repeated, for the second answer would not tell what the first took out."""
    return Call("DELETE", f"/users/{_part(user_id)}", ErasedOut, repeatable=False)


def start_training(models: Sequence[str] | None, reason: str | None) -> Call[TrainingOut]:
    """Queue a training; a repetition would be refused as a second one, so there is none."""
    body = _body(TrainingRequest, _given(models=None if models is None else list(models), reason=reason))
    return Call("POST", "/training/", TrainingOut, body=body, repeatable=False, good=(202,))


def follow_training(training_id: str) -> Call[TrainingOut]:
    """Look at one training."""
    return Call("GET", f"/training/{_part(training_id)}", TrainingOut)


def cancel_training(training_id: str) -> Call[TrainingOut]:
    """Cancel a training."""
    return Call("DELETE", f"/training/{_part(training_id)}", TrainingOut)


def list_trainings(limit: int | None) -> Call[TrainingsOut]:
    """List the newest trainings."""
    return Call("GET", "/training/", TrainingsOut, _given(limit=limit))


def models(
    limit: int | None, before: int | None, promotions_before: int | None, refusals_before: int | None
) -> Call[ModelsOut]:
    """List the versions and what served."""
    pages = _given(limit=limit, before=before, promotions_before=promotions_before, refusals_before=refusals_before)
    return Call("GET", "/models/", ModelsOut, pages)


def model(version: int) -> Call[VersionDetailOut]:
    """Look at one version."""
    return Call("GET", f"/models/{_part(version)}", VersionDetailOut)


def production() -> Call[ProductionOut]:
    """Look at the version that serves."""
    return Call("GET", "/models/production", ProductionOut)


def promote(version: int, reason: str) -> Call[PromotionOut]:
    """Let a version serve."""
    return _decision(f"/models/{_part(version)}/promote", reason)


def roll_back(reason: str) -> Call[PromotionOut]:
    """Let the version serve that served before; a repetition would go one further back."""
    return _decision("/models/rollback", reason)


def health() -> Call[HealthOut]:
    """Ask whether the process lives."""
    return Call("GET", "/health", HealthOut)


def ready() -> Call[ReadyOut]:
    """Ask whether answers can be given; the 503 of this route is an answer."""
    return Call("GET", "/ready", ReadyOut, repeatable=False, good=(OK, UNAVAILABLE))


def outcomes(days: int) -> Call[RecommendationOutcomesOut]:
    """Ask what became of the recommendations of the last days."""
    return Call("GET", "/monitoring/recommendations", RecommendationOutcomesOut, query={"days": days})


def comparisons(days: int) -> Call[ComparisonsOut]:
    """Ask how versions that were asked the same questions compare."""
    return Call("GET", "/monitoring/comparisons", ComparisonsOut, query={"days": days})


def drift(threshold_pct: float | None, window: str | None, until: str | None) -> Call[DriftOut]:
    """Compare the newest ratings and answers with what was normal."""
    asked = _given(threshold_pct=threshold_pct, window=window, until=until)
    return Call("GET", "/monitoring/drift", DriftOut, asked, least_timeout=COUNTING_SECONDS)


def drift_history(limit: int | None, before: int | None) -> Call[DriftHistoryOut]:
    """List the checks of drift."""
    return Call("GET", "/monitoring/drift/history", DriftHistoryOut, _given(limit=limit, before=before))


def drift_baseline() -> Call[BaselinesOut]:
    """Look at what windows are compared with."""
    return Call("GET", "/monitoring/drift/baseline", BaselinesOut)


def pin_drift_baseline(version: int | None) -> Call[BaselinesOut]:
    """Pin a baseline."""
    body = _body(PinRequest, {"version": version})
    return Call("POST", "/monitoring/drift/baseline", BaselinesOut, body=body, least_timeout=COUNTING_SECONDS)


def unpin_drift_baseline() -> Call[BaselinesOut]:
    """Let no baseline be pinned."""
    return Call("DELETE", "/monitoring/drift/baseline", BaselinesOut)


def metrics() -> Call[str]:
    """Read the metrics in Prometheus' text format."""
    return Call("GET", "/metrics", str)


def _decision(path: str, reason: str) -> Call[PromotionOut]:
    """Return a person's decision about what serves."""
    body = _body(DecisionRequest, {"reason": reason})
    return Call("POST", path, PromotionOut, body=body, repeatable=False, least_timeout=LOADING_SECONDS)


def _given(**values: Any) -> dict[str, Any]:
    """Return the values that were given; the server knows what the others are."""
    return {name: value for name, value in values.items() if value is not None}


def _part(one: Id) -> str:
    """Return an id as one part of a path, slashes and dots included."""
    try:
        text = str(checked_id(one))
    except ValueError as error:
        raise ServiceError(None, "invalid_request", f"{one!r}: an id {error}") from None
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


def _body(schema: type[BaseModel], document: Mapping[str, Any]) -> Any:
    """Return a request's body as JSON values, once its schema has checked it."""
    return _checked(TypeAdapter(schema), document)


def _checked(adapter: TypeAdapter[Any], value: Any) -> Any:
    """Return a checked value as JSON values, without the fields that were left out."""
    try:
        return adapter.dump_python(adapter.validate_python(value), mode="json", exclude_unset=True)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> ServiceError:
    """Return the refusal of a request that was not sent: which field, and what it may be."""
    problems = [(".".join(str(part) for part in one["loc"]), one["msg"]) for one in error.errors()]
    message = "; ".join(f"{name} {text}".strip() for name, text in problems)
    return ServiceError(None, "invalid_request", message)

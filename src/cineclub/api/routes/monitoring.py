"""/monitoring/: what became of what was recommended."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from cineclub.api.access import METRICS, GuardedRoute
from cineclub.api.outcome_schemas import RecommendationOutcomesOut
from cineclub.api.routes.wiring import Parts, failures
from cineclub.domain.outcomes import StrategyOutcomes, VersionOutcomes, by_version

router = APIRouter(tags=["monitoring"], route_class=GuardedRoute)

DIGITS = 6
Days = Annotated[int, Query(ge=1, le=3650, description="the answers of so many days up to now")]


@router.get(
    "/monitoring/recommendations",
    response_model=RecommendationOutcomesOut,
    responses=failures(422, 503),
    openapi_extra=METRICS,
)
async def recommendations(parts: Parts, days: Days = 30) -> dict[str, Any]:
    """Return how often recommended films were rated afterwards, by model version and strategy; a minute old at most.

    A rating counts for the last answer that showed its film to its user before the rating, if that answer was at most
    `window_days` older.
    """
    found = await parts.monitoring.outcomes(days)
    return {
        "days": days,
        "since": found.since,
        "counted_at": found.until,
        "window_days": found.window_days,
        "n_movies": found.n_movies,
        "versions": [_version_document(one, found.n_movies) for one in by_version(found.strategies)],
    }


def _version_document(version: VersionOutcomes, n_movies: int) -> dict[str, Any]:
    """Return the outcomes of a model version as JSON shows them."""
    return {
        "model": None
        if version.model_version is None
        else {"name": version.model_name, "version": version.model_version},
        "n_answers": version.n_answers,
        "cold_start_share": _rounded(version.cold_start_share),
        "strategies": [_strategy_document(one, n_movies) for one in version.strategies],
    }


def _strategy_document(one: StrategyOutcomes, n_movies: int) -> dict[str, Any]:
    """Return the outcomes of a strategy as JSON shows them."""
    return {
        "strategy": one.strategy,
        "n_answers": one.n_answers,
        "n_anonymous": one.n_anonymous,
        "n_open": one.n_open,
        "n_hits": one.n_hits,
        "n_taken": one.n_taken,
        "hit_rate": _rounded(one.hit_rate),
        "mean_taken_rating": _rounded(one.mean_taken_rating),
        "coverage": _rounded(one.coverage(n_movies)),
        "popularity_share": _rounded(one.popularity_share),
    }


def _rounded(value: float | None) -> float | None:
    """Return a figure with as many digits as mean something."""
    return None if value is None else round(value, DIGITS)

"""/monitoring/: what became of what was recommended, and of what other versions would have recommended."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from cineclub.api.access import METRICS, GuardedRoute
from cineclub.api.outcome_schemas import ComparisonsOut, RecommendationOutcomesOut
from cineclub.api.routes.wiring import Parts, failures
from cineclub.domain.live_comparison import PairVerdict
from cineclub.domain.outcomes import StrategyOutcomes, VersionOutcomes, by_version
from cineclub.flows.probation import ComparedPair, ProbationState
from cineclub.ports import ProbationLook

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


@router.get(
    "/monitoring/comparisons", response_model=ComparisonsOut, responses=failures(422, 503), openapi_extra=METRICS
)
async def comparisons(parts: Parts, days: Days = 30) -> dict[str, Any]:
    """Return how alike the lists of two versions were, and whose held what people then liked; a minute old at most.

    One of the two answered, the other was asked the same beside the request: a challenger (`CINECLUB_SHADOW`) or the
    version that served before (`CINECLUB_PROBATION`). A rating counts for the last compared answer before it, of at
    most the outcome window, of which either list held the film; a film is liked from 4 of 5 stars on.
    """
    found = await parts.comparisons.of_days(days)
    return {
        "days": days,
        "since": found.since,
        "counted_at": found.until,
        "pairs": [_pair_document(one) for one in found.pairs],
        "probation_mode": parts.comparisons.rules.mode,
        "probation": None if found.state is None else _probation_document(found.state),
    }


def _pair_document(pair: ComparedPair) -> dict[str, Any]:
    """Return a pair of versions as JSON shows it."""
    one = pair.outcomes
    return {
        **_verdict_document(pair.verdict),
        "purpose": one.purpose,
        "served_version": one.served_version,
        "other_version": one.other_version,
        "n_answers": one.n_answers,
        "n_anonymous": one.n_anonymous,
        "mean_overlap": _rounded(one.mean_overlap),
        "mean_rank_overlap": _rounded(one.mean_rank_overlap),
        "n_served_taken": one.n_served_taken,
        "n_other_taken": one.n_other_taken,
        "n_served_only_liked": sum(each.n_served_only for each in one.people),
        "n_other_only_liked": sum(each.n_other_only for each in one.people),
        "n_both_liked": sum(each.n_both for each in one.people),
        "n_for_served": pair.verdict.n_for_served,
        "n_for_other": pair.verdict.n_for_other,
    }


def _probation_document(state: ProbationState) -> dict[str, Any]:
    """Return the probation of what serves as JSON shows it."""
    probation = state.probation
    return {
        "served_version": probation.served_version,
        "former_version": probation.former_version,
        "began_at": probation.began_at,
        "ends_at": probation.ends_at,
        "is_over": state.is_over,
        "looks": [
            {**_verdict_document(one), "nth": one.nth, "looked_at": one.looked_at, "summary": one.summary}
            for one in state.looks
        ],
    }


def _verdict_document(one: PairVerdict | ProbationLook) -> dict[str, Any]:
    """Return a verdict with its interval as JSON shows it."""
    return {
        "verdict": one.verdict,
        "difference": _rounded(one.difference),
        "low": _rounded(one.low),
        "high": _rounded(one.high),
        "confidence": round(one.confidence, DIGITS),
        "n_people": one.n_people,
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

"""/monitoring/: outcomes of recommendations, and online comparisons of versions."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from cineclub.api.access import METRICS, GuardedRoute
from cineclub.api.outcome_schemas import ComparisonsOut, RecommendationOutcomesOut
from cineclub.api.routes.dependencies import Parts, failures
from cineclub.domain.recommend.outcomes import StrategyOutcomes, VersionOutcomes, by_version
from cineclub.flows.probation import ComparedPair, ProbationState

router = APIRouter(tags=["monitoring"], route_class=GuardedRoute)

Days = Annotated[int, Query(ge=1, le=3650, description="recommendations of this many days up to now")]


@router.get(
    "/monitoring/recommendations",
    response_model=RecommendationOutcomesOut,
    responses=failures(422, 503),
    openapi_extra=METRICS,
)
async def recommendations(parts: Parts, days: Days = 30) -> dict[str, Any]:
    """Return the outcomes of recommendations by model version and strategy, counted at most a minute ago.

    A rating counts for the last list before it that recommended its film to its user, if that list was at most
    `window_days` older.
    """
    outcomes = await parts.monitoring.outcomes(days)
    return {
        "days": days,
        "since": outcomes.since,
        "counted_at": outcomes.until,
        "window_days": outcomes.window_days,
        "n_movies": outcomes.n_movies,
        "versions": [_version_document(version, outcomes.n_movies) for version in by_version(outcomes.strategies)],
    }


@router.get(
    "/monitoring/comparisons", response_model=ComparisonsOut, responses=failures(422, 503), openapi_extra=METRICS
)
async def comparisons(parts: Parts, days: Days = 30) -> dict[str, Any]:
    """Return online comparisons of two versions: overlap of their lists, and liked films; counted at most a minute ago.

    One of the two served, the other predicted for the same requests in the background: a challenger (`CINECLUB_SHADOW`)
    or the former version (`CINECLUB_PROBATION`). A rating counts for the last pair of lists before it, within the
    outcome window, that held its film; a film is liked from 4 of 5 stars on.
    """
    compared = await parts.comparisons.of_days(days)
    return {
        "days": days,
        "since": compared.since,
        "counted_at": compared.until,
        "pairs": [_pair_document(pair) for pair in compared.pairs],
        "probation_mode": parts.comparisons.rules.mode,
        "probation": None if compared.state is None else _probation_document(compared.state),
    }


def _pair_document(pair: ComparedPair) -> dict[str, Any]:
    """Return a pair of versions as JSON."""
    outcomes, verdict = pair.outcomes, pair.verdict
    return {
        "verdict": verdict.verdict,
        "difference": verdict.difference,
        "low": verdict.low,
        "high": verdict.high,
        "confidence": verdict.confidence,
        "n_people": verdict.n_people,
        "purpose": outcomes.purpose,
        "served_version": outcomes.served_version,
        "other_version": outcomes.other_version,
        "n_answers": outcomes.n_answers,
        "n_anonymous": outcomes.n_anonymous,
        "mean_overlap": outcomes.mean_overlap,
        "mean_rank_overlap": outcomes.mean_rank_overlap,
        "n_served_taken": outcomes.n_served_taken,
        "n_other_taken": outcomes.n_other_taken,
        "n_served_only_liked": sum(user.n_served_only for user in outcomes.people),
        "n_other_only_liked": sum(user.n_other_only for user in outcomes.people),
        "n_both_liked": sum(user.n_both for user in outcomes.people),
        "n_for_served": verdict.n_for_served,
        "n_for_other": verdict.n_for_other,
    }


def _probation_document(state: ProbationState) -> dict[str, Any]:
    """Return the probation of the version that serves as JSON."""
    probation = state.probation
    return {
        "served_version": probation.served_version,
        "former_version": probation.former_version,
        "began_at": probation.began_at,
        "ends_at": probation.ends_at,
        "is_over": state.is_over,
        "looks": state.checks,
    }


def _version_document(version: VersionOutcomes, n_movies: int) -> dict[str, Any]:
    """Return the outcomes of a model version as JSON."""
    has_model = version.model_version is not None
    return {
        "model": {"name": version.model_name, "version": version.model_version} if has_model else None,
        "n_answers": version.n_answers,
        "cold_start_share": version.cold_start_share,
        "strategies": [_strategy_document(strategy, n_movies) for strategy in version.strategies],
    }


def _strategy_document(outcomes: StrategyOutcomes, n_movies: int) -> dict[str, Any]:
    """Return the outcomes of a strategy as JSON."""
    return {
        "strategy": outcomes.strategy,
        "n_answers": outcomes.n_answers,
        "n_anonymous": outcomes.n_anonymous,
        "n_open": outcomes.n_open,
        "n_hits": outcomes.n_hits,
        "n_taken": outcomes.n_taken,
        "hit_rate": outcomes.hit_rate,
        "mean_taken_rating": outcomes.mean_taken_rating,
        "coverage": outcomes.coverage(n_movies),
        "popularity_share": outcomes.popularity_share,
    }

"""Values of the flows as the JSON that callers see."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from cineclub.domain.ratings import Movie
from cineclub.domain.recommendations import ListedFilms, PredictionResponse, Recommendation
from cineclub.ports import KnownVersion, LiveModel, PopularMovie, Promotion, Refusal, Training

SCORE_DIGITS = 6
STARS_DIGITS = 2
RATING_DIGITS = 4


def prediction_document(
    response: PredictionResponse, user_id: int | str | None, films: Sequence[dict[str, Any]] | orjson.Fragment
) -> dict[str, Any]:
    """Return an answer with the user's id as it was sent and its films as they are written."""
    model = None
    if response.model_name is not None:
        model = {"name": response.model_name, "version": response.model_version}
    return {
        "recommendation_id": response.recommendation_id,
        "user_id": user_id,
        "strategy": response.strategy,
        "degraded": response.degraded,
        "model": model,
        "recommendations": films,
        "unknown_films": response.unknown_films,
    }


def recommendation_documents(listed: ListedFilms, *, integers: bool) -> list[dict[str, Any]]:
    """Return the films of an answer, with ids as the caller's system writes them."""
    return [_recommendation(one, integers=integers) for one in listed.recommendations]


def movie_document(movie: Movie, *, integers: bool) -> dict[str, Any]:
    """Return a film of the catalogue."""
    return {
        "movie_id": _public_id(movie, integers=integers),
        "title": movie.title,
        "year": movie.year,
        "genres": movie.genres,
        "imdb_id": movie.imdb_id,
        "tmdb_id": movie.tmdb_id,
    }


def scored_document(one: PopularMovie, *, integers: bool) -> dict[str, Any]:
    """Return a film with what it is ordered by."""
    return {**movie_document(one.movie, integers=integers), "score": round(one.score, SCORE_DIGITS)}


def training_document(training: Training, *, with_report: bool) -> dict[str, Any]:
    """Return a training; the report is long and left out of lists."""
    document = asdict(training)
    if not with_report:
        document["report"] = None
    return document


def production_document(promotion: Promotion, live: LiveModel) -> dict[str, Any]:
    """Return what serves and why."""
    return {
        "name": live.fitted.recipe.model,
        "version": live.version,
        "hyperparameters": dict(live.fitted.recipe.hyperparameters),
        "promoted_at": promotion.promoted_at,
        "verdict": promotion.verdict,
        "reason": promotion.reason,
        "promoted_by": promotion.promoted_by,
        "manifest_sha256": promotion.manifest_sha256,
        "n_movies": len(live.fitted.movie_ids),
        "rating_scale": asdict(live.fitted.scale),
    }


def promotion_document(promotion: Promotion) -> dict[str, Any]:
    """Return one line of the history of what served."""
    return {
        "promotion_id": promotion.promotion_id,
        "version": promotion.version,
        "previous_version": promotion.previous_version,
        "name": promotion.recipe.model,
        "hyperparameters": dict(promotion.recipe.hyperparameters),
        "promoted_at": promotion.promoted_at,
        "verdict": promotion.verdict,
        "reason": promotion.reason,
        "promoted_by": promotion.promoted_by,
        "training_id": promotion.training_id,
        "manifest_sha256": promotion.manifest_sha256,
    }


def version_document(known: KnownVersion, serving: Promotion | None) -> dict[str, Any]:
    """Return a registered version; ``serving`` is what was promoted last."""
    registered = known.registered
    is_same = serving is not None and (serving.version, serving.manifest_sha256) == (
        registered.version,
        registered.manifest_sha256,
    )
    return {
        "version": registered.version,
        "serves": is_same,
        "name": registered.recipe.model,
        "hyperparameters": dict(registered.recipe.hyperparameters),
        "verdict": known.verdict,
        "reason": known.reason,
        "role": known.role,
        "registered_at": registered.created_at,
        "training_id": known.training_id,
        "manifest_sha256": registered.manifest_sha256,
        "metrics": dict(known.metrics),
        "snapshot_n_ratings": registered.snapshot.n_ratings,
        "snapshot_newest_rated_at": registered.snapshot.newest_rated_at,
        "snapshot_sha256": registered.snapshot.content_sha256,
        "code_version": known.code_version,
    }


def refusal_document(refusal: Refusal) -> dict[str, Any]:
    """Return a promotion that did not happen."""
    return {
        "refusal_id": refusal.refusal_id,
        "version": refusal.version,
        "refused_at": refusal.refused_at,
        "asked_by": refusal.asked_by,
        "reason": refusal.reason,
    }


def _recommendation(one: Recommendation, *, integers: bool) -> dict[str, Any]:
    """Return one film of an answer."""
    movie, stars = one.movie, one.predicted_stars
    return {
        "rank": one.rank,
        "movie_id": _public_id(movie, integers=integers),
        "title": movie.title,
        "year": movie.year,
        "genres": movie.genres,
        "score": round(one.score, SCORE_DIGITS),
        "predicted_stars": None if stars is None else round(stars, STARS_DIGITS),
        "reasons": [
            {
                "movie_id": _public_id(reason.movie, integers=integers),
                "title": reason.movie.title,
                "your_rating": round(reason.your_rating, RATING_DIGITS),
                "weight": round(reason.weight, SCORE_DIGITS),
            }
            for reason in one.reasons
        ],
    }


def _public_id(movie: Movie, *, integers: bool) -> int | str:
    """Return a film's id as the caller's system writes it."""
    return int(movie.external_id) if integers else movie.external_id

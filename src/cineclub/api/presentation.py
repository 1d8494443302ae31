"""Values of the domain as JSON documents."""

from collections.abc import Sequence
from typing import Any

import orjson

from cineclub.domain.promotion.records import Promotion
from cineclub.domain.promotion.versions import KnownVersion
from cineclub.domain.ratings.labels import label_document
from cineclub.domain.ratings.log import Movie
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommendations import (
    PredictionResponse,
    Recommendation,
    RecommendationList,
    SimilarTo,
)
from cineclub.domain.recommend.records import PopularMovie

SCORE_DIGITS = 6
STARS_DIGITS = 2
RATING_DIGITS = 4


def prediction_document(
    response: PredictionResponse, user_id: int | str | None, movies: Sequence[dict[str, Any]] | orjson.Fragment
) -> dict[str, Any]:
    """Return a response with the user's id as it was sent, and with rendered movies."""
    has_model = response.model_name is not None
    return {
        "recommendation_id": response.recommendation_id,
        "user_id": user_id,
        "strategy": response.strategy,
        "degraded": response.degraded,
        "model": {"name": response.model_name, "version": response.model_version} if has_model else None,
        "recommendations": movies,
        "unknown_films": response.unknown_films,
    }


def recommendation_documents(recommendations: RecommendationList, *, integers: bool) -> list[dict[str, Any]]:
    """Return recommended movies, with integer ids or text."""
    return [_recommendation(recommendation, integers=integers) for recommendation in recommendations.recommendations]


def movie_document(movie: Movie, *, integers: bool) -> dict[str, Any]:
    """Return a movie of the catalogue."""
    return {
        "movie_id": _public_id(movie, integers=integers),
        "title": movie.title,
        "year": movie.year,
        "genres": movie.genres,
        "imdb_id": movie.imdb_id,
        "tmdb_id": movie.tmdb_id,
        "labels": label_document(movie.labels),
        "runtime_minutes": movie.runtime_minutes,
        "available": movie.is_available,
    }


def movie_detail_document(movie: Movie, *, integers: bool) -> dict[str, Any]:
    """Return a movie of the catalogue with its overview."""
    return {**movie_document(movie, integers=integers), "overview": movie.overview}


def scored_document(scored: PopularMovie | Recommendation, *, integers: bool) -> dict[str, Any]:
    """Return a movie with its score, and what speaks for it if the model has not learned it."""
    similar_to = scored.similar_to if isinstance(scored, Recommendation) else None
    return {
        **movie_document(scored.movie, integers=integers),
        "score": round(scored.score, SCORE_DIGITS),
        "similar_to": _similar_to(similar_to, integers=integers),
    }


def production_document(promotion: Promotion, live: LiveModel) -> dict[str, Any]:
    """Return the model in production with its promotion."""
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
        "rating_scale": live.fitted.scale,
    }


def promotion_document(promotion: Promotion) -> dict[str, Any]:
    """Return one entry of the promotion history."""
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
    """Return a registered version; ``serving`` is the newest promotion."""
    registered = known.registered
    return {
        "version": registered.version,
        "serves": serving is not None and serving.key == registered.key,
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


def _recommendation(recommendation: Recommendation, *, integers: bool) -> dict[str, Any]:
    """Return one recommended movie."""
    movie, stars, crowd_weight = recommendation.movie, recommendation.predicted_stars, recommendation.crowd_weight
    return {
        "rank": recommendation.rank,
        "movie_id": _public_id(movie, integers=integers),
        "title": movie.title,
        "year": movie.year,
        "genres": movie.genres,
        "score": round(recommendation.score, SCORE_DIGITS),
        "predicted_stars": None if stars is None else round(stars, STARS_DIGITS),
        "reasons": [
            {
                "movie_id": _public_id(reason.movie, integers=integers),
                "title": reason.movie.title,
                "your_rating": round(reason.your_rating, RATING_DIGITS),
                "weight": round(reason.weight, SCORE_DIGITS),
            }
            for reason in recommendation.reasons
        ],
        "crowd_weight": None if crowd_weight is None else round(crowd_weight, SCORE_DIGITS),
        "similar_to": _similar_to(recommendation.similar_to, integers=integers),
    }


def _similar_to(similar_to: SimilarTo | None, *, integers: bool) -> dict[str, Any] | None:
    """Return the movie that speaks for another, with what they share."""
    if similar_to is None:
        return None
    return {
        "movie_id": _public_id(similar_to.movie, integers=integers),
        "title": similar_to.movie.title,
        "shared": [{"kind": kind, "name": name} for kind, name in similar_to.attributes],
    }


def _public_id(movie: Movie, *, integers: bool) -> int | str:
    """Return a movie's external id as an integer or as text; as text too if it is the first one that is no integer."""
    if not integers:
        return movie.external_id
    try:
        return int(movie.external_id)
    except ValueError:  # added since it was read whether all are integers
        return movie.external_id

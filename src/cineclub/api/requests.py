"""Request bodies as values of the domain, with ids as text."""

from dataclasses import fields
from typing import Any

from pydantic import BaseModel

from cineclub.api.movie_schemas import MovieIn
from cineclub.api.schemas import BatchRequest, GivenRatingIn, PredictRequest
from cineclub.domain.ratings.imported import NewMovie
from cineclub.domain.ratings.labels import Label, settled_labels
from cineclub.domain.recommend.filters import NO_FILTERS, Filters
from cineclub.domain.recommend.request import GivenRating, RecommendationRequest

FILTER_NAMES = frozenset(field.name for field in fields(Filters))


def recommendation_request(body: PredictRequest) -> RecommendationRequest:
    """Return the recommendation request of a body."""
    return RecommendationRequest(
        top_n=body.top_n,
        user_id=None if body.user_id is None else str(body.user_id),
        ratings=tuple(given_rating(rating) for rating in body.ratings or ()),
        filters=filters_of(body),
        fresh=body.fresh,
    )


def recommendation_requests(body: BatchRequest) -> list[RecommendationRequest]:
    """Return one recommendation request for each user of a body."""
    filters = filters_of(body)
    return [RecommendationRequest(body.top_n, str(user_id), (), filters, body.fresh) for user_id in body.user_ids]


def given_rating(rating: GivenRatingIn) -> GivenRating:
    """Return a rating with the id that identifies its movie."""
    if rating.movie_id is not None:
        return GivenRating(str(rating.movie_id), rating.rating)
    if rating.imdb_id is not None:
        return GivenRating(str(rating.imdb_id), rating.rating, "imdb_id")
    return GivenRating(str(rating.tmdb_id), rating.rating, "tmdb_id")


def filters_of(given: BaseModel) -> Filters:
    """Return the filters of a body or of the parameters of a query, with ids as text."""
    names = FILTER_NAMES & given.model_fields_set
    return Filters(**{name: _immutable(getattr(given, name)) for name in names}) if names else NO_FILTERS


def _immutable(value: Any) -> Any:
    """Return ids as a tuple of texts, labels as a tuple of kinds and names, and any other value as it is."""
    if isinstance(value, dict):
        return tuple((kind, name) for kind, names in value.items() for name in names)
    if isinstance(value, list):
        return tuple(str(entry) if isinstance(entry, int) else entry for entry in value)
    return value


def new_movie(movie_id: str, body: MovieIn) -> NewMovie:
    """Return what a body says of a movie, each genre and label once."""
    labels = (
        Label(kind, entry) if isinstance(entry, str) else Label(kind, entry.name, entry.weight, entry.since)
        for kind, entries in body.labels.items()
        for entry in entries
    )
    return NewMovie(
        external_id=movie_id,
        title=body.title,
        year=body.year,
        genres=tuple(dict.fromkeys(body.genres)),
        imdb_id=None if body.imdb_id is None else str(body.imdb_id),
        tmdb_id=None if body.tmdb_id is None else str(body.tmdb_id),
        labels=settled_labels(labels),
        runtime_minutes=body.runtime_minutes,
        overview=body.overview or None,
        is_available=body.available,
    )

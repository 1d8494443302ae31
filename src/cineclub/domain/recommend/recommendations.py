"""Recommendations: movies with their scores and reasons, and the model or list that they come from."""

from dataclasses import dataclass
from datetime import datetime

from cineclub.domain.movies.attributes import shared_attributes
from cineclub.domain.ratings.crowd import CrowdCounts
from cineclub.domain.ratings.log import Movie, UserRatings
from cineclub.domain.recommend.cold_start import Strategy
from cineclub.domain.recommend.impressions import NO_IMPRESSIONS, Impressions
from cineclub.domain.recommend.request import RecommendationRequest

MAX_SHARED = 3
"""The attributes that are named as shared by two movies."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A movie that the user has rated, and by how much that rating raised the score of the recommended one."""

    movie: Movie
    your_rating: float
    weight: float


@dataclass(frozen=True, slots=True)
class SimilarTo:
    """The movie that speaks for one which the model has not learned, and kind and name of what they share."""

    movie: Movie
    attributes: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, movie: Movie, other: Movie) -> "SimilarTo | None":
        """Return that a movie is similar to another by what they share; None if that is nothing but the time."""
        shared = shared_attributes(movie, other)
        return cls(other, shared[:MAX_SHARED]) if shared else None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One recommended movie.

    Attributes:
        rank: from 1.
        movie: the movie.
        score: falls with the rank, unless diversity or impressions changed the order.
        predicted_stars: None where the model predicts none.
        reasons: the ratings that raised the score.
        crowd_weight: by how much the likes of the last days raised the score; None where they did not. In a fresh list
            it is the part of the trend, of movies that it lifts more than the model's score does.
        similar_to: a movie with the same attributes, of a movie that the model has not learned; None of others.
    """

    rank: int
    movie: Movie
    score: float
    predicted_stars: float | None = None
    reasons: tuple[Reason, ...] = ()
    crowd_weight: float | None = None
    similar_to: SimilarTo | None = None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class RecommendationList:
    """Recommended movies, best first, and their strategy; compared by identity, so that caches can key on it."""

    strategy: Strategy
    recommendations: tuple[Recommendation, ...]

    @property
    def movie_ids(self) -> list[int]:
        """The internal ids of the movies."""
        return [recommendation.movie.movie_id for recommendation in self.recommendations]


@dataclass(frozen=True, slots=True)
class PredictionResponse:
    """The response to a request; without a model in production ``model_name`` and ``model_version`` are None.

    ``unknown_films`` are the rated movies of the request that the model has not learned yet.
    """

    recommendation_id: str
    user_id: str | None
    degraded: bool
    model_name: str | None
    model_version: int | None
    recommendation_list: RecommendationList
    unknown_films: tuple[str, ...] = ()

    @property
    def strategy(self) -> Strategy:
        """The origin of the scores."""
        return self.recommendation_list.strategy

    @property
    def recommendations(self) -> tuple[Recommendation, ...]:
        """The movies, best first."""
        return self.recommendation_list.recommendations


@dataclass(frozen=True, slots=True)
class ServedResponse:
    """A response as observers get it: with its request, the ratings of its user, its time, and what else it needs.

    ``user_ratings`` are empty without a user, or while PostgreSQL is away and the user is not in memory. ``crowd`` and
    ``impressions`` are those of the response, so that another version is asked with the same.
    """

    request: RecommendationRequest
    user_ratings: UserRatings
    response: PredictionResponse
    served_at: datetime
    latency_seconds: float
    crowd: CrowdCounts | None = None
    impressions: Impressions = NO_IMPRESSIONS

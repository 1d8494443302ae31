"""Request and response bodies; /docs shows their docstrings and descriptions."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from cineclub.api.fields import REFUSED, ExternalId, ExternalIds, RatedAt, RatingValue, Request, Share, Text, TopN
from cineclub.api.filters import FiltersIn
from cineclub.api.movie_schemas import MovieOut, ScoredMovieOut, SimilarToOut

MAX_RATINGS = 1000
MAX_USERS = 1000
FRESH = "0: the list of the model; 1: what people like these days; between them a mixture"


class GivenRatingIn(Request):
    """A rating of a film, which one of three ids identifies."""

    movie_id: ExternalId | None = Field(default=None, description="the film's id in your system")
    imdb_id: ExternalId | None = Field(default=None, description="or its IMDb id, with or without tt")
    tmdb_id: ExternalId | None = Field(default=None, description="or its TMDB id")
    rating: RatingValue = Field(description="on the scale of the catalogue")

    @model_validator(mode="after")
    def _names_one_movie(self) -> Self:
        """Refuse a rating with no id or several."""
        if (self.movie_id, self.imdb_id, self.tmdb_id).count(None) != 2:  # noqa: PLR2004 - of three ids
            raise PydanticCustomError(REFUSED, "must name the film by one of movie_id, imdb_id and tmdb_id")
        return self


class PredictRequest(FiltersIn):
    """A user or ratings, filters, and the number of films."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": 42, "top_n": 10},
                {"ratings": [{"movie_id": 318, "rating": 5}], "genres": ["Drama"], "year_from": 1990},
            ]
        }
    )

    user_id: ExternalId | None = Field(
        default=None, description="the user's id in your system; an unknown id is a new user"
    )
    ratings: list[GivenRatingIn] | None = Field(
        default=None, max_length=MAX_RATINGS, description="in place of a user: the ratings of a person without account"
    )
    top_n: TopN = Field(default=10, description="number of films, 1 to 100")
    fresh: Share = Field(default=0.0, description=FRESH)

    @model_validator(mode="after")
    def _has_user_or_ratings(self) -> Self:
        """Refuse a request with neither user nor ratings, or with both."""
        if (self.user_id is None) == (self.ratings is None):
            raise PydanticCustomError(REFUSED, "give either user_id or ratings")
        return self


class BatchRequest(FiltersIn):
    """Users, and filters for all of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_ids": [42, 43], "top_n": 10}]})

    user_ids: ExternalIds = Field(min_length=1, max_length=MAX_USERS, description="unknown ids are new users")
    top_n: TopN = Field(default=10, description="number of films for each user, 1 to 100")
    fresh: Share = Field(default=0.0, description=FRESH)


class ReasonOut(BaseModel):
    """A rated film that raised the score of a recommended one."""

    movie_id: int | str
    title: str
    your_rating: float
    weight: float = Field(description="contribution of this rating to the score")


class RecommendationOut(BaseModel):
    """One recommended film."""

    rank: int = Field(description="1 is the best")
    movie_id: int | str
    title: str
    year: int | None
    genres: list[str]
    score: float = Field(description="comparable within one response only")
    predicted_stars: float | None = Field(description="predicted rating of this user; null if the model has none")
    reasons: list[ReasonOut]
    crowd_weight: float | None = Field(
        default=None,
        description="contribution of the likes of all users, of the last days above all; absent where they did not "
        "raise the score, or the model does not follow them",
    )
    similar_to: SimilarToOut | None = Field(
        default=None, description="what speaks for a film that the model has not learned; null for others"
    )


class ModelOut(BaseModel):
    """The model that made the recommendations."""

    name: str
    version: int


class PredictResponse(BaseModel):
    """Recommendations, with the model and the strategy that made them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "recommendation_id": "0192f0c4-7a51-7c3e-9d5b-5b1f6e3a9c10",
                    "user_id": 42,
                    "strategy": "model",
                    "degraded": False,
                    "model": {"name": "ease", "version": 7},
                    "recommendations": [
                        {
                            "rank": 1,
                            "movie_id": 318,
                            "title": "Shawshank Redemption, The",
                            "year": 1994,
                            "genres": ["Crime", "Drama"],
                            "score": 1.82,
                            "predicted_stars": None,
                            "reasons": [
                                {"movie_id": 527, "title": "Schindler's List", "your_rating": 5.0, "weight": 0.21}
                            ],
                        }
                    ],
                }
            ]
        }
    )

    recommendation_id: str
    user_id: int | str | None = Field(description="as it was sent; null for a person without an account")
    strategy: Literal["model", "popular"] = Field(description="popular: a new user, or no better model")
    degraded: bool = Field(description="made from memory, because the database was unavailable")
    model: ModelOut | None
    recommendations: list[RecommendationOut]
    unknown_films: list[str] = Field(description="rated films of the request that the model has not learned yet")


class BatchResponse(BaseModel):
    """Recommendations for each user, in the order of the request; none of them are logged."""

    answers: list[PredictResponse]


class SimilarOut(BaseModel):
    """Films similar to one, by the model in production."""

    movie: MovieOut
    strategy: Literal["model", "attributes", "popular"] = Field(
        description="attributes: the model has learned nothing of the film; popular: it has neither genres nor a year"
    )
    model: ModelOut
    movies: list[ScoredMovieOut]


class RatedMovieOut(BaseModel):
    """A film that a user has rated."""

    movie: MovieOut
    rating: float
    rated_at: datetime


class UserRatingsOut(BaseModel):
    """The ratings of a user, newest first."""

    user_id: str
    ratings: list[RatedMovieOut]


class ErasedOut(BaseModel):
    """The data of a user that were removed, and what remains until when."""

    n_ratings: int
    n_predictions: int = Field(description="logged recommendations")
    n_owner_ratings: int | None = Field(
        default=0, description="ratings in your own views, which stay there; null if the views cannot be read"
    )
    training_id: str | None = Field(
        description="the queued training without the user's ratings; null while a training runs that may have read "
        "them: another is queued when it has ended, and GET /training/ lists it; null also for a user without ratings"
    )
    learned_version: int | None = Field(
        default=None,
        description="the version in production, which may have learned from the user; null if there is none",
    )
    remains: str = Field(description="what may still hold something of the user, and until when")


class RatingRequest(GivenRatingIn):
    """One rating."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": 42, "movie_id": 318, "rating": 5.0, "rated_at": None}]}
    )

    user_id: ExternalId = Field(description="an unknown user is created")
    rating: RatingValue = Field(description="on the scale of the catalogue")
    rated_at: RatedAt = Field(default=None, description="time of the rating, with offset; now unless given")


def _one_or_many(value: Any) -> str:
    """Return the tag of a body: one rating, or a list of many."""
    return "many" if isinstance(value, list) else "one"


RatingsRequest = Annotated[
    Annotated[RatingRequest, Tag("one")]
    | Annotated[list[RatingRequest], Tag("many"), Field(min_length=1, max_length=MAX_RATINGS)],
    Discriminator(_one_or_many),
]


class RatingsWritten(BaseModel):
    """The number of written ratings."""

    written: int


class TrainingRequest(Request):
    """Models to train; an empty object trains all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"models": ["popular", "ease"], "reason": "new films"}]})

    models: list[Text] | None = Field(default=None, min_length=1, max_length=50, description="all unless given")
    reason: Text | None = Field(default=None, min_length=1, max_length=500, description="recorded with the training")


class ProgressOut(BaseModel):
    """The progress of a training."""

    step: str = Field(description="a step of the training flow")
    candidate: str | None = Field(description="the model in this step")
    fraction: float = Field(description="of the step, 0 to 1")
    message: str


class TrainingOut(BaseModel):
    """One training."""

    training_id: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    reason: str | None
    options: dict[str, Any]
    requested_at: datetime
    trigger: Literal["request", "schedule", "new_ratings", "drift"] = Field(description="the cause of the training")
    started_at: datetime | None
    finished_at: datetime | None
    progress: ProgressOut | None
    attempt: int
    cancel_requested: bool
    error: str | None = Field(description="the reason of its failure")
    report: dict[str, Any] | None = Field(description="evaluation and decision; not in the list of trainings")


class TrainingsOut(BaseModel):
    """Trainings, newest first."""

    trainings: list[TrainingOut]


class HealthOut(BaseModel):
    """The process is alive."""

    status: Literal["alive"]


class ReadyOut(BaseModel):
    """Readiness of the service."""

    ready: bool = Field(description="whether it can recommend")
    degraded: bool = Field(description="ready, but from memory alone")
    database: Literal["reachable", "away"]
    model: ModelOut | None
    popular: bool = Field(description="whether popular films are available in place of a missing model")


class ErrorDetail(BaseModel):
    """An error; some codes add fields of their own."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str = Field(description="what to do next")


class ErrorOut(BaseModel):
    """The body of every error response."""

    error: ErrorDetail

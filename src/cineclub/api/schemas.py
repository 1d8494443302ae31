"""Requests and answers as JSON; the documentation at /docs is made from these."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, Tag, model_validator
from pydantic_core import PydanticCustomError

from cineclub.api.fields import REFUSED, ExternalId, Genre, RatedAt, RatingValue, Share, TopN, Year

MAX_RATINGS = 1000
MAX_MOVIE_IDS = 10_000
MAX_USERS = 1000


class Request(BaseModel):
    """What every request body has in common: an unknown field is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GivenRatingIn(Request):
    """What somebody thinks of a film, which is named by one of three ids."""

    movie_id: ExternalId | None = Field(default=None, description="the film's id in your system")
    imdb_id: ExternalId | None = Field(default=None, description="or its IMDb id, with or without tt")
    tmdb_id: ExternalId | None = Field(default=None, description="or its TMDB id")
    rating: RatingValue = Field(description="on the scale of the catalogue")

    @model_validator(mode="after")
    def _names_one_film(self) -> Self:
        """Refuse a rating of no film, and one of several."""
        if len([one for one in (self.movie_id, self.imdb_id, self.tmdb_id) if one is not None]) != 1:
            raise PydanticCustomError(REFUSED, "must name the film by one of movie_id, imdb_id and tmdb_id")
        return self


class ChoiceIn(Request):
    """Which films an answer may hold."""

    genres: list[Genre] = Field(default=[], max_length=50, description="films of at least one of these")
    exclude_genres: list[Genre] = Field(default=[], max_length=50, description="no film of any of these")
    year_from: Year | None = Field(default=None, description="from this year on")
    year_to: Year | None = Field(default=None, description="up to this year")
    exclude_movie_ids: list[ExternalId] = Field(default=[], max_length=MAX_MOVIE_IDS, description="none of these films")
    candidate_movie_ids: list[ExternalId] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_MOVIE_IDS,
        description="these films only; those unknown are passed over",
    )
    include_seen: StrictBool = Field(default=False, description="films that were rated may come back")
    diversity: Share = Field(default=0.0, description="0: the best films; up to 1: films of different genres")


class PredictRequest(ChoiceIn):
    """Whom to recommend films to, which, and how many."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": 42, "top_n": 10},
                {"ratings": [{"movie_id": 318, "rating": 5}], "genres": ["Drama"], "year_from": 1990},
            ]
        }
    )

    user_id: ExternalId | None = Field(
        default=None, description="the user's id in your system; an unknown one is a new user"
    )
    ratings: list[GivenRatingIn] | None = Field(
        default=None, max_length=MAX_RATINGS, description="instead of a user: what somebody without an account thinks"
    )
    top_n: TopN = Field(default=10, description="how many films, 1 to 100")

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        """Refuse a question about nobody, and one about two people."""
        if (self.user_id is None) == (self.ratings is None):
            raise PydanticCustomError(REFUSED, "give either user_id or ratings")
        return self


class BatchRequest(ChoiceIn):
    """Whom to recommend films to, all with the same wishes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_ids": [42, 43], "top_n": 10}]})

    user_ids: list[ExternalId] = Field(min_length=1, max_length=MAX_USERS, description="unknown ones are new users")
    top_n: TopN = Field(default=10, description="how many films each, 1 to 100")


class ReasonOut(BaseModel):
    """A film the user has rated that speaks for the recommended one."""

    movie_id: int | str
    title: str
    your_rating: float
    weight: float = Field(description="by how much this rating raised the score")


class RecommendationOut(BaseModel):
    """One recommended film."""

    rank: int = Field(description="1 is the best")
    movie_id: int | str
    title: str
    year: int | None
    genres: list[str]
    score: float = Field(description="comparable within one answer only")
    predicted_stars: float | None = Field(description="the rating expected of this user; null if the model has none")
    reasons: list[ReasonOut]


class ModelOut(BaseModel):
    """Which model answered."""

    name: str
    version: int


class PredictResponse(BaseModel):
    """The films, and how the answer was made."""

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
    user_id: int | str | None = Field(description="as it was sent; null for somebody without an account")
    strategy: Literal["model", "popular"] = Field(description="popular: a new user, or no better model")
    degraded: bool = Field(description="the database was away: answered from memory")
    model: ModelOut | None
    recommendations: list[RecommendationOut]
    unknown_films: list[str] = Field(description="rated films of the request that the model has not learned yet")


class BatchResponse(BaseModel):
    """An answer for each user, in the order of the request; none of them is logged."""

    answers: list[PredictResponse]


class MovieOut(BaseModel):
    """One film of the catalogue."""

    movie_id: int | str
    title: str
    year: int | None
    genres: list[str]
    imdb_id: str | None
    tmdb_id: str | None


class MoviesOut(BaseModel):
    """Films, the best first."""

    movies: list[MovieOut]


class ScoredMovieOut(MovieOut):
    """A film with what it is ordered by."""

    score: float = Field(description="comparable within one answer only")


class PopularOut(BaseModel):
    """Films by damped popularity."""

    window_days: int | None
    movies: list[ScoredMovieOut]


class SimilarOut(BaseModel):
    """Films like another, by the model in production."""

    movie: MovieOut
    strategy: Literal["model", "popular"] = Field(description="popular: the model knows nothing like it")
    model: ModelOut
    movies: list[ScoredMovieOut]


class RatedMovieOut(BaseModel):
    """A film that somebody has rated."""

    movie: MovieOut
    rating: float
    rated_at: datetime


class UserRatingsOut(BaseModel):
    """What a user has rated, newest first."""

    user_id: str
    ratings: list[RatedMovieOut]


class ErasedOut(BaseModel):
    """What was taken out of a person, and what remains until when."""

    n_ratings: int
    n_predictions: int = Field(description="logged answers")
    training_id: str = Field(description="the training after which nothing that serves has learned from them")
    remains: str


class RatingRequest(GivenRatingIn):
    """One rating."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": 42, "movie_id": 318, "rating": 5.0, "rated_at": None}]}
    )

    user_id: ExternalId = Field(description="an unknown user is created")
    rating: RatingValue = Field(description="on the scale of the catalogue")
    rated_at: RatedAt = Field(default=None, description="when, with offset; now unless given")


def _one_or_many(value: Any) -> str:
    """Say which of the two forms a body has."""
    return "many" if isinstance(value, list) else "one"


RatingsRequest = Annotated[
    Annotated[RatingRequest, Tag("one")]
    | Annotated[list[RatingRequest], Tag("many"), Field(min_length=1, max_length=MAX_RATINGS)],
    Discriminator(_one_or_many),
]


class RatingsWritten(BaseModel):
    """How many ratings were taken in."""

    written: int


class TrainingRequest(Request):
    """What to train; an empty object trains everything."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"models": ["popular", "ease"], "reason": "new films"}]})

    models: list[str] | None = Field(default=None, min_length=1, max_length=50, description="all unless given")
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="kept with the training")


class ProgressOut(BaseModel):
    """Where a training stands."""

    step: str = Field(description="a box of the training flow")
    candidate: str | None = Field(description="the model at hand")
    fraction: float = Field(description="of the step, 0 to 1")
    message: str


class TrainingOut(BaseModel):
    """One training."""

    training_id: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    reason: str | None
    options: dict[str, Any]
    requested_at: datetime
    trigger: Literal["request", "schedule", "new_ratings", "drift"] = Field(description="what started it")
    started_at: datetime | None
    finished_at: datetime | None
    progress: ProgressOut | None
    attempt: int
    cancel_requested: bool
    error: str | None = Field(description="why it failed")
    report: dict[str, Any] | None = Field(description="what it found and decided; in the detailed answer only")


class TrainingsOut(BaseModel):
    """Trainings, newest first."""

    trainings: list[TrainingOut]


class RatingScaleOut(BaseModel):
    """What ratings may be."""

    lowest: float
    highest: float


class ProductionOut(BaseModel):
    """The model that serves, and why it does."""

    name: str
    version: int
    hyperparameters: dict[str, Any]
    promoted_at: datetime
    verdict: str
    reason: str
    promoted_by: str
    manifest_sha256: str
    n_movies: int
    rating_scale: RatingScaleOut = Field(description="of the ratings it learned from")


class DecisionRequest(Request):
    """Why a person changes what serves."""

    reason: str = Field(min_length=1, max_length=500, pattern=r"\S", description="kept in the history")


class PromotionOut(BaseModel):
    """One promotion or rollback: what served from then on, and why."""

    promotion_id: int
    version: int
    previous_version: int | None
    name: str
    hyperparameters: dict[str, Any]
    promoted_at: datetime
    verdict: str
    reason: str
    promoted_by: str
    training_id: str | None
    manifest_sha256: str


class VersionOut(BaseModel):
    """One registered version."""

    version: int
    serves: bool = Field(description="it is what was promoted last")
    name: str
    hyperparameters: dict[str, Any]
    verdict: str = Field(description="what the gate said when it was registered")
    reason: str
    role: str = Field(description="challenger for a version that the gate holds, else candidate")
    registered_at: datetime
    training_id: str | None
    manifest_sha256: str
    metrics: dict[str, float] = Field(description="as judged before it was registered, ends of 95 % intervals included")
    snapshot_n_ratings: int
    snapshot_newest_rated_at: datetime | None
    snapshot_sha256: str
    code_version: str


class RefusalOut(BaseModel):
    """A promotion that did not happen."""

    refusal_id: int
    version: int
    refused_at: datetime
    asked_by: str
    reason: str


class ModelsOut(BaseModel):
    """Versions, what served, and what was refused, each newest first."""

    versions: list[VersionOut]
    promotions: list[PromotionOut] = Field(description="the first serves now")
    refusals: list[RefusalOut]


class VersionDetailOut(VersionOut):
    """Everything known of a version."""

    tags: dict[str, str] = Field(description="what was recorded beside it: seed, library versions, filters, …")
    promotions: list[PromotionOut] = Field(description="when it came to serve, and why")
    refusals: list[RefusalOut]


class HealthOut(BaseModel):
    """The process lives."""

    status: Literal["alive"]


class ReadyOut(BaseModel):
    """Whether answers can be given, and from what."""

    ready: bool
    degraded: bool = Field(description="answers work, from memory alone")
    database: Literal["reachable", "away"]
    model: ModelOut | None
    popular: bool = Field(description="a popular list is there for as long as there is no model")


class ErrorDetail(BaseModel):
    """What went wrong; some codes add fields of their own."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str = Field(description="what to do next")


class ErrorOut(BaseModel):
    """Every error looks like this."""

    error: ErrorDetail

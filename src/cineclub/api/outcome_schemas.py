"""What /monitoring/ answers, as the documentation shows it."""

from datetime import datetime

from pydantic import BaseModel, Field

from cineclub.api.schemas import ModelOut


class StrategyOutcomesOut(BaseModel):
    """What became of the answers of one strategy; a figure is null where there is nothing to make it of."""

    strategy: str = Field(description="model or popular")
    n_answers: int
    n_anonymous: int = Field(description="of the answers, those to people without an account: nothing can be taken")
    n_open: int = Field(description="of the others, those younger than the window: more may be taken")
    n_hits: int = Field(description="answers from which at least one film was taken")
    n_taken: int = Field(description="films that were taken")
    hit_rate: float | None = Field(description="hits among the answers to people with an account")
    mean_taken_rating: float | None = Field(description="of the films that were taken")
    coverage: float | None = Field(description="share of the catalogue that was shown at least once")
    popularity_share: float | None = Field(description="share of the shown films among the most rated tenth")


class VersionOutcomesOut(BaseModel):
    """What became of the answers of one model version."""

    model: ModelOut | None = Field(description="null for answers given before there was a model")
    n_answers: int
    cold_start_share: float | None = Field(description="share answered with popular films in place of a personal model")
    strategies: list[StrategyOutcomesOut]


class RecommendationOutcomesOut(BaseModel):
    """What became of the recommendations of the last days."""

    days: int
    since: datetime
    counted_at: datetime
    window_days: int = Field(description="how old an answer may be when a film is taken from it")
    n_movies: int = Field(description="films of the catalogue")
    versions: list[VersionOutcomesOut] = Field(description="the newest first")

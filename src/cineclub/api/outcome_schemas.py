"""Response bodies of /monitoring/."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from cineclub.api.schemas import ModelOut

Rounded = Annotated[float, AfterValidator(lambda value: round(value, 6))]
"""A figure with at most six decimals."""


class StrategyOutcomesOut(BaseModel):
    """Outcomes of the recommendations of one strategy; a figure without data is null."""

    strategy: str = Field(description="model or popular")
    n_answers: int = Field(description="lists that were recommended")
    n_anonymous: int = Field(description="of these, lists for people without an account: they have no outcomes")
    n_open: int = Field(description="of the others, lists younger than the window: more of their films may be taken")
    n_hits: int = Field(description="lists of which at least one film was taken")
    n_taken: int = Field(description="films that were taken")
    hit_rate: Rounded | None = Field(description="share of hits among the lists for people with an account")
    mean_taken_rating: Rounded | None = Field(description="of the films that were taken")
    coverage: Rounded | None = Field(description="share of the catalogue that was recommended at least once")
    popularity_share: Rounded | None = Field(description="share of the most rated tenth among the recommended films")


class VersionOutcomesOut(BaseModel):
    """Outcomes of the recommendations of one model version."""

    model: ModelOut | None = Field(description="null for recommendations before the first model")
    n_answers: int
    cold_start_share: Rounded | None = Field(description="share of lists with popular films in place of personal ones")
    strategies: list[StrategyOutcomesOut]


class RecommendationOutcomesOut(BaseModel):
    """Outcomes of the recommendations of the last days."""

    days: int
    since: datetime
    counted_at: datetime
    window_days: float = Field(description="days after a recommendation in which a rating of its films counts")
    n_movies: int = Field(description="films of the catalogue")
    versions: list[VersionOutcomesOut] = Field(description="the newest first")


class PairVerdictOut(BaseModel):
    """Comparison of the liked films in the lists of two versions, other minus served; null without evaluated users.

    If fewer than twenty users contribute to the difference, an exact sign test decides, and there is no interval.
    """

    verdict: Literal["not_enough", "no_difference", "other_better", "served_better"]
    difference: Rounded | None = Field(
        description="share of a user's liked films that only the other's lists held, minus the share that only the "
        "served lists held; mean over users"
    )
    low: Rounded | None = Field(description="lower end of its interval; null for a sign test")
    high: Rounded | None = Field(description="upper end of its interval; null for a sign test")
    confidence: Rounded = Field(description="of the interval or test; 0.95 for all checks of a probation together")
    n_people: int = Field(description="users who liked a film of one of their lists")


class ComparedPairOut(PairVerdictOut):
    """A served version and another version that predicted for the same requests in the background."""

    purpose: Literal["shadow", "probation"]
    served_version: int
    other_version: int = Field(description="the challenger, or the version that served before")
    n_answers: int = Field(description="pairs of lists that were compared")
    n_anonymous: int = Field(description="of these, pairs for people without an account: only their overlap counts")
    mean_overlap: Rounded = Field(description="mean share of common films")
    mean_rank_overlap: Rounded = Field(description="mean rank-biased overlap, which weights the first ranks most")
    n_served_taken: int = Field(description="films rated afterwards that the served lists held")
    n_other_taken: int = Field(description="films rated afterwards that the other's lists held")
    n_served_only_liked: int = Field(description="liked films that only the served lists held")
    n_other_only_liked: int = Field(description="liked films that only the other's lists held")
    n_both_liked: int = Field(description="liked films that both lists held")
    n_for_served: int = Field(description="users who liked more films that only the served lists held")
    n_for_other: int = Field(description="users who liked more films that only the other's lists held")


class ProbationLookOut(PairVerdictOut):
    """One check of a probation."""

    nth: int = Field(description="from 1; after a sixteenth, an eighth, a quarter, half and all of the probation")
    looked_at: datetime
    summary: str


class ProbationOut(BaseModel):
    """Comparison of a promoted version with the former one, for some time after the promotion."""

    served_version: int
    former_version: int
    began_at: datetime
    ends_at: datetime
    is_over: bool
    looks: list[ProbationLookOut] = Field(description="the newest first")


class ComparisonsOut(BaseModel):
    """Online comparisons of the last days."""

    days: int
    since: datetime
    counted_at: datetime
    pairs: list[ComparedPairOut] = Field(description="the newest served version first")
    probation_mode: Literal["off", "alert", "rollback"]
    probation: ProbationOut | None = Field(description="of the version that serves; null if it has none")

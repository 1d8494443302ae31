"""What /monitoring/ answers, as the documentation shows it."""

from datetime import datetime
from typing import Literal

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
    window_days: float = Field(description="how old an answer may be when a film is taken from it")
    n_movies: int = Field(description="films of the catalogue")
    versions: list[VersionOutcomesOut] = Field(description="the newest first")


class PairVerdictOut(BaseModel):
    """Whose lists held more of what people then liked, other minus served; null where nobody can be judged.

    Where fewer than twenty people carry the difference there is no interval: the exact sign test over people decides.
    """

    verdict: Literal["not_enough", "no_difference", "other_better", "served_better"]
    difference: float | None = Field(
        description="share of the films a person liked that only the other's lists held, minus the share that only the "
        "served lists held; the mean over people"
    )
    low: float | None = Field(description="lower end of its interval; null where signs alone are tested")
    high: float | None = Field(description="upper end of its interval; null where signs alone are tested")
    confidence: float = Field(
        description="of the interval or test; of a probation, such that all its looks together have 0.95"
    )
    n_people: int = Field(description="people who liked a film that a list of theirs held")


class ComparedPairOut(PairVerdictOut):
    """A served version and another one that was asked the same questions beside the requests."""

    purpose: Literal["shadow", "probation"]
    served_version: int
    other_version: int = Field(description="the challenger, or the version that served before")
    n_answers: int = Field(description="answers that were compared")
    n_anonymous: int = Field(description="of these, those to people without an account: agreement alone")
    mean_overlap: float = Field(description="mean share of common films")
    mean_rank_overlap: float = Field(description="mean rank-biased overlap, the first places weighing most")
    n_served_taken: int = Field(description="films rated afterwards that the served lists held")
    n_other_taken: int = Field(description="films rated afterwards that the other's lists held")
    n_served_only_liked: int = Field(description="films people liked that only the served lists held")
    n_other_only_liked: int = Field(description="films people liked that only the other's lists held")
    n_both_liked: int = Field(description="films people liked that both lists held")
    n_for_served: int = Field(description="people who liked more films that only the served lists held")
    n_for_other: int = Field(description="people who liked more films that only the other's lists held")


class ProbationLookOut(PairVerdictOut):
    """One look at what became of a promotion."""

    nth: int = Field(description="from 1; after a sixteenth, an eighth, a quarter, half and all of the probation")
    looked_at: datetime
    summary: str


class ProbationOut(BaseModel):
    """The time after a promotion in which the former version is compared with the one that serves."""

    served_version: int
    former_version: int
    began_at: datetime
    ends_at: datetime
    is_over: bool
    looks: list[ProbationLookOut] = Field(description="the newest first")


class ComparisonsOut(BaseModel):
    """What became of the answers of the last days that another version was asked for too."""

    days: int
    since: datetime
    counted_at: datetime
    pairs: list[ComparedPairOut] = Field(description="the newest served version first")
    probation_mode: Literal["off", "alert", "rollback"]
    probation: ProbationOut | None = Field(description="of what serves; null after a rollback, and where there is none")

"""Request and response bodies of /monitoring/drift."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cineclub.api.fields import Request

Verdict = Literal["OK", "ALERT", "NOT_ENOUGH_DATA"]
EXAMPLE: dict[str, Any] = {
    "check_id": 12,
    "checked_at": "2026-05-01T04:00:00Z",
    "verdict": "ALERT",
    "summary": "taste by genre moved: 0.31 from the baseline, more than 0.06; Horror most",
    "window": {
        "starts_at": "2026-04-24T04:00:00Z",
        "ends_at": "2026-05-01T04:00:00Z",
        "days": 7.0,
        "n_ratings": 4211,
        "n_answers": 1200,
    },
    "threshold_pct": 10.0,
    "comparisons": [
        {
            "baseline": "model",
            "model_version": 7,
            "taken_at": "2026-04-20T04:10:00Z",
            "n_windows": 26,
            "verdict": "ALERT",
            "statistics": [
                {
                    "name": "taste_by_genre",
                    "of": "ratings",
                    "baseline": None,
                    "current": None,
                    "change_pct": None,
                    "distance": 0.31,
                    "threshold": 0.06,
                    "verdict": "ALERT",
                }
            ],
            "segments": [
                {
                    "dimension": "genre",
                    "name": "Horror",
                    "baseline_share": 0.04,
                    "current_share": 0.05,
                    "baseline_mean": 3.3,
                    "current_mean": 1.9,
                    "share_of_change": 0.61,
                }
            ],
        }
    ],
    "training_id": None,
}


class CheckedWindowOut(BaseModel):
    """The window of a check."""

    starts_at: datetime
    ends_at: datetime = Field(description="exclusive")
    days: float
    n_ratings: int
    n_answers: int


class StatisticChangeOut(BaseModel):
    """One statistic beside its baseline: a figure with its change, or a distribution with its distance."""

    name: str
    of: Literal["ratings", "answers"]
    baseline: float | None = Field(description="mean over the baseline's windows; null for a distribution")
    current: float | None = Field(description="of the window; null for a distribution, or without data")
    change_pct: float | None = Field(description="change in percent; null for a distribution")
    distance: float | None = Field(description="of a distribution from the baseline's, 0 to 1; null for a figure")
    threshold: float | None = Field(
        description="a larger change in percent, or distance, is an alert; null without enough windows"
    )
    verdict: Verdict


class SegmentChangeOut(BaseModel):
    """A segment of the ratings that moved."""

    dimension: str = Field(description="genre, decade, activity or popularity")
    name: str
    baseline_share: float = Field(description="of all ratings in the baseline's windows")
    current_share: float = Field(description="of all ratings in the window")
    baseline_mean: float | None
    current_mean: float | None
    share_of_change: float = Field(description="its part of the change of its dimension, 0 to 1")


class BaselineComparisonOut(BaseModel):
    """The window beside one baseline."""

    baseline: Literal["model", "pinned"] = Field(description="of the model in production, or pinned by a person")
    model_version: int | None = Field(description="null for a baseline that was taken from the ratings")
    taken_at: datetime
    n_windows: int = Field(description="earlier windows with enough ratings")
    verdict: Verdict
    statistics: list[StatisticChangeOut]
    segments: list[SegmentChangeOut] = Field(description="the one that moved most comes first")


class DriftOut(BaseModel):
    """One check of drift."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    check_id: int
    checked_at: datetime
    verdict: Verdict
    summary: str = Field(description="the change or the lack of data in one sentence")
    window: CheckedWindowOut
    threshold_pct: float
    comparisons: list[BaselineComparisonOut]
    training_id: str | None = Field(description="the training that the check has started")


class PastDriftOut(BaseModel):
    """A past check, as it is stored."""

    check_id: int
    checked_at: datetime
    asked_by: Literal["api", "cli", "watch"]
    is_usual: bool = Field(description="with the parameters of the settings, up to the time of the check")
    verdict: Verdict
    summary: str
    distances: dict[str, float] = Field(description="by statistic, of those that have one")
    changes: dict[str, float] = Field(description="in percent, by statistic, of those that are figures")
    segments: list[SegmentChangeOut] = Field(description="the three segments that moved most")
    training_id: str | None = Field(description="the training that the check has started")
    notified_at: datetime | None = Field(description="when the notice was sent to the webhook")


class DriftHistoryOut(BaseModel):
    """Every check of drift."""

    checks: list[PastDriftOut] = Field(description="the newest first")


class PeriodOut(BaseModel):
    """Statistics of the ratings of a period."""

    starts_at: datetime
    ends_at: datetime
    n_ratings: int
    n_active_users: int
    n_rated_movies: int
    mean_rating: float | None
    rating_shares: list[float] = Field(description="of equal parts of the scale, the lowest first")
    ratings_per_user: dict[str, float] = Field(description="quantiles by their numbers")
    popularity_gini: float | None
    new_user_share: float | None
    new_movie_share: float | None


class BaselineOut(BaseModel):
    """A baseline."""

    model_version: int | None = Field(description="null for a baseline that was taken from the ratings")
    taken_at: datetime
    window_days: float
    n_windows: int
    whole: PeriodOut = Field(description="all ratings of the time")
    windows: list[PeriodOut] = Field(description="the oldest first")


class BaselinesOut(BaseModel):
    """Both baselines."""

    model_version: int | None = Field(description="the version that serves; null before the first")
    model: BaselineOut | None = Field(description="of the version that serves; null if it has none: train again")
    pinned: BaselineOut | None = Field(description="null unless one is pinned")


class PinRequest(Request):
    """The baseline to pin."""

    version: int | None = Field(
        default=None, ge=1, le=2**31 - 1, strict=True, description="of this version; unset: from the ratings now"
    )

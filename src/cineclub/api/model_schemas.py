"""Request and response bodies of model versions, promotions and refusals."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from cineclub.api.fields import Request, Text


class RatingScaleOut(BaseModel):
    """The lowest and the highest rating."""

    lowest: float
    highest: float


class ProductionOut(BaseModel):
    """The model in production, with its promotion."""

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
    """The reason of a promotion or rollback by a person."""

    reason: Text = Field(min_length=1, max_length=500, pattern=r"\S", description="recorded in the history")


class PromotionOut(BaseModel):
    """One promotion or rollback, with the version that served from then on."""

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
    serves: bool = Field(description="whether it was promoted last")
    name: str
    hyperparameters: dict[str, Any]
    verdict: str = Field(description="of the gate when it was registered")
    reason: str
    role: str = Field(description="challenger for a version that the gate holds, else candidate")
    registered_at: datetime
    training_id: str | None
    manifest_sha256: str
    metrics: dict[str, float] = Field(description="as evaluated before it was registered, with 95 % intervals")
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
    """Versions, promotions and refused promotions, each newest first."""

    versions: list[VersionOut]
    promotions: list[PromotionOut] = Field(description="the version of the first serves now")
    refusals: list[RefusalOut]


class VersionDetailOut(VersionOut):
    """A version with its tags, promotions and refusals."""

    tags: dict[str, str] = Field(description="seed, library versions, filters, …")
    promotions: list[PromotionOut] = Field(description="of this version")
    refusals: list[RefusalOut]

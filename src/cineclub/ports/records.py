"""What is handed over between the flows and the outside: trainings, versions, promotions, answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cineclub.domain.films import FilmIndex
from cineclub.domain.ratings import Movie, SnapshotIdentity
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel, PredictsStars

PromotedBy = Literal["gate", "person", "drift", "outside", "probation"]
Asker = Literal["gate", "person", "outside", "probation"]
TrainingStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
TrainingTrigger = Literal["request", "schedule", "new_ratings", "drift"]


@dataclass(frozen=True, slots=True)
class StepProgress:
    """Where a training stands: the step's name, its candidate, the finished fraction of the step, a message."""

    step: str
    candidate: str | None
    fraction: float
    message: str


@dataclass(frozen=True, slots=True)
class Training:
    """One training as the table knows it; ``report`` is there once it has succeeded, ``error`` if it failed."""

    training_id: str
    status: TrainingStatus
    reason: str | None
    options: Mapping[str, Any]
    requested_at: datetime
    trigger: TrainingTrigger = "request"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    progress: StepProgress | None = None
    attempt: int = 0
    cancel_requested: bool = False
    error: str | None = None
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version in the registry: its number, recipe, date, artifact hash, and what it learned from."""

    version: int
    recipe: Recipe
    created_at: datetime
    manifest_sha256: str
    snapshot: SnapshotIdentity

    @property
    def copy_name(self) -> str:
        """The name of its local copy in the folder ``models`` of CINECLUB_HOME."""
        return f"{self.version}-{self.manifest_sha256[:12]}"


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """What is registered beside the arrays: metrics by name, tags by name, and documents by file name."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A registered version with what PostgreSQL keeps of it; ``role`` is challenger for one that the gate holds."""

    registered: RegisteredVersion
    training_id: str | None
    role: str
    verdict: str
    reason: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    code_version: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """One promotion that did not happen: of which version, who asked for it, and why not."""

    refusal_id: int
    refused_at: datetime
    version: int
    asked_by: Asker
    reason: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """One row of the history of what served: which version from when, why, and the hash it must have.

    ``artifact_folder`` is the name of its local copy in the folder ``models`` of CINECLUB_HOME.
    """

    version: int
    promoted_at: datetime
    verdict: str
    reason: str
    promoted_by: str
    recipe: Recipe
    manifest_sha256: str
    artifact_folder: str = ""
    previous_version: int | None = None
    training_id: str | None = None
    promotion_id: int = 0


@dataclass(frozen=True, slots=True)
class NewPromotion:
    """A promotion about to be recorded; without a training it is a person's, or was seen from outside."""

    version: int
    verdict: str
    reason: str
    promoted_by: PromotedBy
    training_id: str | None
    recipe: Recipe
    manifest_sha256: str
    artifact_folder: str


@dataclass(frozen=True, slots=True)
class Compared:
    """What a promotion was decided against, as number and hash (None: nothing served): it must serve still.

    With ``promotion_id`` it must serve by that very promotion.
    """

    serving: tuple[int, str] | None
    promotion_id: int | None = None

    def still_serves(self, serving: "Promotion | None") -> bool:
        """Say whether what decides now is what was compared with."""
        if serving is None or self.serving is None:
            return serving is None and self.serving is None
        is_same = self.serving == (serving.version, serving.manifest_sha256)
        return is_same and self.promotion_id in (None, serving.promotion_id)


@dataclass(frozen=True, slots=True)
class Production:
    """What the database says should serve now (None before the first promotion), and how film ids are written.

    ``n_refusals`` counts the promotions that were refused so far, by who asked for them.
    """

    promotion: Promotion | None
    movie_ids_are_integers: bool
    n_refusals: Mapping[Asker, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveModel:
    """The model that answers now, as loaded from the local copy; its films' texts in the order of the vocabulary.

    ``stars`` is the model where it predicts ratings.
    """

    version: int
    fitted: FittedModel
    movies: Sequence[Movie]
    films: FilmIndex
    stars: PredictsStars | None

    @classmethod
    def of(cls, version: int, fitted: FittedModel, movies: Mapping[int, Movie]) -> "LiveModel":
        """Return a loaded version with its films indexed; takes a moment with many films."""
        in_order = tuple(movies[one] for one in fitted.movie_ids.tolist())
        stars = fitted.recommender if isinstance(fitted.recommender, PredictsStars) else None
        return cls(version, fitted, in_order, FilmIndex.of(in_order), stars)


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """One answer, as it is logged for monitoring."""

    recommendation_id: str
    user_id: str | None
    answered_at: datetime
    strategy: str
    model_name: str | None
    model_version: int | None
    movie_ids: Sequence[int]
    scores: Sequence[float]
    latency_seconds: float
    degraded: bool

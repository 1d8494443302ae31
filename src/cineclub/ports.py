"""What the flows need from outside, each as small as the flows allow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from cineclub.domain.films import FilmIndex
from cineclub.domain.imported_ratings import ImportedRatings, NewMovie, RatingRows
from cineclub.domain.ratings import Movie, RatingScale, Snapshot, SnapshotIdentity, UserRatings
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel, Progress

ImportProgress = Callable[[float, str], None]
"""Told the finished fraction, 0 to 1, and what is being done."""

PromotedBy = Literal["gate", "person", "drift", "outside"]
Asker = Literal["gate", "person", "outside"]
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
    """What a promotion was decided against, as number and hash (None: nothing served): it must serve still."""

    serving: tuple[int, str] | None


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
    """The model that answers now, with the films' texts by internal id, as loaded from the local copy."""

    version: int
    fitted: FittedModel
    movies: Mapping[int, Movie]
    films: FilmIndex

    @classmethod
    def of(cls, version: int, fitted: FittedModel, movies: Mapping[int, Movie]) -> "LiveModel":
        """Return a loaded version with its films indexed; takes a moment with many films."""
        return cls(version, fitted, movies, FilmIndex.of([movies[one] for one in fitted.movie_ids.tolist()]))


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


class RatingStore(Protocol):
    """All ratings and films, read for a training."""

    def load_snapshot(self, progress: Progress) -> Snapshot:
        """Return all ratings and films of one moment.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
            NotEnoughData: nothing was imported yet.
        """
        ...


class ModelRegistry(Protocol):
    """Versions of the model, which of them is in production, and the runs that led to them."""

    def production(self) -> RegisteredVersion | None:
        """Return the version under the alias ``production``; None before the first promotion."""
        ...

    def load(self, version: int) -> FittedModel:
        """Return a version's model, checked against its manifest.

        Raises:
            NotFound: no such version.
            BrokenArtifact: its files are damaged.
        """
        ...

    def record_candidate(self, training_id: str, recipe: Recipe, metrics: Mapping[str, float]) -> None:
        """Record one judged candidate as a child run of the training's run."""
        ...

    def register(
        self, training_id: str, fitted: FittedModel, movies: Sequence[Movie], record: VersionRecord
    ) -> RegisteredVersion:
        """Write the artifact and register it as a new version; a repeated call of one training registers once."""
        ...

    def promote(
        self,
        training_id: str,
        version: RegisteredVersion,
        verdict: str,
        reason: str,
        compared_with: RegisteredVersion | None,
    ) -> None:
        """Check the artifact in a fresh process, record the promotion, then let the alias follow.

        Raises:
            Conflict: what serves by now is not what the version was compared with.
            BrokenArtifact: the artifact did not load or answered otherwise than the fitted model.
            LeaseLost: the training belongs to another worker by now.
        """
        ...


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """What is known of a snapshot: when it was kept, deleted (if it was) and rewritten without somebody (if it was)."""

    content_sha256: str
    n_ratings: int
    newest_rated_at: datetime | None
    kept_at: datetime
    dropped_at: datetime | None = None
    erased_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """One person who was erased: the internal id, which nobody else is given, and the id of the erasure itself."""

    erasure_id: str
    user_id: int


@dataclass(frozen=True, slots=True)
class ErasedUser:
    """How much of a person was in the database."""

    n_ratings: int
    n_predictions: int


class SnapshotStore(Protocol):
    """The ratings that trainings learned from, kept so that a version can be fitted again."""

    def keep(self, snapshot: Snapshot) -> None:
        """Keep a snapshot under its hash, and drop the oldest beyond those that are to stay."""
        ...

    def load(self, content_sha256: str) -> Snapshot:
        """Return a snapshot, checked against its hash.

        Raises:
            SnapshotGone: it was never kept, was dropped or rewritten, or is not on this machine.
            BrokenArtifact: its file is damaged.
        """
        ...

    def apply_erasures(self) -> list[str]:
        """Rewrite every snapshot here that still holds somebody who was erased, and return their hashes."""
        ...


class People(Protocol):
    """Those who rate."""

    def erase(self, user_id: str) -> ErasedUser:
        """Take everything about a user, by external id, out of the database, and note that snapshots must follow.

        Raises:
            NotFound: there is no such user.
            ReadOnlySource: ratings come from the owner's views.
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class VersionArchive(Protocol):
    """Registered versions, as whoever fits one of them again reads them."""

    def load(self, version: int) -> FittedModel:
        """Return a version's model, checked against its manifest.

        Raises:
            NotFound: no such version.
            BrokenArtifact: its files are damaged.
        """
        ...

    def tags(self, version: int) -> Mapping[str, str]:
        """Return what is recorded with a version.

        Raises:
            NotFound: no such version.
        """
        ...


class TrainingJobs(Protocol):
    """The durable queue of trainings, as those who ask for them see it."""

    def start(self, options: Mapping[str, Any], reason: str | None) -> Training:
        """Queue a training.

        Raises:
            TrainingUnderWay: one is queued or running.
        """
        ...

    def get(self, training_id: str) -> Training:
        """Return one training.

        Raises:
            NotFound: no such training.
        """
        ...

    def recent(self, limit: int) -> list[Training]:
        """Return the newest trainings, newest first."""
        ...

    def cancel(self, training_id: str) -> Training:
        """Cancel a queued training at once, ask a running one to stop; a finished one stays as it is.

        Raises:
            NotFound: no such training.
        """
        ...


class TrainingLease(Protocol):
    """A worker's hold on one training while it runs it."""

    training: Training

    def report(self, progress: StepProgress) -> None:
        """Write the progress and the heartbeat.

        Raises:
            TrainingCancelled: a person asked to stop.
            LeaseLost: another worker has taken over.
        """
        ...

    def finish(self, report: Mapping[str, Any]) -> None:
        """Record success."""
        ...

    def fail(self, error: str) -> None:
        """Record failure with its cause."""
        ...


@dataclass(frozen=True, slots=True)
class PopularMovie:
    """A film of the popular list when no model is in production."""

    movie: Movie
    score: float


class FilmReader(Protocol):
    """The films of the catalogue; async."""

    async def everything(self) -> list[Movie]:
        """Return all films by rising id.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def texts_of(self, movie_ids: Sequence[int]) -> Mapping[int, Movie]:
        """Return films by internal id.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def popularity(self, window_days: int | None) -> Sequence[tuple[int, float]]:
        """Return rated films by internal id with their damped popularity, most popular first.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class HistoryReader(Protocol):
    """What one user has rated by now; async, on the request path."""

    async def ratings_of(self, user_id: str) -> UserRatings:
        """Return everything the user with this external id has rated; nothing for an unknown user.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def popular(self, limit: int) -> list[PopularMovie]:
        """Return the most popular films by damped popularity, for as long as no model is in production."""
        ...


@dataclass(frozen=True, slots=True)
class NewRating:
    """A rating as a caller sends it, with the caller's own ids; without ``rated_at`` it was given just now."""

    user_id: str
    movie_id: str
    rating: float
    rated_at: datetime | None = None


class RatingWriter(Protocol):
    """Where single ratings are written while serving; async."""

    async def write(self, ratings: Sequence[NewRating]) -> None:
        """Write all the ratings or none; a second rating of the same film replaces the first.

        Raises:
            InvalidInput: a rating is off the catalogue's scale.
            NotFound: a film is not in the catalogue.
            ReadOnlySource: ratings come from the owner's views.
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def delete(self, user_id: str, movie_id: str) -> None:
        """Take one rating back.

        Raises:
            NotFound: there is no such rating.
            ReadOnlySource: ratings come from the owner's views.
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class ProductionReader(Protocol):
    """What was promoted last, as PostgreSQL knows it; async."""

    async def read(self) -> Production:
        """Return what should serve now.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class LiveModels(Protocol):
    """The model in memory, as it is at this moment."""

    def current(self) -> LiveModel | None:
        """Return the model that answers now; None before the first one was loaded."""
        ...


class RequestMetrics(Protocol):
    """Counts of HTTP requests, and the page that Prometheus reads."""

    def observe_request(self, method: str, route: str, status: int, latency_seconds: float) -> None:
        """Count one request under its route template."""
        ...

    def exposition(self) -> tuple[bytes, str]:
        """Return every metric in Prometheus' text format, with its media type."""
        ...


class PredictionMetrics(Protocol):
    """Counts of answers."""

    def count_answer(self, strategy: str, model_version: int | None, *, degraded: bool) -> None:
        """Count one answer."""
        ...


class ModelMetrics(Protocol):
    """What is known of the model in memory."""

    def model_served(self, promotion: Promotion) -> None:
        """Note that this version answers from now on."""
        ...

    def model_refused(self) -> None:
        """Count a promoted version that could not be loaded."""
        ...

    def refusals_known(self, n_refusals: Mapping[Asker, int]) -> None:
        """Note how many promotions were refused so far, by who asked for them."""
        ...


class PredictionLog(Protocol):
    """Where answers are logged; never waits, drops and counts when it is full."""

    def append(self, record: PredictionRecord) -> None:
        """Put one answer into the queue."""
        ...


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the rating source holds now: counts, the scale, and whether ratings may be written here."""

    n_users: int
    n_movies: int
    n_ratings: int
    scale: RatingScale | None
    is_writable: bool


class RatingSource(Protocol):
    """Somebody's ratings: a release, a plain file, the demo data."""

    @property
    def scale(self) -> RatingScale | None:
        """The scale that the source, or who reads it, states; None where nobody does."""
        ...

    def read(self, scale: RatingScale, progress: ImportProgress) -> ImportedRatings:
        """Return everything, each row checked against the scale.

        Raises:
            InvalidInput: the files are not what they should be.
        """
        ...


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import changed, and how long each phase of writing took."""

    n_inserted: int
    n_updated: int
    n_unchanged: int
    n_new_users: int
    n_new_movies: int
    phase_seconds: Mapping[str, float]


class RatingImport(Protocol):
    """Where a whole file of ratings is written, all or nothing."""

    def scale(self) -> RatingScale | None:
        """Return the catalogue's scale; None before the first import.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    def write(
        self, rows: RatingRows, movies: Sequence[NewMovie], scale: RatingScale, progress: ImportProgress
    ) -> ImportCounts:
        """Write what is new or different in one transaction.

        Raises:
            ReadOnlySource: ratings come from the owner's views.
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

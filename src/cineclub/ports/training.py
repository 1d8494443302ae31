"""What trainings need from outside: ratings, the registry, snapshots, the queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cineclub.domain.ratings import Movie, Snapshot
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel, Progress
from cineclub.ports.records import RegisteredVersion, StepProgress, Training, VersionRecord


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

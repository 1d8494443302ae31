"""Records of trainings: the queue, progress and outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

TrainingStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
TrainingTrigger = Literal["request", "schedule", "new_ratings", "drift"]
TrainingOutcome = Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class StepProgress:
    """The progress of a training: the step, its candidate, the finished fraction of the step, a message."""

    step: str
    candidate: str | None
    fraction: float
    message: str


@dataclass(frozen=True, slots=True)
class Training:
    """A training in the queue; it has a ``report`` once it has succeeded, and an ``error`` if it failed."""

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

    def reads_after(self, moment: datetime) -> bool:
        """Return whether it reads the ratings after a moment: it waits for a worker, or started later."""
        return self.status == "queued" or (self.started_at is not None and self.started_at > moment)


@dataclass(frozen=True, slots=True)
class EndedTrainings:
    """Ended trainings of one outcome and trigger: their number, total duration, and the newest end."""

    outcome: TrainingOutcome
    trigger: TrainingTrigger
    n_ended: int
    seconds: float
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """The state of all trainings and workers in PostgreSQL.

    Attributes:
        known_at: the time of the state, by PostgreSQL's clock.
        is_worker_alive: whether any worker runs.
        n_queued: the number of queued trainings.
        n_running: the number of running trainings.
        heartbeat_age_seconds: seconds since the last heartbeat of the running training; 0 if none runs.
        ended: ended trainings by outcome and trigger, without those that never occurred.
        n_versions: the number of registered versions by the gate's verdict.
        is_served_rejected: whether production is a version that the gate rejected and a person promoted.
        step_seconds: the duration of each step of the newest successful training, by name.
    """

    known_at: datetime
    is_worker_alive: bool
    n_queued: int
    n_running: int
    heartbeat_age_seconds: float
    ended: Sequence[EndedTrainings]
    n_versions: Mapping[str, int]
    is_served_rejected: bool
    step_seconds: Mapping[str, float]

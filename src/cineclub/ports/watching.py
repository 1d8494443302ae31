"""What watches the service from outside is told: trainings, the database, drift."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from cineclub.domain.drift import DriftVerdict
from cineclub.ports.records import TrainingTrigger

TrainingOutcome = Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class EndedTrainings:
    """How many trainings, started by what, ended how; how long they ran together, and when the newest ended."""

    outcome: TrainingOutcome
    trigger: TrainingTrigger
    n_ended: int
    seconds: float
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What PostgreSQL knows of all trainings at one moment, whichever worker ran them.

    Attributes:
        known_at: the moment, by PostgreSQL's clock.
        is_worker_alive: whether any worker is there to run what is queued.
        n_queued: how many wait.
        n_running: how many run.
        heartbeat_age_seconds: how long ago the running one last gave a sign of life; 0 where none runs.
        ended: what ended, by outcome and trigger; nothing for what never happened.
        n_versions: how many versions were registered, by the gate's verdict.
        is_served_rejected: whether the gate rejected the version that serves, and a person promoted it all the same.
        step_seconds: how long each step of the newest successful training took, by the step's name.
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


class TrainingFactsReader(Protocol):
    """What the table of trainings says as a whole; async."""

    async def read(self) -> TrainingFacts:
        """Return what is known now.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class TrainingMetrics(Protocol):
    """What is known of trainings, which run in another process."""

    def trainings_known(self, facts: TrainingFacts) -> None:
        """Note what is known, in place of what was known before."""
        ...


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """How this process uses its connections to PostgreSQL.

    Attributes:
        is_away: whether PostgreSQL failed and has not answered since.
        n_open: connections, those that are just being opened too.
        n_in_use: how many of them are lent out or being opened.
        n_waiting: requests that wait for one.
        n_most: how many there may be.
        n_lent: how often one was asked for since this was last asked.
        waited_seconds: how long those who asked since then had to wait, together.
    """

    is_away: bool
    n_open: int
    n_in_use: int
    n_waiting: int
    n_most: int
    n_lent: int
    waited_seconds: float


class WatchedPool(Protocol):
    """The connections of the request path, as seen from outside."""

    def usage(self) -> PoolUsage:
        """Return how they are used now, and how they were since this was last asked."""
        ...


class PoolMetrics(Protocol):
    """What is known of the connections to PostgreSQL."""

    def pool_used(self, usage: PoolUsage) -> None:
        """Note how they are used, and add what happened since this was last noted."""
        ...


class DriftMetrics(Protocol):
    """What is known of the drift of ratings and answers."""

    def drift_watched(self, interval: timedelta, started_at: datetime) -> None:
        """Note that this process checks drift from now on, and how often."""
        ...

    def drift_checked(self, verdict: DriftVerdict, distances: Mapping[str, float], checked_at: datetime) -> None:
        """Note the newest check that was kept, with the distance of each statistic that has one.

        Told by one process alone, which reads the checks of all (the service, the command line). To be told of the same
        check again changes nothing; an alert counts once, and not if it is from before this process began to watch.
        """
        ...

"""The training at each midnight of a month: requested over HTTP and followed while the next day goes on."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.month.plan import BROKEN_MODELS
from cineclub.api.schemas import TrainingOut
from cineclub.client import Client, ServiceError

FINAL_STATUSES = ("succeeded", "failed", "cancelled")
POLL_SECONDS = 0.3
RETRY_SECONDS = 1.0
TIMEOUT_SECONDS = 300.0
N_USUAL = 3
MID_TRAINING_STEP = "evaluate_models"
"""The step in which a training has read its ratings and computes."""


@dataclass
class Night:
    """One training: its night (0 is before the month) and its outcome; times are those of ``time.time``.

    The challenger has a verdict of its own, because production's recipe may be refitted instead of it.
    """

    day: int
    models: tuple[str, ...]
    began_at: float
    is_worker_killed: bool = False
    killed_at: float | None = None
    ended_at: float | None = None
    resumed_at: float | None = None
    status: str = "not started"
    attempt: int = 0
    verdict: str | None = None
    version: int | None = None
    reason: str = ""
    challenger_verdict: str | None = None
    challenger_reason: str = ""


@dataclass
class Nights:
    """Runs the trainings of the nights, one after another, and records their outcomes."""

    address: str
    kill_worker: Callable[[], None]
    stopping: threading.Event
    past: list[Night] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def start(self, day: int, models: Sequence[str], *, is_worker_killed: bool = False) -> None:
        """Start the training of a night, once that of the last one is over."""
        self.wait()
        night = Night(day, tuple(models), time.time(), is_worker_killed)
        self.past.append(night)
        self._thread = threading.Thread(target=self._follow, args=(night,), name=f"night {day}", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether no training is running."""
        return self._thread is None or not self._thread.is_alive()

    def usual_seconds(self) -> float:
        """Return the longest duration of the last trainings that nothing interrupted; 0 before the first one."""
        durations = [
            night.ended_at - night.began_at
            for night in self.past
            if night.ended_at is not None and not night.is_worker_killed and night.models != BROKEN_MODELS
        ]
        return max(durations[-N_USUAL:], default=0.0)

    def wait(self) -> None:
        """Return once the running training is over, or the month is stopped."""
        if self._thread is not None:
            self._thread.join()

    def _follow(self, night: Night) -> None:
        """Request a training and follow it to its end; a failed request is sent again."""
        give_up_at = time.monotonic() + TIMEOUT_SECONDS
        training_id = None
        with Client(self.address, timeout=30.0, retries=0) as client:
            while not self.stopping.is_set() and time.monotonic() < give_up_at and night.status not in FINAL_STATUSES:
                try:
                    if training_id is None:
                        training_id = client.start_training(list(night.models), f"night {night.day}").training_id
                    self._update(night, client.follow_training(training_id))
                    self.stopping.wait(POLL_SECONDS)
                except ServiceError as error:
                    night.reason = str(error)
                    self.stopping.wait(RETRY_SECONDS)

    def _update(self, night: Night, training: TrainingOut) -> None:
        """Record the state of a training, and kill its worker in the middle of it if that is injected."""
        now = time.time()
        night.status = training.status
        if training.attempt > max(1, night.attempt):
            night.resumed_at = night.resumed_at or now
        night.attempt = training.attempt
        is_in_the_middle = training.progress is not None and training.progress.step == MID_TRAINING_STEP
        if night.is_worker_killed and night.killed_at is None and is_in_the_middle:
            self.kill_worker()
            night.killed_at = now
        if training.status in FINAL_STATUSES:
            night.ended_at = now
            report = training.report or {}
            decision, own = report.get("decision", {}), report.get("challenger_verdict", {})
            night.verdict, night.version = decision.get("verdict"), report.get("version")
            night.reason = decision.get("reason", training.error or "")
            night.challenger_verdict, night.challenger_reason = own.get("verdict"), own.get("reason", "")

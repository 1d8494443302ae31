"""What happens at each midnight of a month: a training is asked for over HTTP and followed while the day goes on."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cineclub.api.schemas import TrainingOut
from cineclub.client import Client, ServiceError

ENDED = ("succeeded", "failed", "cancelled")
LOOK_SECONDS = 0.3
AGAIN_SECONDS = 1.0
LONGEST_SECONDS = 300.0
BEGUN = "evaluate_models"
"""The step by which a training has read its ratings and computes."""


@dataclass
class Night:
    """One training: of which night (0 is before the month), how it went; times are those of ``time.time``.

    The challenger has a verdict of its own: production's recipe may be refitted instead of it.
    """

    day: int
    models: tuple[str, ...]
    begun_at: float
    is_worker_killed: bool = False
    killed_at: float | None = None
    ended_at: float | None = None
    again_at: float | None = None
    status: str = "not started"
    attempt: int = 0
    verdict: str | None = None
    version: int | None = None
    reason: str = ""
    challenger_verdict: str | None = None
    challenger_reason: str = ""


@dataclass
class Nights:
    """Starts the trainings of the nights, one after another, and remembers how each went."""

    address: str
    kill_worker: Callable[[], None]
    stopping: threading.Event
    past: list[Night] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def begin(self, day: int, models: Sequence[str], *, is_worker_killed: bool = False) -> None:
        """Begin the training of a night, once that of the last one is over."""
        self.wait()
        night = Night(day, tuple(models), time.time(), is_worker_killed)
        self.past.append(night)
        self._thread = threading.Thread(target=self._run, args=(night,), name=f"night {day}", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether no training is under way."""
        return self._thread is None or not self._thread.is_alive()

    def wait(self) -> None:
        """Return once the training that is under way is over, or the month is stopped."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, night: Night) -> None:
        """Ask for a training and follow it to its end; what cannot be asked for is tried again."""
        give_up_at = time.monotonic() + LONGEST_SECONDS
        training_id = None
        with Client(self.address, timeout=30.0, retries=0) as client:
            while not self.stopping.is_set() and time.monotonic() < give_up_at and night.status not in ENDED:
                try:
                    if training_id is None:
                        training_id = client.start_training(list(night.models), f"night {night.day}").training_id
                    self._look(night, client.follow_training(training_id))
                    self.stopping.wait(LOOK_SECONDS)
                except ServiceError as error:
                    night.reason = str(error)
                    self.stopping.wait(AGAIN_SECONDS)

    def _look(self, night: Night, training: TrainingOut) -> None:
        """Note how a training stands, and kill its worker in the middle of it if that is wanted."""
        now = time.time()
        night.status = training.status
        if training.attempt > max(1, night.attempt):
            night.again_at = night.again_at or now
        night.attempt = training.attempt
        is_in_the_middle = training.progress is not None and training.progress.step == BEGUN
        if night.is_worker_killed and night.killed_at is None and is_in_the_middle:
            self.kill_worker()
            night.killed_at = now
        if training.status in ENDED:
            night.ended_at = now
            report = training.report or {}
            decision, own = report.get("decision", {}), report.get("challenger_verdict", {})
            night.verdict, night.version = decision.get("verdict"), report.get("version")
            night.reason = decision.get("reason", training.error or "")
            night.challenger_verdict, night.challenger_reason = own.get("verdict"), own.get("reason", "")

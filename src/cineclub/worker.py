"""The worker process: ``python -m cineclub.worker [--until-idle]`` runs what is queued, one training at a time."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from cineclub import __version__, bootstrap
from cineclub.domain.errors import CineclubError, LeaseLost, RegistryUnavailable, StorageUnavailable, TrainingCancelled
from cineclub.domain.setbacks import Setback
from cineclub.flows.training import TrainingFlow
from cineclub.ports import ModelRegistry, RatingStore, SnapshotStore, StepProgress, TrainingLease
from cineclub.settings import Settings

log = logging.getLogger("cineclub.worker")

WAIT_SECONDS = 1.0
SECONDS_BETWEEN_RECONCILIATIONS = 3.0
GRACE_SECONDS = 8.0
CANCEL_GRACE_SECONDS = 3.0
"""With a heartbeat each second, a cancel is on record within five seconds whatever the training computes."""
LOG_FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s %(message)s"


class WorkerLease(TrainingLease, Protocol):
    """A hold on a training that can also end in the other ways a worker knows."""

    def when_cancelled(self, react: Callable[[], None]) -> None:
        """Have this called once when it is known that a person asked to stop."""
        ...

    def acknowledge_cancel(self) -> None:
        """Record that the training stopped because a person asked for it."""
        ...

    def interrupt(self, error: str) -> None:
        """Queue the training again, because what it needs went away, or record failure after too many tries."""
        ...

    def put_back(self) -> None:
        """Queue the training again, because this worker stops."""
        ...

    def close(self) -> None:
        """Let go, whatever became of the training."""
        ...


class Queue(Protocol):
    """Where work comes from."""

    def claim(self) -> WorkerLease | None:
        """Return a hold on the next training."""
        ...


class Presence(Protocol):
    """What tells others that a worker is there."""

    def wait_for_work(self, timeout_seconds: float) -> None:
        """Return when a training was queued or the time is over."""
        ...

    def close(self) -> None:
        """Leave."""
        ...


class Registry(ModelRegistry, Protocol):
    """The registry with what only the worker does."""

    def open(self) -> None:
        """Make what is missing."""
        ...

    def reconcile(self) -> str | None:
        """Bring alias and promotions together, and say what was done."""
        ...


class Triggers(Protocol):
    """What starts trainings that nobody asks for."""

    def start_due(self) -> str | None:
        """Queue the training that is due, and return its id."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker works with; ``setbacks`` says what probation rolled back a short while ago."""

    queue: Queue
    presence: Presence
    registry: Registry
    store: RatingStore
    settings: Settings
    snapshots: SnapshotStore | None = None
    triggers: Triggers | None = None
    setbacks: Callable[[], tuple[Setback, ...]] = tuple


class WorkerStopping(CineclubError):
    """This worker was told to stop: the training is queued again for the next one."""


@dataclass
class StopRequest:
    """Whether the process was told to stop; the training notices when it reports, or is put back after a grace."""

    is_made: bool = False
    on_made: list[Callable[[], None]] = field(default_factory=list)

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        """Remember the first signal."""
        reactions = [] if self.is_made else self.on_made
        self.is_made = True
        for react in reactions:
            react()


def run_worker(parts: WorkerParts, stop: StopRequest, *, until_idle: bool) -> None:
    """Run trainings until told to stop, or, with ``until_idle``, until there is none left."""
    reconciled_at = float("-inf")
    while not stop.is_made:
        if time.monotonic() - reconciled_at >= SECONDS_BETWEEN_RECONCILIATIONS:
            _reconcile(parts.registry)
            _apply_erasures(parts.snapshots)
            reconciled_at = time.monotonic()
        if not until_idle:
            _start_due(parts.triggers)
        lease = _claim(parts.queue)
        if lease is not None:
            _run(lease, parts, stop)
            reconciled_at = float("-inf")
        elif until_idle:
            return
        else:
            parts.presence.wait_for_work(WAIT_SECONDS)


def _claim(queue: Queue) -> WorkerLease | None:
    """Return a hold on the next training; None also while PostgreSQL is away."""
    try:
        return queue.claim()
    except CineclubError as error:
        log.warning("claim_failed cause=%s", error)
        return None


def _start_due(triggers: Triggers | None) -> None:
    """Queue the training that is due; what cannot be done now is done later."""
    try:
        if training_id := triggers.start_due() if triggers else None:
            log.info("training_due training=%s", training_id)
    except CineclubError as error:
        log.warning("trigger_failed cause=%s", error)


def _reconcile(registry: Registry) -> None:
    """Bring alias and promotions together; what cannot be done now is done later."""
    try:
        if done := registry.reconcile():
            log.warning("reconciled %s", done)
    except (CineclubError, OSError) as error:
        log.warning("reconcile_failed cause=%s", error)


@contextlib.contextmanager
def _reconciling(registry: Registry) -> Iterator[None]:
    """Look at the alias every few seconds while the block runs: a training may take hours."""
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(SECONDS_BETWEEN_RECONCILIATIONS):
            _reconcile(registry)

    looking = threading.Thread(target=look, name="reconciling", daemon=True)
    looking.start()
    try:
        yield
    finally:
        is_over.set()
        looking.join()


def _apply_erasures(snapshots: SnapshotStore | None) -> None:
    """Take whoever was erased out of the snapshots here; what cannot be done now is done later."""
    try:
        if rewritten := snapshots.apply_erasures() if snapshots else []:
            log.warning("snapshots_rewritten %s", " ".join(rewritten))
    except (CineclubError, OSError) as error:
        log.warning("erasing_failed cause=%s", error)


def _run(lease: WorkerLease, parts: WorkerParts, stop: StopRequest) -> None:
    """Run one training and record how it ended."""
    training_id = lease.training.training_id
    log.info("training_started training=%s attempt=%s", training_id, lease.training.attempt)
    put_back_late = _leave_after(GRACE_SECONDS, "put_back", training_id, lease.put_back)
    cancel_late = _leave_after(CANCEL_GRACE_SECONDS, "cancelled", training_id, lease.acknowledge_cancel)
    stop.on_made.append(put_back_late.start)
    lease.when_cancelled(cancel_late.start)
    try:
        with _reconciling(parts.registry):
            _end(lease, lambda: _train(lease, parts, stop))
    except CineclubError as error:  # the end could not be recorded: whoever owns the training now does that
        log.warning("training_left training=%s cause=%s", training_id, error)
    finally:
        stop.on_made.remove(put_back_late.start)
        put_back_late.cancel()
        cancel_late.cancel()
        lease.close()


def _end(lease: WorkerLease, train: Callable[[], Mapping[str, Any]]) -> None:
    """Train and record the end, whatever it is."""
    training_id = lease.training.training_id
    try:
        lease.finish(train())
        log.info("training_succeeded training=%s", training_id)
    except LeaseLost:
        raise
    except TrainingCancelled:
        log.info("training_cancelled training=%s", training_id)
        lease.acknowledge_cancel()
    except WorkerStopping:
        log.info("training_put_back training=%s", training_id)
        lease.put_back()
    except (StorageUnavailable, RegistryUnavailable) as error:
        log.warning("training_interrupted training=%s cause=%s", training_id, error)
        lease.interrupt(_one_line(str(error)))
    except CineclubError as error:
        log.exception("training_failed training=%s", training_id)
        lease.fail(_one_line(str(error)))
    except Exception as error:
        log.exception("training_failed training=%s", training_id)
        cause = _one_line(f"{type(error).__name__}: {error}")
        lease.fail(f"something unforeseen went wrong ({cause}): the worker's log has the details")


def _train(lease: WorkerLease, parts: WorkerParts, stop: StopRequest) -> Mapping[str, Any]:
    """Run the training flow and return its report as a document."""

    def report(progress: StepProgress) -> None:
        if stop.is_made:
            message = "this worker was told to stop: the training is queued again"
            raise WorkerStopping(message)
        lease.report(progress)

    parts.registry.open()
    flow = TrainingFlow(
        store=parts.store,
        registry=parts.registry,
        report=report,
        plan=parts.settings.training_plan(tuple(lease.training.options.get("models", ()))),
        training_id=lease.training.training_id,
        now=lambda: datetime.now(UTC),
        code_version=__version__,
        snapshots=parts.snapshots,
        is_in_drift=lease.training.trigger == "drift",
        setbacks=parts.setbacks(),
    )
    return flow.train().to_json()


def _leave_after(grace_seconds: float, how: str, training_id: str, record: Callable[[], None]) -> threading.Timer:
    """Return a timer that records how a training ends and ends the process, for a step that does not stop in time.

    Nothing else ends a native call. The supervisor starts a worker again that ended.
    """

    def leave() -> None:
        log.warning("training_%s_late training=%s", how, training_id)
        try:
            record()
        finally:
            os._exit(0)

    timer = threading.Timer(grace_seconds, leave)
    timer.daemon = True
    return timer


def _one_line(text: str) -> str:
    """Return a text without line breaks."""
    return " ".join(text.split())


def _log_to(folder: Path) -> None:
    """Write the log, with tracebacks, to ``worker.log``."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "worker.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.getLogger().addHandler(handler)
    logging.getLogger("cineclub").setLevel(logging.INFO)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker of the environment's settings until SIGTERM or SIGINT."""
    until_idle = "--until-idle" in (sys.argv[1:] if arguments is None else arguments)
    stop = StopRequest()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    settings = Settings()
    os.nice(settings.worker_niceness)  # answers come first where both want the same processor
    _log_to(settings.home / "logs")
    presence = bootstrap.worker_presence(settings)
    presence.wait_for_work(0)  # seen as alive before the registry's seconds of importing
    holder = bootstrap.worker_name()
    parts = WorkerParts(
        queue=bootstrap.training_queue(settings, holder),
        presence=presence,
        registry=bootstrap.registry(settings, holder),
        store=bootstrap.rating_store(settings),
        settings=settings,
        snapshots=bootstrap.snapshots(settings),
        triggers=bootstrap.training_triggers(settings),
        setbacks=lambda: bootstrap.setbacks(settings),
    )
    log.info("worker_started name=%s", holder)
    run_worker(parts, stop, until_idle=until_idle)
    presence.close()
    log.info("worker_stopped name=%s", holder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

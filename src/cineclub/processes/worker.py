"""The worker process: ``python -m cineclub.processes.worker [--until-idle]`` runs queued trainings."""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

# before anything loads numpy: beside a busy service, threads of OpenBLAS that wait for each other would take the
# processor from the one they wait for; now they sleep after 2^4 cycles
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

from cineclub import __version__
from cineclub.bootstrap import storage
from cineclub.bootstrap.online_comparison import recent_rollbacks
from cineclub.domain.errors import CineclubError, LeaseLost, RegistryUnavailable, StorageUnavailable, TrainingCancelled
from cineclub.domain.promotion.cooldown import RecentRollback
from cineclub.domain.training.records import StepProgress
from cineclub.flows.erasing import WHY_TRAINED
from cineclub.flows.promotion.flow import PromotionFlow
from cineclub.flows.training import TrainingFlow
from cineclub.runtime.child_processes import StopRequest, stop_requests
from cineclub.runtime.file_errors import cause_of
from cineclub.runtime.heartbeats import Heartbeat
from cineclub.runtime.machine import now
from cineclub.runtime.patience import Patience
from cineclub.runtime.periodic_tasks import BoundedRun, PeriodicThread
from cineclub.runtime.process_start import begin_process
from cineclub.runtime.redaction import redacted
from cineclub.settings import Settings

if TYPE_CHECKING:
    from cineclub.adapters.postgres.jobs import TrainingQueue, WorkerPresence
    from cineclub.adapters.postgres.lease import TrainingLease
    from cineclub.adapters.postgres.ratings import PostgresRatingStore
    from cineclub.adapters.postgres.triggers import TrainingTriggers
    from cineclub.adapters.snapshots import SnapshotArchive

log = logging.getLogger("cineclub.processes.worker")
Outcome = TypeVar("Outcome")

WAIT_SECONDS = 1.0
SECONDS_BETWEEN_BEATS = 1.0
SECONDS_BETWEEN_RECONCILIATIONS, SECONDS_OF_RECONCILING = 3.0, 15.0
"""The interval, and the longest that a worker waits for MLflow before it looks for trainings again."""
SECONDS_BETWEEN_ERASURES = 2.0
"""Snapshots are looked through for erased users as often, also during a training and while MLflow does not answer."""

GRACE_SECONDS = 8.0
CANCEL_GRACE_SECONDS = 3.0
"""With a heartbeat each second, a cancel is recorded within five seconds whatever the training computes."""
LOG_FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s %(message)s"


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """The wired parts of a worker.

    Attributes:
        queue: the queue of trainings.
        presence: the sign that a worker is alive; also waits for work.
        promotion: the flow that registers versions and decides which one serves.
        store: the ratings.
        settings: the settings of this process.
        snapshots: the snapshots on this machine; None keeps none.
        triggers: starts trainings by schedule and by number of new ratings; None starts none.
        recent_rollbacks: returns the versions that probation rolled back recently.
    """

    queue: "TrainingQueue"
    presence: "WorkerPresence"
    promotion: PromotionFlow
    store: "PostgresRatingStore"
    settings: Settings
    snapshots: "SnapshotArchive | None" = None
    triggers: "TrainingTriggers | None" = None
    recent_rollbacks: Callable[[], tuple[RecentRollback, ...]] = tuple


class WorkerStopping(CineclubError):
    """This worker was asked to stop; the training is queued again for the next one."""


def run_worker(parts: WorkerParts, stop: StopRequest, *, until_idle: bool) -> None:
    """Run trainings until a stop is requested or, with ``until_idle``, until the queue is empty."""
    with PeriodicThread("erasing", lambda: _apply_erasures(parts), SECONDS_BETWEEN_ERASURES):
        _run_trainings(parts, stop, until_idle=until_idle)
    if until_idle:  # the thread may not have run at all
        _apply_erasures(parts)


def _run_trainings(parts: WorkerParts, stop: StopRequest, *, until_idle: bool) -> None:
    """Reconcile, start trainings that are due or owed, and run what is queued, in turn."""
    reconciled_at, triggers = float("-inf"), parts.triggers
    reconcile = BoundedRun("reconcile", lambda: _reconcile(parts.promotion), SECONDS_OF_RECONCILING)
    while not stop.is_made:
        if time.monotonic() - reconciled_at >= SECONDS_BETWEEN_RECONCILIATIONS:
            reconcile()
            if triggers is not None:
                _start_training("owed", partial(triggers.start_owed, WHY_TRAINED))
            reconciled_at = time.monotonic()
        if triggers is not None and not until_idle:
            _start_training("due", triggers.start_due)
        lease = _attempt("claim", parts.queue.claim)
        if lease is not None:
            _run(lease, parts, stop, reconcile)
            reconciled_at = float("-inf")
        elif until_idle:
            return
        else:
            parts.presence.wait_for_work(WAIT_SECONDS)


def _apply_erasures(parts: WorkerParts) -> None:
    """Rewrite the snapshots on this machine that hold an erased user."""
    if parts.snapshots and (rewritten := _attempt("erasing", parts.snapshots.apply_erasures)):
        log.warning("snapshots_rewritten %s", " ".join(rewritten))


def _attempt(name: str, action: Callable[[], Outcome]) -> Outcome | None:
    """Return the outcome of an action; None where it fails, which is logged, as the action is tried again later."""
    try:
        return action()
    except (CineclubError, OSError) as error:
        log.warning("%s_failed cause=%s", name, error)
        return None


def _start_training(cause: str, start: Callable[[], str | None]) -> None:
    """Queue the training that is due, or owed since users were erased during the last one, if there is one."""
    if training_id := _attempt("trigger", start):
        log.info("training_%s training=%s", cause, training_id)


def _reconcile(promotion: PromotionFlow) -> None:
    """Reconcile alias and promotions."""
    if change := _attempt("reconcile", promotion.reconcile):
        log.warning("reconciled %s", change)


def _run(lease: "TrainingLease", parts: WorkerParts, stop: StopRequest, reconcile: Callable[[], None]) -> None:
    """Run one training and record its end; the alias is reconciled meanwhile, as a training may take hours."""
    training_id = lease.training.training_id
    log.info("training_started training=%s attempt=%s", training_id, lease.training.attempt)
    put_back_late = _exit_after(GRACE_SECONDS, "put_back", training_id, lease.put_back)
    cancel_late = _exit_after(CANCEL_GRACE_SECONDS, "cancelled", training_id, lease.acknowledge_cancel)
    stop.on_made.append(put_back_late.start)
    lease.when_cancelled(cancel_late.start)
    try:
        with PeriodicThread("reconciling", reconcile, SECONDS_BETWEEN_RECONCILIATIONS):
            _train_and_record(lease, lambda: _train(lease, parts, stop))
    except CineclubError as error:  # the end could not be recorded: the worker that holds the training now does that
        log.warning("training_left training=%s cause=%s", training_id, error)
    finally:
        stop.on_made.remove(put_back_late.start)
        put_back_late.cancel()
        cancel_late.cancel()
        lease.close()


def _train_and_record(lease: "TrainingLease", train: Callable[[], Mapping[str, Any]]) -> None:
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
        lease.interrupt(_single_line(str(error)))
    except CineclubError as error:
        log.exception("training_failed training=%s", training_id)
        lease.fail(_single_line(str(error)))
    except OSError as error:  # of a disk or a limit of this machine, which may have room again: tried again
        log.exception("training_interrupted training=%s", training_id)  # with the path, which the answers lack
        lease.interrupt(_single_line(f"this machine could not go on with the training: {cause_of(error)}"))
    except Exception as error:
        log.exception("training_failed training=%s", training_id)
        cause = _single_line(f"{type(error).__name__}: {error}")
        lease.fail(f"unexpected error ({cause}): the worker's log has the details")


def _train(lease: "TrainingLease", parts: WorkerParts, stop: StopRequest) -> Mapping[str, Any]:
    """Run the training flow and return its report as a document."""

    def check() -> None:
        if stop.is_made:
            message = "this worker was asked to stop: the training is queued again"
            raise WorkerStopping(message)
        lease.check()

    def report(progress: StepProgress) -> None:
        check()
        lease.report(progress)

    promotion = parts.promotion.waiting(Patience(parts.settings.mlflow_wait_seconds, check))
    versions = promotion.versions
    versions.open()
    flow = TrainingFlow(
        store=parts.store,
        production=versions.production,
        load_version=versions.load,
        register=versions.register,
        record_candidate=versions.registry.record_candidate,
        promote=promotion.promote_winner,
        report=report,
        plan=parts.settings.training_plan(tuple(lease.training.options.get("models", ()))),
        training_id=lease.training.training_id,
        now=now,
        code_version=__version__,
        keep_snapshot=parts.snapshots.keep if parts.snapshots else None,
        is_in_drift=lease.training.trigger == "drift",
        recent_rollbacks=parts.recent_rollbacks(),
        has_erased_user=storage.erased_after_learning(parts.settings) is not None,
    )
    return flow.train().to_json()


def _exit_after(grace_seconds: float, ending: str, training_id: str, record: Callable[[], None]) -> threading.Timer:
    """Return a timer that records the end of a training and exits, for a step that does not stop in time.

    A native call cannot be interrupted otherwise. The supervisor restarts a worker that exited.
    """

    def exit_late() -> None:
        log.warning("training_%s_late training=%s", ending, training_id)
        try:
            record()
        finally:
            os._exit(0)

    timer = threading.Timer(grace_seconds, exit_late)
    timer.daemon = True
    return timer


def _single_line(text: str) -> str:
    """Return a text without line breaks and secrets."""
    return redacted(" ".join(text.split()))


def _log_to(folder: Path) -> None:
    """Write the log, with tracebacks, to ``worker.log`` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "worker.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.getLogger().addHandler(handler)
    logging.getLogger("cineclub").setLevel(logging.INFO)


def _beats(heartbeat: Heartbeat | None) -> AbstractContextManager[object]:
    """Return what shows a parent each second that this process works, also beside a computation."""
    if heartbeat is None:
        return contextlib.nullcontext()
    return PeriodicThread("heartbeat", heartbeat.beat, SECONDS_BETWEEN_BEATS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker of the environment's settings until SIGTERM, SIGINT or SIGHUP."""
    begin_process()
    options = list(sys.argv[1:] if arguments is None else arguments)
    until_idle = "--until-idle" in options
    with stop_requests() as stop, _beats(Heartbeat.passed_in(options)):
        settings = Settings()
        os.nice(settings.worker_niceness)  # requests come first where both want the same processor
        _log_to(settings.home / "logs")
        presence = storage.worker_presence(settings)
        presence.wait_for_work(0)  # visible as alive before the seconds that importing the registry takes
        holder = storage.worker_name()
        parts = WorkerParts(
            queue=storage.training_queue(settings, holder),
            presence=presence,
            promotion=storage.promotion_flow(settings, holder),
            store=storage.rating_store(settings),
            settings=settings,
            snapshots=storage.snapshots(settings),
            triggers=storage.training_triggers(settings),
            recent_rollbacks=lambda: recent_rollbacks(settings),
        )
        log.info("worker_started name=%s", holder)
        run_worker(parts, stop, until_idle=until_idle)
        presence.close()
        log.info("worker_stopped name=%s", holder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

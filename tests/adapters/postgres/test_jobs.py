"""The job queue: one training under way, held by one living worker."""

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier

import psycopg
import pytest

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue, WorkerPresence
from cineclub.adapters.postgres.lease import TrainingLease
from cineclub.adapters.postgres.training_rows import worker_name
from cineclub.domain.errors import (
    LeaseLost,
    NotFound,
    StorageReadOnly,
    StorageUnavailable,
    TrainingCancelled,
    TrainingUnderWay,
)
from cineclub.domain.training.records import StepProgress
from read_only_database import set_read_only

STEP = StepProgress("evaluate_models", "svd", 0.25, "svd(n_factors=20)")
DYING_WORKER = """
import os, signal, sys
from cineclub.adapters.postgres.jobs import TrainingQueue
lease = TrainingQueue(sys.argv[1], "dying:" + sys.argv[2], 30, 3).claim()
print(lease.training.attempt, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def jobs(database_url: str) -> PostgresTrainingJobs:
    """The queue as those who ask see it."""
    return PostgresTrainingJobs(database_url)


def queue(database_url: str, timeout_seconds: float = 30, max_attempts: int = 3) -> TrainingQueue:
    """Return the queue as a new worker sees it."""
    return TrainingQueue(database_url, worker_name(), timeout_seconds, max_attempts)


@contextmanager
def claimed(database_url: str, timeout_seconds: float = 30) -> Iterator[TrainingLease]:
    """Yield the lease of a new worker on the queued training."""
    lease = queue(database_url, timeout_seconds).claim()
    assert lease is not None
    try:
        yield lease
    finally:
        lease.close()


def eventually(happened: Callable[[], bool], timeout_seconds: float = 10) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def start_at_once(database_url: str, barrier: Barrier, outcomes: "multiprocessing.Queue[tuple[str, str]]") -> None:
    """Request a training at the barrier, and put its id on the queue."""
    jobs = PostgresTrainingJobs(database_url)
    barrier.wait()
    try:
        outcomes.put(("started", jobs.start({}, None).training_id))
    except TrainingUnderWay as error:
        outcomes.put(("under way", error.training_id))


def test_requests_of_two_processes_at_the_same_instant_start_exactly_one(database_url: str) -> None:
    """One of two simultaneous requests starts a training; the other gets its id."""
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        barrier, outcomes = context.Barrier(2), context.Queue()
        processes = [context.Process(target=start_at_once, args=(database_url, barrier, outcomes)) for _ in range(2)]
        for process in processes:
            process.start()
        given = sorted(outcomes.get(timeout=20) for _ in processes)
        for process in processes:
            process.join()
        assert [outcome for outcome, _ in given] == ["started", "under way"]
        assert len({training_id for _, training_id in given}) == 1
        PostgresTrainingJobs(database_url).cancel(given[0][1])


def test_a_training_is_stored_as_requested(jobs: PostgresTrainingJobs) -> None:
    """Options and reason are stored; the list is newest first."""
    first = jobs.start({"models": ["svd"]}, "new ratings")
    assert (first.status, first.options, first.reason) == ("queued", {"models": ["svd"]}, "new ratings")
    with pytest.raises(TrainingUnderWay, match=first.training_id):
        jobs.start({}, None)
    jobs.cancel(first.training_id)
    second = jobs.start({}, None)
    assert [training.training_id for training in jobs.recent(10)] == [second.training_id, first.training_id]
    assert jobs.recent(1) == [second]


@pytest.mark.parametrize("training_id", ["00000000-0000-0000-0000-000000000000", "seven", ""])
def test_an_unknown_training_is_not_found(training_id: str, jobs: PostgresTrainingJobs) -> None:
    """A malformed id and an unknown id raise the same error."""
    for ask in (jobs.get, jobs.cancel):
        with pytest.raises(NotFound, match="there is no training"):
            ask(training_id)


def test_a_database_that_is_away_is_storage_unavailable() -> None:
    """The driver's error becomes StorageUnavailable with the next step."""
    with pytest.raises(StorageUnavailable, match="cineclub doctor"):
        PostgresTrainingJobs("postgresql://nobody@127.0.0.1:1/none").recent(1)


def test_a_training_runs_and_succeeds(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A training is claimed once, reports progress, and ends with its report."""
    training = jobs.start({}, None)
    with claimed(database_url) as lease:
        assert queue(database_url).claim() is None
        lease.report(STEP)
        seen = jobs.get(training.training_id)
        assert (seen.status, seen.progress, seen.attempt) == ("running", STEP, 1)
        lease.finish({"version": 7, "gain": float("nan")})
    seen = jobs.get(training.training_id)
    assert (seen.status, seen.report, seen.error) == ("succeeded", {"version": 7, "gain": None}, None)
    assert seen.finished_at is not None
    assert queue(database_url).claim() is None


def test_a_failure_keeps_its_cause_and_makes_room(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A failed training keeps its cause, and another can start."""
    training = jobs.start({}, None)
    with claimed(database_url) as lease:
        lease.fail("too few ratings: import more")
    assert jobs.get(training.training_id).error == "too few ratings: import more"
    assert jobs.start({}, None).status == "queued"


def test_a_training_that_was_broken_off_is_run_again_and_fails_in_the_end(
    database_url: str, jobs: PostgresTrainingJobs
) -> None:
    """Interrupted attempts count, unlike a training that is put back, and the last failure keeps the cause."""
    training = jobs.start({}, None)
    seen = []
    for _ in range(3):
        with claimed(database_url) as lease:
            lease.interrupt("PostgreSQL does not answer")
        now = jobs.get(training.training_id)
        seen.append((now.status, now.attempt, now.error))
    assert seen == [("queued", 1, None), ("queued", 2, None), ("failed", 3, "PostgreSQL does not answer")]
    assert queue(database_url).claim() is None


def test_a_training_that_was_broken_off_and_is_unwanted_ends(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A cancelled training that was interrupted ends instead of being run again."""
    training = jobs.start({}, None)
    with claimed(database_url) as lease:
        jobs.cancel(training.training_id)
        lease.interrupt("PostgreSQL does not answer")
    ended = jobs.get(training.training_id)
    assert (ended.status, ended.error) == ("cancelled", None)
    assert ended.finished_at is not None


def test_progress_is_written_a_few_times_a_second_and_at_each_new_step(
    database_url: str, jobs: PostgresTrainingJobs
) -> None:
    """Progress is written at intervals without extra statements, and at once for a new step."""
    training = jobs.start({}, None)
    with claimed(database_url) as lease:
        started = time.monotonic()
        for n in range(20_000):
            lease.report(StepProgress("evaluate_models", "svd", n / 20_000, ""))
        assert time.monotonic() - started < 2
        lease.report(StepProgress("register_model", None, 0.0, "started"))
        progress = jobs.get(training.training_id).progress
        assert progress is not None
        assert progress.step == "register_model"


def test_a_queued_training_is_cancelled_at_once(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A queued training is cancelled before any worker sees it; a finished one stays as it is."""
    training = jobs.start({}, None)
    cancelled = jobs.cancel(training.training_id)
    assert (cancelled.status, cancelled.cancel_requested) == ("cancelled", False)
    assert queue(database_url).claim() is None
    assert jobs.cancel(training.training_id) == cancelled


def test_a_running_training_stops_when_it_is_cancelled(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """The next progress report raises, and the worker records the end."""
    training = jobs.start({}, None)
    with claimed(database_url) as lease:
        lease.report(STEP)
        assert jobs.cancel(training.training_id).status == "running"
        with pytest.raises(TrainingCancelled):
            lease.report(StepProgress("register_model", None, 0.0, ""))
        lease.acknowledge_cancel()
    assert jobs.get(training.training_id).status == "cancelled"


def test_the_heartbeat_reports_the_cancel_to_a_silent_training(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A fit without reports learns of the cancel through the heartbeat."""
    training = jobs.start({}, None)
    with claimed(database_url, timeout_seconds=0.6) as lease:
        lease.report(STEP)
        jobs.cancel(training.training_id)
        time.sleep(0.3)
        with pytest.raises(TrainingCancelled):
            lease.report(STEP)


def test_a_long_silence_is_not_death_while_the_heart_beats(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A computation longer than the timeout keeps its training while the heartbeat goes on."""
    jobs.start({}, None)
    with claimed(database_url, timeout_seconds=0.5) as lease:
        time.sleep(1.2)
        assert queue(database_url, timeout_seconds=0.5).claim() is None
        lease.report(STEP)


def kill_a_worker_at_work(database_url: str, name: str) -> None:
    """Claim the training in a worker that dies of SIGKILL."""
    command = [sys.executable, "-c", DYING_WORKER, database_url, name]
    assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == -9


def test_the_training_of_a_killed_worker_is_run_again_at_once(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """The lease ends with the worker's connection, without waiting for the heartbeat timeout."""
    training = jobs.start({}, None)
    kill_a_worker_at_work(database_url, "a")
    leases: list[TrainingLease] = []
    eventually(lambda: bool(leases.extend(filter(None, [queue(database_url).claim()])) or leases), timeout_seconds=5)
    assert leases[0].training.training_id == training.training_id
    assert leases[0].training.attempt == 2
    leases[0].finish({})


def test_a_training_whose_workers_keep_dying_fails_with_the_cause(
    database_url: str, jobs: PostgresTrainingJobs
) -> None:
    """After the last attempt the training fails with its cause."""
    training = jobs.start({}, None)
    kill_a_worker_at_work(database_url, "b")

    def is_failed() -> bool:
        assert queue(database_url, max_attempts=1).claim() is None
        return jobs.get(training.training_id).status == "failed"

    eventually(is_failed)
    error = jobs.get(training.training_id).error
    assert error is not None
    assert error.startswith("the worker died 1 times")


def test_a_cancelled_training_of_a_dead_worker_ends_cancelled(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A cancelled training whose worker died is not run again."""
    training = jobs.start({}, None)
    kill_a_worker_at_work(database_url, "c")
    jobs.cancel(training.training_id)

    def is_cancelled() -> bool:
        assert queue(database_url).claim() is None
        return jobs.get(training.training_id).status == "cancelled"

    eventually(is_cancelled)


def let_the_heart_stop(database_url: str, training_id: str) -> None:
    """Age the heartbeat of a running training by a minute, as if its worker hung."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE cineclub.trainings SET heartbeat_at = now() - interval '1 minute' WHERE id = %s", (training_id,)
        )


def test_a_worker_that_hung_finds_its_lease_lost(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """After another worker has taken over, the first can write neither progress nor end."""
    training = jobs.start({}, None)
    with claimed(database_url) as hung:
        let_the_heart_stop(database_url, training.training_id)
        with claimed(database_url) as second:
            assert second.training.attempt == 2
            with pytest.raises(LeaseLost):
                hung.report(STEP)
            for end in (lambda: hung.finish({"version": 1}), lambda: hung.fail("no"), hung.put_back):
                with pytest.raises(LeaseLost):
                    end()
            assert jobs.get(training.training_id).status == "running"
            second.finish({"version": 2})
    assert jobs.get(training.training_id).report == {"version": 2}


def test_a_worker_that_stops_puts_its_training_back(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A clean stop uses up no attempt, and a cancelled training does not come back."""
    training = jobs.start({}, None)
    with claimed(database_url) as lease:
        lease.put_back()
    seen = jobs.get(training.training_id)
    assert (seen.status, seen.attempt, seen.progress) == ("queued", 0, None)
    with claimed(database_url) as lease:
        jobs.cancel(training.training_id)
        lease.put_back()
    assert jobs.get(training.training_id).status == "cancelled"


def test_a_broken_connection_is_opened_again(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A training goes on over a restart of PostgreSQL."""
    training = jobs.start({}, None)
    with claimed(database_url) as lease:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        lease.report(STEP)
        lease.report(StepProgress("register_model", None, 0.0, ""))
        assert queue(database_url).claim() is None
        lease.finish({"version": 3})
    assert jobs.get(training.training_id).status == "succeeded"


def test_a_worker_is_seen_alive_for_as_long_as_it_is_there(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A worker's presence ends with its connection; a new training wakes it."""
    assert not jobs.is_worker_alive()
    presence = WorkerPresence(database_url)
    presence.wait_for_work(0)
    assert jobs.is_worker_alive()
    jobs.start({}, None)
    started = time.monotonic()
    presence.wait_for_work(10)
    assert time.monotonic() - started < 5
    presence.close()
    eventually(lambda: not jobs.is_worker_alive())


def test_a_read_only_database_ends_the_lease_and_nothing_else(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """Without writes a lease is lost and a worker idles; once writes are taken the training runs again."""
    training_id = jobs.start({}, None).training_id
    presence = WorkerPresence(database_url)
    with claimed(database_url, timeout_seconds=1) as lease:
        set_read_only(database_url, is_on=True)
        with pytest.raises(LeaseLost):
            lease.finish({})
        presence.wait_for_work(0.1)
        with pytest.raises(StorageReadOnly):
            queue(database_url, timeout_seconds=1).claim()
        with pytest.raises(StorageReadOnly):
            jobs.cancel(training_id)
    set_read_only(database_url, is_on=False)
    presence.close()
    with claimed(database_url, timeout_seconds=1) as second:
        assert (second.training.training_id, second.training.attempt) == (training_id, 2)
        second.finish({})
    assert jobs.get(training_id).status == "succeeded"

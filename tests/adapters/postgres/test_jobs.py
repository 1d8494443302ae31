"""Exactly one training is under way, and it belongs to exactly one living worker."""

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
from cineclub.adapters.postgres.lease import HeldLease
from cineclub.adapters.postgres.training_rows import worker_name
from cineclub.domain.errors import LeaseLost, NotFound, StorageUnavailable, TrainingCancelled, TrainingUnderWay
from cineclub.ports import StepProgress

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
def claimed(database_url: str, timeout_seconds: float = 30) -> Iterator[HeldLease]:
    """Give a new worker's hold on the training that waits."""
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


def start_at_once(database_url: str, barrier: Barrier, answers: "multiprocessing.Queue[tuple[str, str]]") -> None:
    """Ask for a training when everybody else does, and answer with its id."""
    jobs = PostgresTrainingJobs(database_url)
    barrier.wait()
    try:
        answers.put(("started", jobs.start({}, None).training_id))
    except TrainingUnderWay as error:
        answers.put(("under way", error.training_id))


def test_requests_of_two_processes_at_the_same_instant_start_exactly_one(database_url: str) -> None:
    """One of two simultaneous requests starts a training, the other is told its id."""
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        barrier, answers = context.Barrier(2), context.Queue()
        processes = [context.Process(target=start_at_once, args=(database_url, barrier, answers)) for _ in range(2)]
        for process in processes:
            process.start()
        given = sorted(answers.get(timeout=20) for _ in processes)
        for process in processes:
            process.join()
        assert [outcome for outcome, _ in given] == ["started", "under way"]
        assert len({training_id for _, training_id in given}) == 1
        PostgresTrainingJobs(database_url).cancel(given[0][1])


def test_a_training_is_kept_as_it_was_asked_for(jobs: PostgresTrainingJobs) -> None:
    """Options and reason come back, newest first in the list."""
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
    """An id that is none, or is unknown, is answered the same way."""
    for ask in (jobs.get, jobs.cancel):
        with pytest.raises(NotFound, match="there is no training"):
            ask(training_id)


def test_a_database_that_is_away_is_storage_unavailable() -> None:
    """The driver's error becomes ours, with what to do next."""
    with pytest.raises(StorageUnavailable, match="cineclub doctor"):
        PostgresTrainingJobs("postgresql://nobody@127.0.0.1:1/none").recent(1)


def test_a_training_runs_and_succeeds(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """Claimed once, reported on, and finished with its report."""
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
    """A failed training tells why, and another can start."""
    training = jobs.start({}, None)
    with claimed(database_url) as lease:
        lease.fail("too few ratings: import more")
    assert jobs.get(training.training_id).error == "too few ratings: import more"
    assert jobs.start({}, None).status == "queued"


def test_a_training_that_was_broken_off_is_run_again_and_fails_in_the_end(
    database_url: str, jobs: PostgresTrainingJobs
) -> None:
    """Unlike one that is put back in good order its attempts count, and the last one keeps the cause."""
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
    """A person's cancel counts more than another try."""
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
    """Reports in between cost no statement, a new step is seen at once."""
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
    """No worker ever sees it, and a finished training stays as it is."""
    training = jobs.start({}, None)
    cancelled = jobs.cancel(training.training_id)
    assert (cancelled.status, cancelled.cancel_requested) == ("cancelled", False)
    assert queue(database_url).claim() is None
    assert jobs.cancel(training.training_id) == cancelled


def test_a_running_training_stops_when_it_is_cancelled(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """The next report raises, and the worker records the end."""
    training = jobs.start({}, None)
    with claimed(database_url) as lease:
        lease.report(STEP)
        assert jobs.cancel(training.training_id).status == "running"
        with pytest.raises(TrainingCancelled):
            lease.report(StepProgress("register_model", None, 0.0, ""))
        lease.acknowledge_cancel()
    assert jobs.get(training.training_id).status == "cancelled"


def test_the_heartbeat_tells_a_silent_training_that_it_was_cancelled(
    database_url: str, jobs: PostgresTrainingJobs
) -> None:
    """A fit that does not report for long still learns of it between two reports that are too close to be written."""
    training = jobs.start({}, None)
    with claimed(database_url, timeout_seconds=0.6) as lease:
        lease.report(STEP)
        jobs.cancel(training.training_id)
        time.sleep(0.3)
        with pytest.raises(TrainingCancelled):
            lease.report(STEP)


def test_a_long_silence_is_not_death_while_the_heart_beats(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """A kernel that runs for longer than the time-out keeps its training."""
    jobs.start({}, None)
    with claimed(database_url, timeout_seconds=0.5) as lease:
        time.sleep(1.2)
        assert queue(database_url, timeout_seconds=0.5).claim() is None
        lease.report(STEP)


def kill_a_worker_at_work(database_url: str, name: str) -> None:
    """Let a worker claim the training and die of SIGKILL."""
    command = [sys.executable, "-c", DYING_WORKER, database_url, name]
    assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == -9


def test_the_training_of_a_killed_worker_is_run_again_at_once(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """The lease ends with the worker's connection: nobody waits for the heartbeat to grow old."""
    training = jobs.start({}, None)
    kill_a_worker_at_work(database_url, "a")
    leases: list[HeldLease] = []
    eventually(lambda: bool(leases.extend(filter(None, [queue(database_url).claim()])) or leases), timeout_seconds=5)
    assert leases[0].training.training_id == training.training_id
    assert leases[0].training.attempt == 2
    leases[0].finish({})


def test_a_training_whose_workers_keep_dying_fails_with_the_cause(
    database_url: str, jobs: PostgresTrainingJobs
) -> None:
    """After the last attempt nothing is pending for ever."""
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
    """Nobody runs again what nobody wants."""
    training = jobs.start({}, None)
    kill_a_worker_at_work(database_url, "c")
    jobs.cancel(training.training_id)

    def is_cancelled() -> bool:
        assert queue(database_url).claim() is None
        return jobs.get(training.training_id).status == "cancelled"

    eventually(is_cancelled)


def let_the_heart_stop(database_url: str, training_id: str) -> None:
    """Make a running training look as if its worker had hung for a minute."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE cineclub.trainings SET heartbeat_at = now() - interval '1 minute' WHERE id = %s", (training_id,)
        )


def test_a_worker_that_hung_finds_its_lease_lost(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """Once another has taken over, the first can write nothing: no progress, no end."""
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
    """A clean stop costs no attempt, and a training that was cancelled meanwhile does not come back."""
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
    """A restart of PostgreSQL in the middle of a training does not cost the training."""
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
    """Presence needs no time-out; it is woken by a new training."""
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

"""A stopped worker is replaced, and changes nothing when it resumes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.mlflow.client import connect, store_uri
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.processes.supervisor import Child
from cineclub.runtime.heartbeats import HangDetector
from registry_bench import write_ratings
from waiting import eventually

pytestmark = pytest.mark.faults

MODELS = {"models": ["popular", "ease", "svd"]}
STOPPING_WORKER = """
import os, signal, sys
from cineclub.processes import worker
from cineclub.flows.promotion.registration import RegistrationFlow
from cineclub.adapters.postgres.lease import TrainingLease
from cineclub.adapters.postgres.promotions import PostgresPromotions

where = sys.argv[1]

def stops_before(place, name, moment):
    original = getattr(place, name)
    def stopping(*args, **kwargs):
        if moment == where or (name == "report" and args[-1].step == where):
            os.kill(os.getpid(), signal.SIGSTOP)
        return original(*args, **kwargs)
    setattr(place, name, stopping)

stops_before(TrainingLease, "report", None)
stops_before(RegistrationFlow, "register", "the registration")
stops_before(PostgresPromotions, "record", "the promotion")
stops_before(TrainingLease, "finish", "the end")
sys.exit(worker.main(["--until-idle"]))
"""


@pytest.fixture
def jobs(bench_database: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> PostgresTrainingJobs:
    """A queue over ratings, in the environment of the workers."""
    monkeypatch.setenv("CINECLUB_DATABASE_URL", bench_database)
    monkeypatch.setenv("CINECLUB_HOME", str(home))
    write_ratings(bench_database)
    return PostgresTrainingJobs(bench_database)


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start processes, and end them afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one(*arguments: str) -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen([sys.executable, *arguments], env=dict(os.environ)))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.wait()


def stopped_at(where: str, start: Callable[..., "subprocess.Popen[bytes]"]) -> "subprocess.Popen[bytes]":
    """Return a worker stopped at a place."""
    process = start("-c", STOPPING_WORKER, where)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert process.poll() is None
    return process


def everything_written(database_url: str) -> tuple[object, ...]:
    """Return the trainings, promotions, versions and the alias."""
    client = connect(store_uri(database_url))
    versions = sorted(int(version.version) for version in client.search_model_versions("name = 'cineclub'"))
    with psycopg.connect(database_url) as connection:
        trainings = connection.execute("SELECT t.*::text FROM cineclub.trainings t").fetchall()
        promotions = connection.execute("SELECT p.*::text FROM cineclub.promotions p").fetchall()
        known = connection.execute("SELECT v.*::text FROM cineclub.versions v").fetchall()
        refused = connection.execute("SELECT r.*::text FROM cineclub.refusals r").fetchall()
    return (
        trainings,
        promotions,
        known,
        refused,
        versions,
        client.get_model_version_by_alias("cineclub", "production").version,
    )


@pytest.mark.parametrize("where", ["evaluate_models", "the registration", "the promotion", "the end"])
def test_a_worker_that_wakes_after_it_was_replaced_changes_nothing(
    where: str,
    bench_database: str,
    jobs: PostgresTrainingJobs,
    start: Callable[..., "subprocess.Popen[bytes]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trainings, promotions, versions and the alias are as the second worker left them."""
    monkeypatch.setenv("CINECLUB_HEARTBEAT_TIMEOUT_SECONDS", "2")
    training = jobs.start(MODELS, None)
    sleeper = stopped_at(where, start)
    with psycopg.connect(bench_database) as connection:  # so that the second worker fits another model
        connection.execute("DELETE FROM cineclub.ratings WHERE user_id % 7 = 0")
    start("-m", "cineclub.processes.worker")
    eventually(lambda: jobs.get(training.training_id).status == "succeeded")
    assert jobs.get(training.training_id).attempt == 2
    before = everything_written(bench_database)
    sleeper.send_signal(signal.SIGCONT)
    assert sleeper.wait(60) == 0
    assert everything_written(bench_database) == before


def test_a_vanished_worker_is_replaced_within_thirty_seconds(
    jobs: PostgresTrainingJobs, start: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    """With the default timeout, a worker whose connections stay open, as after a power failure, is replaced."""
    training = jobs.start(MODELS, None)
    stopped_at("evaluate_models", start)
    stopped_at_seconds = time.monotonic()
    start("-m", "cineclub.processes.worker")
    eventually(lambda: jobs.get(training.training_id).attempt == 2, 30)
    assert time.monotonic() - stopped_at_seconds < 30


def test_a_worker_that_hangs_is_replaced_by_its_supervisor(jobs: PostgresTrainingJobs, tmp_path: Path) -> None:
    """A service with one worker needs no other: the stopped one is killed, then the next one repeats its training."""
    training = jobs.start(MODELS, None)
    child = Child("worker", dict(os.environ), tmp_path / "worker.log", hang=HangDetector.of_child(10.0))
    child.start()
    try:
        eventually(lambda: jobs.get(training.training_id).status == "running")
        assert child.process is not None
        child.process.send_signal(signal.SIGSTOP)

        def has_succeeded() -> bool:
            child.restart_if_dead()
            return jobs.get(training.training_id).status == "succeeded"

        eventually(has_succeeded, 120)
        assert child.n_starts == 2
        assert jobs.get(training.training_id).attempt == 2
    finally:
        child.stop()

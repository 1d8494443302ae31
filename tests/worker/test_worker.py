"""The worker runs queued trainings and records their end."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cineclub.adapters.model_store import read_artifact
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.bootstrap import storage
from cineclub.domain.errors import NotEnoughData, StorageUnavailable
from cineclub.domain.training.report import TrainingReport
from cineclub.flows.training import TrainingFlow
from cineclub.processes import worker
from cineclub.settings import Settings
from read_only_database import set_read_only
from registry_bench import write_ratings

CUT_EVERYBODY_OFF = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
MODELS = {"models": ["popular", "ease", "svd"]}


@pytest.fixture
def settings(bench_database: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a worker with a fresh database."""
    monkeypatch.setenv("CINECLUB_DATABASE_URL", bench_database)
    monkeypatch.setenv("CINECLUB_HOME", str(home))
    return Settings()


@pytest.fixture
def jobs(bench_database: str) -> PostgresTrainingJobs:
    """The queue of the requesters."""
    return PostgresTrainingJobs(bench_database)


@pytest.fixture
def parts(settings: Settings) -> Iterator[worker.WorkerParts]:
    """The parts of the worker, in this process."""
    holder = storage.worker_name()
    presence = storage.worker_presence(settings)
    yield worker.WorkerParts(
        storage.training_queue(settings, holder),
        presence,
        storage.promotion_flow(settings, holder),
        storage.rating_store(settings),
        settings,
    )
    presence.close()


def run_until_idle(parts: worker.WorkerParts) -> None:
    """Run the queued trainings."""
    worker.run_worker(parts, worker.StopRequest(), until_idle=True)


def eventually(happened: Callable[[], bool], timeout_seconds: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout_seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_queued_training_ends_in_a_served_model(
    bench_database: str, home: Path, jobs: PostgresTrainingJobs, parts: worker.WorkerParts
) -> None:
    """The first training promotes and the second, on the same ratings, refreshes; both are in the history."""
    write_ratings(bench_database)
    promotions = PostgresPromotions(bench_database)
    for verdict in ("PROMOTE", "REFRESH"):
        training = jobs.start(MODELS, None)
        run_until_idle(parts)
        seen = jobs.get(training.training_id)
        assert (seen.status, seen.error) == ("succeeded", None)
        assert seen.report is not None
        promotion = promotions.newest()
        assert promotion is not None
        assert (promotion.verdict, promotion.training_id) == (verdict, training.training_id)
        assert promotion.version == seen.report["version"]
        read_artifact(home / "models" / promotion.artifact_folder, promotion.manifest_sha256)
    assert len(promotions.recent(5)) == 2


@pytest.mark.parametrize("trigger", ["request", "schedule", "new_ratings", "drift"])
def test_the_gate_hears_of_drift_where_it_started_the_training(
    trigger: str,
    bench_database: str,
    jobs: PostgresTrainingJobs,
    parts: worker.WorkerParts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The flow is in drift only if drift triggered the training."""
    heard = []

    def train(flow: TrainingFlow) -> TrainingReport:
        heard.append(flow.is_in_drift)
        message = "import some"
        raise NotEnoughData(message)

    monkeypatch.setattr(TrainingFlow, "train", train)
    jobs.start(MODELS, None)
    with psycopg.connect(bench_database) as connection:
        connection.execute("UPDATE cineclub.trainings SET trigger = %s", (trigger,))
    run_until_idle(parts)
    assert heard == [trigger == "drift"]


def test_a_training_under_which_postgresql_goes_away_is_run_again(
    bench_database: str, jobs: PostgresTrainingJobs, parts: worker.WorkerParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training whose connections were cut is run again and succeeds."""
    write_ratings(bench_database)
    compare = TrainingFlow.compare_with_production
    cuts = iter([True])

    def cut_off(flow: TrainingFlow, *arguments: Any) -> Any:
        if next(cuts, False):
            with psycopg.connect(bench_database, autocommit=True) as connection:
                connection.execute(CUT_EVERYBODY_OFF)
            message = "PostgreSQL does not answer"
            raise StorageUnavailable(message)
        return compare(flow, *arguments)

    monkeypatch.setattr(TrainingFlow, "compare_with_production", cut_off)
    training = jobs.start(MODELS, None)
    run_until_idle(parts)
    seen = jobs.get(training.training_id)
    assert (seen.status, seen.attempt, seen.error) == ("succeeded", 2, None)


def test_a_training_without_ratings_fails_with_a_sentence(
    jobs: PostgresTrainingJobs, parts: worker.WorkerParts
) -> None:
    """The recorded cause says what is missing, without a traceback."""
    training = jobs.start({}, None)
    run_until_idle(parts)
    seen = jobs.get(training.training_id)
    assert seen.status == "failed"
    assert "cineclub import" in (seen.error or "")
    assert "Traceback" not in (seen.error or "")
    assert "\n" not in (seen.error or "")


def test_an_unforeseen_error_fails_the_training_in_one_sentence(
    bench_database: str, jobs: PostgresTrainingJobs, parts: worker.WorkerParts, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error fails the training with one sentence; the details are logged."""
    write_ratings(bench_database)
    with psycopg.connect(bench_database) as connection:
        connection.execute("ALTER TABLE cineclub.movies RENAME TO films")
        connection.execute(
            "CREATE VIEW cineclub.movies AS"
            " SELECT id, external_id, (1 / (id - id))::text AS title, year, genres, imdb_id, tmdb_id, labels,"
            " runtime_minutes, available FROM cineclub.films"
        )
    training = jobs.start(MODELS, None)
    run_until_idle(parts)
    error = jobs.get(training.training_id).error or ""
    assert error.startswith("unexpected error (DivisionByZero")
    assert "\n" not in error
    assert "Traceback" in caplog.text
    assert jobs.start({}, None).status == "queued"


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/srv/home/models/x"), "the disk is full: free disk space"),
        (ConnectionResetError("by /srv/home/socket"), "ConnectionResetError"),
    ],
    ids=["full disk", "without a number"],
)
def test_a_full_disk_interrupts_a_training_and_its_path_is_in_the_log_alone(
    fault: OSError,
    cause: str,
    bench_database: str,
    jobs: PostgresTrainingJobs,
    parts: worker.WorkerParts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The training is tried again, and says how to make room to whoever may read it, without files of this machine."""
    write_ratings(bench_database)
    monkeypatch.setattr(TrainingFlow, "train", lambda _: raise_(fault))
    training = jobs.start(MODELS, None)
    run_until_idle(parts)
    seen = jobs.get(training.training_id)
    assert (seen.status, seen.attempt) == ("failed", parts.settings.max_attempts)
    assert cause in (seen.error or "")
    assert "unexpected" not in (seen.error or "")
    assert "/srv" not in (seen.error or "")
    assert "/srv/home" in caplog.text


def raise_(error: Exception) -> None:
    """Raise an error."""
    raise error


def test_a_cancelled_training_stops_and_promotes_nothing(
    bench_database: str, jobs: PostgresTrainingJobs, parts: worker.WorkerParts
) -> None:
    """The flow stops at its next report."""
    write_ratings(bench_database)
    training = jobs.start(MODELS, None)
    running = threading.Thread(target=run_until_idle, args=(parts,))
    running.start()
    eventually(lambda: jobs.get(training.training_id).status == "running")
    jobs.cancel(training.training_id)
    running.join(60)
    assert jobs.get(training.training_id).status == "cancelled"
    assert PostgresPromotions(bench_database).newest() is None


def test_a_stopped_worker_puts_its_training_back(bench_database: str, home: Path, jobs: PostgresTrainingJobs) -> None:
    """SIGTERM ends the worker within seconds and puts its training back; another worker starts it again."""
    write_ratings(bench_database)
    environment = {**os.environ, "CINECLUB_DATABASE_URL": bench_database, "CINECLUB_HOME": str(home)}
    process = subprocess.Popen([sys.executable, "-m", "cineclub.processes.worker"], env=environment)
    eventually(jobs.is_worker_alive)
    training = jobs.start({}, None)
    eventually(lambda: jobs.get(training.training_id).progress is not None)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    seen = jobs.get(training.training_id)
    assert (seen.status, seen.attempt) == ("queued", 0)
    assert "training_put_back" in (home / "logs" / "worker.log").read_text()
    eventually(lambda: not jobs.is_worker_alive())


def test_a_worker_idles_over_a_read_only_database(
    bench_database: str, jobs: PostgresTrainingJobs, parts: worker.WorkerParts
) -> None:
    """It neither crashes nor loses the training, which it runs once the database takes writes."""
    write_ratings(bench_database)
    training_id = jobs.start(MODELS, None).training_id
    set_read_only(bench_database, is_on=True)
    run_until_idle(parts)
    assert jobs.get(training_id).status == "queued"
    set_read_only(bench_database, is_on=False)
    run_until_idle(parts)
    assert jobs.get(training_id).status == "succeeded"

"""The worker completes erasures on its machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.bootstrap import storage
from cineclub.flows.erasing import WHY_TRAINED, erase_user
from cineclub.settings import Settings
from registry_bench import write_ratings
from waiting import eventually

SOURCE = """
import dataclasses, os, pathlib, signal, sys, time
from cineclub.processes import worker
from cineclub.adapters.postgres.lease import TrainingLease
from cineclub.settings import Settings

plan_of, report = Settings.training_plan, TrainingLease.report

def stops_once(lease, progress):
    if progress.step == "filter_users_and_movies":
        TrainingLease.report = report
        os.kill(os.getpid(), signal.SIGSTOP)
    report(lease, progress)

def waits(lease, progress):
    report(lease, progress)
    while progress.step == "filter_users_and_movies" and not pathlib.Path(os.environ["GO_ON"]).exists():
        time.sleep(0.05)

def without_evidence(settings, models=()):
    return dataclasses.replace(plan_of(settings, models or ("popular", "ease")), min_judged_users=1_000_000)

Settings.training_plan = lambda settings, models=(): plan_of(settings, models or ("popular", "ease"))
if "stopping" in sys.argv:
    TrainingLease.report = stops_once
if "waiting" in sys.argv:
    TrainingLease.report = waits
if "without_evidence" in sys.argv:
    Settings.training_plan = without_evidence
sys.exit(worker.main(["--until-idle"]))
"""
"""A worker with two models for all; its gate may lack evidence.

It may stand still once, having loaded the ratings and registered nothing, as a whole or only in its training.
"""
WORKER = [sys.executable, "-c", SOURCE]
ID_OF = "SELECT id FROM cineclub.users WHERE external_id = %s"


@pytest.fixture
def settings(bench_database: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of workers with a database of ratings, also in their environment."""
    write_ratings(bench_database)
    monkeypatch.setenv("CINECLUB_DATABASE_URL", bench_database)
    monkeypatch.setenv("CINECLUB_HOME", str(home))
    return Settings()


@pytest.fixture
def stopped_worker() -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Start a worker that stops between load and register, and wait for it; end it afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen([*WORKER, "stopping"]))
        os.waitid(os.P_PID, started[-1].pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert started[-1].poll() is None
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def jobs(bench_database: str) -> PostgresTrainingJobs:
    """The queue of the requesters."""
    return PostgresTrainingJobs(bench_database)


def user_id_of(database_url: str, external_id: str) -> int:
    """Return the internal id of a user, as in snapshots."""
    with psycopg.connect(database_url) as connection:
        return int(connection.execute(ID_OF, (external_id,)).fetchone()[0])


def user_ids_in(file: Path) -> set[int]:
    """Return the users in a snapshot."""
    return set(pq.read_table(file)["user_id"].to_pylist())


def test_the_worker_finishes_an_erasure_that_was_interrupted(
    settings: Settings, jobs: PostgresTrainingJobs, bench_database: str, home: Path
) -> None:
    """An erasure interrupted after its database part is completed by the next idle worker.

    The worker rewrites the snapshots, and trains without the user.
    """
    training = jobs.start({"models": ["bias"]}, None)
    subprocess.run(WORKER, check=True, timeout=120)
    assert jobs.get(training.training_id).status == "succeeded"
    (file,) = (home / "snapshots").glob("[!.]*/ratings.parquet")
    user_id = user_id_of(bench_database, "5")
    assert user_id in user_ids_in(file)
    storage.people(settings).erase("5")
    subprocess.run(WORKER, check=True, timeout=120)
    assert user_id not in user_ids_in(file)
    assert "snapshots_rewritten" in (home / "logs" / "worker.log").read_text()
    assert [(row.status, row.reason) for row in jobs.recent(5)] == [("succeeded", WHY_TRAINED), ("succeeded", None)]


def test_a_training_that_had_read_their_ratings_is_followed_by_one_without_them(
    settings: Settings,
    jobs: PostgresTrainingJobs,
    bench_database: str,
    home: Path,
    stopped_worker: Callable[[], "subprocess.Popen[bytes]"],
) -> None:
    """After two erasures between load and register one more training runs, and its version serves."""
    read_them = jobs.start({"models": ["popular", "ease"]}, None)
    user_ids = {user_id_of(bench_database, name) for name in ("5", "6")}
    process = stopped_worker()
    (read,) = (home / "snapshots").glob("[!.]*/ratings.parquet")
    assert user_ids <= user_ids_in(read)
    for external_id in ("5", "6"):
        assert erase_user(external_id, storage.people(settings).erase, jobs.start, jobs.get).training_id is None
    assert [training.training_id for training in jobs.recent(5)] == [read_them.training_id]
    process.send_signal(signal.SIGCONT)
    assert process.wait(120) == 0
    without_them, with_them = jobs.recent(5)
    assert (with_them.training_id, with_them.status) == (read_them.training_id, "succeeded")
    assert (without_them.status, without_them.reason) == ("succeeded", WHY_TRAINED)
    promoted = storage.promotions(settings).recent(5)
    assert [promotion.training_id for promotion in promoted] == [without_them.training_id, with_them.training_id]
    learned_from = without_them.report["snapshot"]["content_sha256"]
    assert learned_from != with_them.report["snapshot"]["content_sha256"]
    learned = user_ids_in(home / "snapshots" / learned_from / "ratings.parquet")
    assert len(learned) > 100
    assert not user_ids & learned
    assert not user_ids & user_ids_in(read)
    subprocess.run(WORKER, check=True, timeout=120)
    assert len(jobs.recent(5)) == 2


def test_a_training_that_begins_later_is_named(settings: Settings, jobs: PostgresTrainingJobs) -> None:
    """A queued training has read nothing yet and is named as the one without the user."""
    waiting = jobs.start({}, None)
    assert erase_user("5", storage.people(settings).erase, jobs.start, jobs.get).training_id == waiting.training_id
    jobs.cancel(waiting.training_id)
    queued = erase_user("6", storage.people(settings).erase, jobs.start, jobs.get).training_id
    assert queued is not None
    assert (jobs.get(queued).status, jobs.get(queued).reason) == ("queued", WHY_TRAINED)


def test_snapshots_are_rewritten_while_a_training_runs(
    settings: Settings, jobs: PostgresTrainingJobs, bench_database: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker in the middle of a training rewrites the snapshot that this training has read."""
    monkeypatch.setenv("GO_ON", str(home / "go-on"))
    training = jobs.start({"models": ["popular"]}, None)
    user_id = user_id_of(bench_database, "5")
    process = subprocess.Popen([*WORKER, "waiting"])
    try:
        eventually(lambda: bool(list((home / "snapshots").glob("[!.]*/ratings.parquet"))))
        (file,) = (home / "snapshots").glob("[!.]*/ratings.parquet")
        assert user_id in user_ids_in(file)
        assert erase_user("5", storage.people(settings).erase, jobs.start, jobs.get).training_id is None
        eventually(lambda: user_id not in user_ids_in(file))
        assert jobs.get(training.training_id).status == "running"
        (home / "go-on").touch()
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
    assert not any(user_id in user_ids_in(other) for other in (home / "snapshots").glob("[!.]*/ratings.parquet"))


def test_what_serves_has_not_learned_from_them_though_the_gate_lacks_evidence(
    settings: Settings, jobs: PostgresTrainingJobs
) -> None:
    """The owed training puts production's recipe without the user in place, which no evidence is needed for."""
    jobs.start({"models": ["popular", "ease"]}, None)
    subprocess.run(WORKER, check=True, timeout=120)
    before = storage.promotions(settings).newest()
    assert before is not None
    assert storage.erased_after_learning(settings) is None
    subprocess.run([*WORKER, "without_evidence"], check=True, timeout=120)
    assert len(jobs.recent(5)) == 1
    erased = erase_user("5", storage.people(settings).erase, jobs.start, jobs.get)
    assert erased.erased.learned_version == before.version
    assert storage.erased_after_learning(settings) == erased.erased.erased_at
    subprocess.run([*WORKER, "without_evidence"], check=True, timeout=120)
    after = storage.promotions(settings).newest()
    assert after is not None
    assert (after.verdict, after.training_id, after.recipe) == ("REFRESH", erased.training_id, before.recipe)
    assert "may have learned from a user who was erased" in after.reason
    assert "not enough evidence" in after.reason
    assert storage.erased_after_learning(settings) is None
    jobs.start({}, None)
    subprocess.run([*WORKER, "without_evidence"], check=True, timeout=120)
    assert storage.promotions(settings).newest() == after

"""A worker that is killed at any moment leaves a registry and a history that tell the truth."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cineclub import bootstrap, worker
from cineclub.adapters.artifacts import read_artifact
from cineclub.adapters.mlflow.client import connect, store_uri
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.adapters.postgres.promotions import PromotionHistory
from cineclub.settings import Settings
from registry_bench import write_ratings

pytestmark = pytest.mark.faults

MODELS = {"models": ["popular", "ease", "svd"]}
STEPS = [
    "load_ratings",
    "filter_users_and_movies",
    "evaluate_models",
    "grid_search_svd",
    "compare_with_production",
    "register_model",
    "promote_if_better",
]
MOMENTS = [
    "artifact written",
    "version registered",
    "copy in place",
    "alias moved",
    "promotion committed",
    "training finished",
]
ATTEMPTS = {"training finished": {1}, "alias moved": {2, 3}}
"""Else the third succeeds; whoever moves the alias while it reconciles dies before it has claimed the training."""
DYING_WORKER = """
import os, signal, sys
from cineclub import worker
from cineclub.adapters import artifacts
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.postgres.lease import HeldLease
from cineclub.adapters.postgres.promotions import PromotionHistory

fatal = sys.argv[1]

def dies_after(place, name, moment):
    original = getattr(place, name)
    def dying(*args, **kwargs):
        outcome = original(*args, **kwargs)
        if moment == fatal or (name == "report" and args[-1].step == fatal):
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome
    setattr(place, name, dying)

dies_after(HeldLease, "report", None)
dies_after(artifacts, "write_artifact", "artifact written")
dies_after(MlflowRegistry, "register", "version registered")
dies_after(MlflowRegistry, "_bring_home", "copy in place")
dies_after(MlflowRegistry, "_move_alias", "alias moved")
dies_after(PromotionHistory, "record", "promotion committed")
dies_after(HeldLease, "finish", "training finished")
sys.exit(worker.main(["--until-idle"]))
"""


@pytest.fixture
def settings(bench_database: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the workers of a fresh database."""
    monkeypatch.setenv("CINECLUB_DATABASE_URL", bench_database)
    monkeypatch.setenv("CINECLUB_HOME", str(home))
    write_ratings(bench_database)
    return Settings()


@pytest.fixture
def parts(settings: Settings) -> Iterator[worker.WorkerParts]:
    """What the worker after the dead one works with, in this process."""
    holder = bootstrap.worker_name()
    presence = bootstrap.worker_presence(settings)
    yield worker.WorkerParts(
        bootstrap.training_queue(settings, holder),
        presence,
        bootstrap.registry(settings, holder),
        bootstrap.rating_store(settings),
        settings,
    )
    presence.close()


def let_a_worker_die(moment: str) -> None:
    """Run a worker that kills itself at a moment."""
    command = [sys.executable, "-c", DYING_WORKER, moment]
    assert subprocess.run(command, check=False, env=dict(os.environ), timeout=120).returncode == -9


def run_until_idle(parts: worker.WorkerParts) -> None:
    """Let a living worker do what is to be done; the dead one's sessions end within moments."""
    time.sleep(0.5)
    worker.run_worker(parts, worker.StopRequest(), until_idle=True)


def versions(database_url: str) -> list[int]:
    """Return every registered version."""
    found = connect(store_uri(database_url)).search_model_versions("name = 'cineclub'")
    return sorted(int(version.version) for version in found)


def assert_all_agree(database_url: str, home: Path, parts: worker.WorkerParts) -> int:
    """Check that alias, history and local copy name the same version, which loads; return it."""
    promotion = PromotionHistory(database_url).newest()
    production = parts.registry.aliased()
    assert promotion is not None
    assert production is not None
    assert (production.version, production.manifest_sha256) == (promotion.version, promotion.manifest_sha256)
    read_artifact(home / "models" / promotion.artifact_folder, promotion.manifest_sha256)
    return promotion.version


@pytest.mark.parametrize("moment", [*STEPS, *MOMENTS])
def test_two_killed_workers_cost_two_attempts_and_nothing_else(
    moment: str, bench_database: str, home: Path, parts: worker.WorkerParts
) -> None:
    """The third succeeds: one version serves that loads, and the next training succeeds."""
    jobs = PostgresTrainingJobs(bench_database)
    training = jobs.start(MODELS, None)
    for _ in range(1 if moment == "training finished" else 2):
        let_a_worker_die(moment)
        time.sleep(0.5)
    run_until_idle(parts)
    seen = jobs.get(training.training_id)
    assert (seen.status, seen.error) == ("succeeded", None)
    assert seen.attempt in ATTEMPTS.get(moment, {3})
    version = assert_all_agree(bench_database, home, parts)
    assert versions(bench_database) == [version]
    assert seen.report is not None
    assert seen.report["version"] == version
    following = jobs.start(MODELS, None)
    run_until_idle(parts)
    assert jobs.get(following.training_id).status == "succeeded"
    assert assert_all_agree(bench_database, home, parts) > version
    assert not list((home / "unfinished").rglob("manifest.json")) or moment == "artifact written"


def test_a_training_that_kills_every_worker_fails_and_makes_room(
    bench_database: str, home: Path, parts: worker.WorkerParts
) -> None:
    """After the last attempt the cause is in the row, production is as it was, and the next training succeeds."""
    jobs = PostgresTrainingJobs(bench_database)
    training = jobs.start(MODELS, None)
    for _ in range(parts.settings.max_attempts):
        let_a_worker_die("evaluate_models")
        time.sleep(0.5)
    run_until_idle(parts)
    seen = jobs.get(training.training_id)
    assert (seen.status, seen.attempt) == ("failed", parts.settings.max_attempts)
    assert "the worker died 3 times, last in evaluate_models" in (seen.error or "")
    assert PromotionHistory(bench_database).newest() is None
    jobs.start(MODELS, None)
    run_until_idle(parts)
    assert_all_agree(bench_database, home, parts)

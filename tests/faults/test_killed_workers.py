"""Workers killed at any moment leave registry and history consistent."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cineclub.adapters.mlflow.client import connect, store_uri
from cineclub.adapters.model_store import read_artifact
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.bootstrap import storage
from cineclub.processes import worker
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
    "version in MLflow",
    "version registered",
    "copy in place",
    "alias in MLflow",
    "alias moved",
    "promotion committed",
    "training finished",
]
ATTEMPTS = {"training finished": {1}, "version in MLflow": {2}, "alias in MLflow": {2, 3}, "alias moved": {2, 3}}
"""Else the third succeeds; whoever moves the alias while it reconciles dies before it has claimed the training."""
DEATHS = {"training finished": 1, "version in MLflow": 1}
"""Else two; the worker after the first finds the version in MLflow and registers none."""
DYING_WORKER = """
import os, signal, sys
from cineclub.processes import worker
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.model_store import LocalModelStore, store
from cineclub.adapters.postgres.lease import TrainingLease
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.flows.promotion.registration import RegistrationFlow
from cineclub.flows.promotion.flow import PromotionFlow

fatal = sys.argv[1]

def dies_after(place, name, moment):
    original = getattr(place, name)
    def dying(*args, **kwargs):
        outcome = original(*args, **kwargs)
        if moment == fatal or (name == "report" and args[-1].step == fatal):
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome
    setattr(place, name, dying)

dies_after(TrainingLease, "report", None)
dies_after(store, "write_artifact", "artifact written")
dies_after(MlflowRegistry, "register", "version in MLflow")
dies_after(RegistrationFlow, "register", "version registered")
dies_after(LocalModelStore, "bring_home", "copy in place")
dies_after(MlflowRegistry, "move_alias", "alias in MLflow")
dies_after(PromotionFlow, "_move_alias", "alias moved")
dies_after(PostgresPromotions, "record", "promotion committed")
dies_after(TrainingLease, "finish", "training finished")
sys.exit(worker.main(["--until-idle"]))
"""


@pytest.fixture
def settings(bench_database: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the workers, with a fresh database."""
    monkeypatch.setenv("CINECLUB_DATABASE_URL", bench_database)
    monkeypatch.setenv("CINECLUB_HOME", str(home))
    write_ratings(bench_database)
    return Settings()


@pytest.fixture
def parts(settings: Settings) -> Iterator[worker.WorkerParts]:
    """The parts of the worker that follows the killed one, in this process."""
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


def let_a_worker_die(moment: str) -> None:
    """Run a worker that kills itself at a given moment."""
    command = [sys.executable, "-c", DYING_WORKER, moment]
    assert subprocess.run(command, check=False, env=dict(os.environ), timeout=120).returncode == -9


def run_until_idle(parts: worker.WorkerParts) -> None:
    """Run the queued trainings in a worker, once the killed one's sessions have ended."""
    time.sleep(0.5)
    worker.run_worker(parts, worker.StopRequest(), until_idle=True)


def versions(database_url: str) -> list[int]:
    """Return every registered version."""
    mlflow_versions = connect(store_uri(database_url)).search_model_versions("name = 'cineclub'")
    return sorted(int(version.version) for version in mlflow_versions)


def assert_all_agree(database_url: str, home: Path, parts: worker.WorkerParts) -> int:
    """Check that alias, history and local copy name the same version, which loads; return it."""
    promotion = PostgresPromotions(database_url).newest()
    production = parts.promotion.versions.registry.aliased()
    assert promotion is not None
    assert production is not None
    assert (production.version, production.manifest_sha256) == (promotion.version, promotion.manifest_sha256)
    read_artifact(home / "models" / promotion.artifact_folder, promotion.manifest_sha256)
    return promotion.version


@pytest.mark.parametrize("moment", [*STEPS, *MOMENTS])
def test_two_killed_workers_cost_two_attempts_and_nothing_else(
    moment: str, bench_database: str, home: Path, parts: worker.WorkerParts
) -> None:
    """The third attempt succeeds: one version serves and loads, and the next training succeeds."""
    jobs = PostgresTrainingJobs(bench_database)
    training = jobs.start(MODELS, None)
    for _ in range(DEATHS.get(moment, 2)):
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
    assert not list((home / "unfinished").rglob("manifest.json")) or moment in ("artifact written", "version in MLflow")


def test_a_training_that_kills_every_worker_fails_and_makes_room(
    bench_database: str, home: Path, parts: worker.WorkerParts
) -> None:
    """After the last attempt the row has the cause, production stays, and the next training succeeds."""
    jobs = PostgresTrainingJobs(bench_database)
    training = jobs.start(MODELS, None)
    for _ in range(parts.settings.max_attempts):
        let_a_worker_die("evaluate_models")
        time.sleep(0.5)
    run_until_idle(parts)
    seen = jobs.get(training.training_id)
    assert (seen.status, seen.attempt) == ("failed", parts.settings.max_attempts)
    assert "the worker died 3 times, last in evaluate_models" in (seen.error or "")
    assert PostgresPromotions(bench_database).newest() is None
    jobs.start(MODELS, None)
    run_until_idle(parts)
    assert_all_agree(bench_database, home, parts)

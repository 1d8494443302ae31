"""The next training does not promote what probation rolled back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cineclub.bootstrap import storage
from cineclub.bootstrap.online_comparison import recent_rollbacks
from cineclub.settings import Settings
from registry_bench import write_ratings


@pytest.fixture
def settings(bench_database: str, home: Path) -> Settings:
    """The settings of a home with ratings."""
    write_ratings(bench_database)
    return Settings(home=home, database_url=bench_database)


def trained(settings: Settings, *models: str) -> str:
    """Run a training of these models in a worker process, and return verdict and reason."""
    jobs = storage.training_jobs(settings)
    training = jobs.start({"models": list(models)}, None)
    ours = {"CINECLUB_DATABASE_URL": storage.database_url(settings), "CINECLUB_HOME": str(settings.home)}
    command = [sys.executable, "-m", "cineclub.processes.worker", "--until-idle"]
    subprocess.run(command, env={**os.environ, **ours}, check=True, timeout=120)
    report = jobs.get(training.training_id).report
    assert report is not None, jobs.get(training.training_id).error
    return f"{report['decision']['verdict']}: {report['decision']['reason']}"


def test_the_next_training_holds_what_was_rolled_back(settings: Settings) -> None:
    """The training finds the same recipe better, holds it with the reason, and leaves production to a person."""
    history = storage.promotions(settings)
    trained(settings, "popular")
    assert trained(settings, "ease").startswith("PROMOTE: ease")
    promoted = history.recent(1)[0]
    storage.promotion_flow(settings).end_probation(promoted.promotion_id, "probation: worse")
    assert history.recent(1)[0].recipe.model == "popular"
    held = trained(settings, "ease")
    assert held.startswith(f"HOLD: ease was rolled back by probation (version {promoted.version}")
    assert "the gate's own verdict was PROMOTE" in held
    assert history.recent(1)[0].recipe.model == "popular"
    storage.promotion_flow(settings).promote(promoted.version, "it was the holidays")
    assert recent_rollbacks(settings) == ()

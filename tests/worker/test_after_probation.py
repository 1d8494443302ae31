"""What probation rolled back is not promoted again by the next training on the same ratings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cineclub import bootstrap
from cineclub.settings import Settings
from registry_bench import write_ratings


@pytest.fixture
def settings(bench_database: str, home: Path) -> Settings:
    """The settings of a home with ratings."""
    write_ratings(bench_database)
    return Settings(home=home, database_url=bench_database)


def trained(settings: Settings, *models: str) -> str:
    """Run a training of these models in a worker process, and return its report's verdict with the reason."""
    jobs = bootstrap.training_jobs(settings)
    training = jobs.start({"models": list(models)}, None)
    ours = {"CINECLUB_DATABASE_URL": bootstrap.database_url(settings), "CINECLUB_HOME": str(settings.home)}
    command = [sys.executable, "-m", "cineclub.worker", "--until-idle"]
    subprocess.run(command, env={**os.environ, **ours}, check=True, timeout=120)
    report = jobs.get(training.training_id).report
    assert report is not None, jobs.get(training.training_id).error
    return f"{report['decision']['verdict']}: {report['decision']['reason']}"


def test_the_next_training_holds_what_was_rolled_back(settings: Settings) -> None:
    """It finds the same recipe better on the same ratings, says so, and changes nothing until a person does."""
    history = bootstrap.promotions(settings)
    trained(settings, "popular")
    assert trained(settings, "ease").startswith("PROMOTE: ease")
    promoted = history.recent(1)[0]
    bootstrap.end_probation(settings, promoted.promotion_id, "probation: worse")
    assert history.recent(1)[0].recipe.model == "popular"
    held = trained(settings, "ease")
    assert held.startswith(f"HOLD: ease was rolled back by probation (version {promoted.version}")
    assert "the gate's own verdict was PROMOTE" in held
    assert history.recent(1)[0].recipe.model == "popular"
    bootstrap.promote_by_person(settings, promoted.version, "it was the holidays")
    assert bootstrap.setbacks(settings) == ()

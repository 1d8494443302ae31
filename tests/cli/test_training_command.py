"""The command `cineclub train` without ratings, and its report in words."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import cineclub
from rich.console import Console

from cineclub.bootstrap import storage
from cineclub.cli.training import print_outcome
from cineclub.settings import Settings

REPORT = json.loads((Path(__file__).parents[1] / "frozen" / "data" / "report.json").read_text("utf-8"))


def test_training_without_ratings_fails_with_a_sentence(connected: Settings) -> None:
    """The command runs its own worker, exits with 1, names what is missing, and promotes nothing."""
    shown = cineclub(connected.home, "train", "--json")
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert "cineclub import" in shown.stderr
    assert "Traceback" not in shown.stderr
    jobs = storage.training_jobs(connected)
    assert [training.status for training in jobs.recent(10)] == ["failed"]
    assert not jobs.is_worker_alive()
    assert storage.promotions(connected).newest() is None


def test_an_unknown_model_is_refused_before_anything_is_queued(connected: Settings) -> None:
    """The message lists the models."""
    jobs = storage.training_jobs(connected)
    before = jobs.recent(10)
    shown = cineclub(connected.home, "train", "--models", "ease,nonsense")
    assert shown.returncode == 1
    assert "nonsense" in shown.stderr
    assert "ease" in shown.stderr
    assert jobs.recent(10) == before


def test_recommending_without_ratings_says_what_to_do(connected: Settings) -> None:
    """Without ratings the command says what to do instead of printing an empty table."""
    shown = cineclub(connected.home, "recommend", "42", "--json")
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert "import" in shown.stderr


def test_models_says_when_there_is_none(connected: Settings) -> None:
    """An empty registry gives a sentence with the next step, and no error."""
    shown = cineclub(connected.home, "models")
    assert (shown.returncode, shown.stdout, shown.stderr) == (
        0,
        "no version was registered yet: run cineclub train\n",
        "",
    )


@pytest.mark.parametrize(
    ("interval", "numbers", "words"),
    [
        ({}, {}, None),
        ({"n_movies": 340, "n_days": 12}, {"users_for_certainty": None}, "evidence: 223 users, 340 films, 12 days\n"),
        (
            {"n_movies": 340, "n_days": 12},
            {"users_for_certainty": 1100.0, "days_for_certainty": 60.0},
            "340 films, 12 days; certain at this difference with about 1,100 users over 60 days\n",
        ),
    ],
)
def test_the_outcome_says_what_it_rests_on_and_what_would_make_it_certain(
    interval: dict[str, Any], numbers: dict[str, Any], words: str | None
) -> None:
    """A report of an earlier release has no such line, a certain decision no number."""
    verdict = REPORT["challenger_verdict"]
    verdict = {"interval": verdict["interval"] | interval, "numbers": verdict["numbers"] | numbers}
    text = io.StringIO()
    without_tables = {window: {"models": []} for window in ("validation", "test")}
    print_outcome(REPORT | without_tables | {"challenger_verdict": verdict}, Console(file=text, width=120))
    assert ("evidence:" in text.getvalue()) == (words is not None)
    assert words is None or words in text.getvalue()


def test_a_trend_in_a_table_has_its_half_life() -> None:
    """Popular of the last days is told from popular of all time and of a window; a second recipe is the tuned one."""
    row = REPORT["test"]["models"][0] | {"model": "popular"}
    recipes = [{"half_life_days": 0.0}, {"half_life_days": 7.0}, {"window_days": 30.0}, {"half_life_days": 7.0}]
    text = io.StringIO()
    report = REPORT | {"test": REPORT["test"] | {"models": [row | {"hyperparameters": recipe} for recipe in recipes]}}
    print_outcome(report, Console(file=text, width=120))
    names = ("popular, all time", "popular, 7 days ", "popular, last 30 days", "popular, 7 days, tuned")
    assert [name for name in names if name not in text.getvalue()] == []

"""Evaluation of models on given ratings: a reproducible scoreboard for programs."""

import json
from typing import Any

import pytest
from tastes import log_of_tastes

from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.domain.evaluation import plan as training_plan
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.flows import evaluation
from cineclub.flows.evaluation import EvaluationReport, evaluate_ratings


def numbers_of(evaluation: EvaluationReport) -> list[dict[str, Any]]:
    """Return the scoreboard without figures of the machine."""
    measured = {"fit_seconds", "answer_seconds", "peak_memory_bytes"}
    return [{name: row[name] for name in row if name not in measured} for row in evaluation.to_json()["models"]]


@pytest.mark.parametrize("split", ["time", "random", "last-out"])
def test_a_model_of_tastes_beats_popular_on_every_split(split: str) -> None:
    """On ratings with tastes a personal model ranks better than Popular."""
    rows = evaluate_ratings(log_of_tastes(), ("popular", "ease"), split, 0.2, 0).to_json()["models"]
    popular, ease = (row["metrics"]["ndcg_at_10"] for row in rows)
    assert ease > popular


def test_the_same_seed_gives_the_same_numbers() -> None:
    """Two evaluations of all models are equal, and the document is strict JSON."""
    first, second = (evaluate_ratings(log_of_tastes(), (), "random", 0.2, 7) for _ in range(2))
    assert numbers_of(first) == numbers_of(second)
    assert json.loads(json.dumps(first.to_json(), allow_nan=False))["split"] == "random"


def test_progress_goes_from_the_first_to_the_last_model() -> None:
    """Progress names the current model and rises."""
    seen = []
    evaluate_ratings(
        log_of_tastes(),
        ("popular", "ease"),
        "time",
        0.2,
        0,
        lambda recipe, fraction: seen.append((recipe.model, fraction)),
    )
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert {model for model, _ in seen} == {"popular", "ease"}


def test_an_unknown_model_is_refused() -> None:
    """The message names the unknown model."""
    with pytest.raises(InvalidInput, match="oracle"):
        evaluate_ratings(log_of_tastes(), ("oracle",), "time", 0.2, 0)


def test_too_few_ratings_are_refused_with_what_to_do() -> None:
    """The message names the limits that leave no ratings."""
    with pytest.raises(NotEnoughData, match="min_ratings_per_user"):
        evaluate_ratings(log_of_tastes(), (), "time", 0.2, 0, plan=TrainingPlan(min_ratings_per_user=1000))


def test_grids_are_searched_within_what_may_be_learned_from() -> None:
    """With search on, a second recipe of each model with a grid is evaluated, and the points are in the document."""
    document = evaluate_ratings(log_of_tastes(), ("bias", "ease"), "time", 0.2, 0, searched="halving").to_json()
    assert [row["model"] for row in document["models"]] in (["bias", "ease"], ["bias", "ease", "ease"])
    assert {row["model"] for row in document["grid"]} == {"ease"}
    assert {left["recipe"]["model"] for left in document["left_out"]} == {"ease"}


def test_by_default_no_grid_is_searched_on_few_ratings() -> None:
    """Few ratings are evaluated with default recipes; search can be switched off for many ratings too."""
    for searched in ("auto", "none"):
        document = evaluate_ratings(log_of_tastes(), ("ease", "svd"), "time", 0.2, 0, searched=searched).to_json()
        assert [row["model"] for row in document["models"]] == ["ease", "svd"]
        assert not document["grid"]


def test_many_ratings_are_evaluated_by_the_plan_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit slow models are tried, SVD is tuned, and a sample of users is evaluated."""
    for module in (evaluation, training_plan):
        monkeypatch.setattr(module, "MANY_RATINGS", 100)
    monkeypatch.setattr(training_plan, "MODELS_FOR_MANY_RATINGS", ("popular", "svd"))
    monkeypatch.setattr(training_plan, "SEARCHED_SHARE_OF_MANY", 0.5)
    plan = TrainingPlan(max_judged_users=10)
    document = evaluate_ratings(log_of_tastes(), (), "time", 0.2, 0, plan=plan).to_json()
    assert [row["model"] for row in document["models"]][:2] == ["popular", "svd"]
    assert {row["model"] for row in document["grid"]} == {"svd"}
    assert max(row["n_judged_users"] for row in document["models"]) <= 10

"""Differences of two evaluations by metric, with intervals."""

from dataclasses import replace

import numpy as np
import pytest

from cineclub.domain.evaluation.evaluate import RANKING_METRICS, Evaluation
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.promotion.evidence import compare
from cineclub.domain.promotion.version_comparison import MetricDifference, metric_differences
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.recommend.recipe import Recipe

N_PEOPLE = 300
PLAN = TrainingPlan(n_resamples=4000, gates_a_month=1)


def evaluation(seed: int, model: str = "bias", error: float = 1.0) -> Evaluation:
    """Return an evaluation of users of two windows, with random rating errors of a size."""
    rng = np.random.default_rng(seed)
    n_rows = 2 * N_PEOPLE
    n_predicted = np.random.default_rng(0).integers(1, 30, n_rows)
    squared = error**2 * n_predicted * rng.gamma(4, 0.25, n_rows)
    return Evaluation(
        recipe=Recipe(model),
        top_k=10,
        scale=RatingScale(0.5, 5.0),
        n_movies=50,
        user_ids=np.tile(np.arange(N_PEOPLE), 2),
        n_known=np.random.default_rng(1).integers(0, 40, n_rows),
        recommended=rng.integers(0, 50, (n_rows, 10)),
        per_user={name: rng.random(n_rows) for name in RANKING_METRICS},
        novelty_bits=rng.random(n_rows),
        squared_errors=squared,
        absolute_errors=np.sqrt(squared * n_predicted) * 0.8,
        n_predicted=n_predicted,
    )


def walked(seed: int, model: str = "bias", error: float = 1.0) -> Evaluation:
    """Return an evaluation of judged ratings of 40 movies on nine days."""
    rng = np.random.default_rng(3)
    rows = {"movie_ids": rng.integers(0, 40, 2 * N_PEOPLE), "days": rng.integers(0, 9, 2 * N_PEOPLE)}
    return replace(evaluation(seed, model, error), **rows)


def of(metrics: tuple[MetricDifference, ...], name: str) -> MetricDifference:
    """Return a metric by name."""
    return next(metric for metric in metrics if metric.name == name)


def test_each_difference_is_second_minus_first_and_lies_in_its_interval() -> None:
    """Every metric of the evaluations has a difference and an interval, except coverage, which has no interval."""
    first, second = evaluation(1), evaluation(2, "knn", 1.1)
    differences = metric_differences(first, second, PLAN)
    ours, theirs = first.metrics(), second.metrics()
    for name in ours:
        difference = of(differences, name)
        assert difference.difference == pytest.approx(theirs[name] - ours[name])
        assert np.isnan(difference.low) == (name == "coverage_at_10")
        assert np.isnan(difference.low) or difference.low < difference.difference < difference.high
    assert {difference_of_metric.name for difference_of_metric in differences} - set(ours) == {
        "ndcg_at_10 of 0",
        "ndcg_at_10 of 1-4",
        "ndcg_at_10 of 5-19",
        "ndcg_at_10 of 20+",
    }


def test_the_interval_of_the_rating_error_is_that_of_resampled_people() -> None:
    """The interval equals that of resampled users within a tenth of its width."""
    first, second = evaluation(1), evaluation(2, "knn", 1.1)
    differences = metric_differences(first, second, PLAN)
    rng = np.random.default_rng(5)
    weights = np.array([np.bincount(rng.integers(N_PEOPLE, size=N_PEOPLE), minlength=N_PEOPLE) for _ in range(4000)])
    rows = np.tile(weights, 2)
    counts = rows @ first.n_predicted
    resampled = {
        "rmse": np.sqrt(rows @ second.squared_errors / counts) - np.sqrt(rows @ first.squared_errors / counts),
        "mae": rows @ second.absolute_errors / counts - rows @ first.absolute_errors / counts,
    }
    for name, values in resampled.items():
        low, high = np.quantile(values, [0.025, 0.975])
        difference = of(differences, name)
        assert (difference.low, difference.high) == pytest.approx((low, high), abs=(high - low) / 10)


def test_a_model_without_stars_has_no_rating_error_to_compare() -> None:
    """Without stars the side of the model and the difference are missing."""
    silent = replace(evaluation(1, "ease"), n_predicted=np.zeros(2 * N_PEOPLE, np.int64))
    rmse = of(metric_differences(silent, evaluation(2), PLAN), "rmse")
    assert np.isnan([rmse.first, rmse.difference, rmse.low, rmse.high]).all()
    assert rmse.second == evaluation(2).rmse


def test_two_equal_evaluations_differ_in_nothing() -> None:
    """All differences and interval ends are zero; there is nobody without history."""
    board = evaluation(1)
    differences = [metric for metric in metric_differences(board, board, PLAN) if metric.name != "ndcg_at_10 of 0"]
    assert {metric.difference for metric in differences} == {0}
    assert [metric.name for metric in differences if np.isnan(metric.low)] == ["coverage_at_10"]
    assert {(metric.low, metric.high) for metric in differences if metric.name != "coverage_at_10"} == {(0, 0)}


def test_rows_of_a_walk_in_time_have_the_gates_interval_and_no_metric_is_without() -> None:
    """Differences are those of the metrics, over users and over likes, and the interval allows for movies and days."""
    first, second = walked(1), walked(2, "knn", 1.1)
    differences = metric_differences(first, second, PLAN)
    ours, theirs = first.metrics(), second.metrics()
    for name in ours:
        difference = of(differences, name)
        assert difference.difference == pytest.approx(theirs[name] - ours[name])
        assert np.isnan(difference.low) == (name == "coverage_at_10")
    gate = compare(second, first, PLAN, np.random.default_rng(0))
    ndcg = of(differences, "ndcg_at_10")
    assert (ndcg.difference, ndcg.low, ndcg.high) == (gate.mean, gate.low, gate.high)


def test_rows_of_one_day_have_differences_without_intervals() -> None:
    """Nothing tells how another day would differ, and no infinite end is shown."""
    first, second = (replace(walked(seed), days=np.full(2 * N_PEOPLE, 5)) for seed in (1, 2))
    ndcg = of(metric_differences(first, second, PLAN), "ndcg_at_10")
    assert np.isfinite(ndcg.difference)
    assert np.isnan([ndcg.low, ndcg.high]).all()

"""Metric by metric: the difference of two judgements, and how sure it is."""

from dataclasses import replace

import numpy as np
import pytest

from cineclub.domain.comparison import MetricDifference, metric_differences
from cineclub.domain.evaluation import RANKING_METRICS, Judgement
from cineclub.domain.ratings import RatingScale
from cineclub.domain.recipe import Recipe
from cineclub.domain.training_plan import TrainingPlan

N_PEOPLE = 300
PLAN = TrainingPlan(n_resamples=4000, gates_a_month=1)


def judgement(seed: int, model: str = "bias", error: float = 1.0) -> Judgement:
    """People of two windows each, with rating errors of some size that differ from person to person."""
    rng = np.random.default_rng(seed)
    n_rows = 2 * N_PEOPLE
    n_predicted = np.random.default_rng(0).integers(1, 30, n_rows)
    squared = error**2 * n_predicted * rng.gamma(4, 0.25, n_rows)
    return Judgement(
        recipe=Recipe(model),
        top_k=10,
        scale=RatingScale(0.5, 5.0),
        n_movies=50,
        user_ids=np.tile(np.arange(N_PEOPLE), 2),
        n_known=np.random.default_rng(1).integers(1, 40, n_rows),
        recommended=rng.integers(0, 50, (n_rows, 10)),
        per_user={name: rng.random(n_rows) for name in RANKING_METRICS},
        novelty_bits=rng.random(n_rows),
        squared_errors=squared,
        absolute_errors=np.sqrt(squared * n_predicted) * 0.8,
        n_predicted=n_predicted,
    )


def of(metrics: tuple[MetricDifference, ...], name: str) -> MetricDifference:
    """One metric by its name."""
    return next(one for one in metrics if one.name == name)


def test_each_difference_is_second_minus_first_and_lies_in_its_interval() -> None:
    """Every metric of the judgements is there; coverage alone has no interval."""
    first, second = judgement(1), judgement(2, "knn", 1.1)
    found = metric_differences(first, second, PLAN)
    ours, theirs = first.metrics(), second.metrics()
    for name in ours:
        one = of(found, name)
        assert one.difference == pytest.approx(theirs[name] - ours[name])
        assert np.isnan(one.low) == (name == "coverage_at_10")
        assert np.isnan(one.low) or one.low < one.difference < one.high
    assert {one.name for one in found} - set(ours) == {"ndcg_at_10 of 1-4", "ndcg_at_10 of 5-19", "ndcg_at_10 of 20+"}


def test_the_interval_of_the_rating_error_is_that_of_resampled_people() -> None:
    """Drawing whole people again and computing both errors anew gives the same ends, to a tenth of the width."""
    first, second = judgement(1), judgement(2, "knn", 1.1)
    found = metric_differences(first, second, PLAN)
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
        one = of(found, name)
        assert (one.low, one.high) == pytest.approx((low, high), abs=(high - low) / 10)


def test_a_model_without_stars_has_no_rating_error_to_compare() -> None:
    """Its side and the difference are missing, the other side is there."""
    silent = replace(judgement(1, "ease"), n_predicted=np.zeros(2 * N_PEOPLE, np.int64))
    rmse = of(metric_differences(silent, judgement(2), PLAN), "rmse")
    assert np.isnan([rmse.first, rmse.difference, rmse.low, rmse.high]).all()
    assert rmse.second == judgement(2).rmse


def test_two_equal_judgements_differ_in_nothing() -> None:
    """All differences and the ends of their intervals are nought."""
    one = judgement(1)
    for metric in metric_differences(one, one, PLAN):
        assert metric.difference == 0
        assert np.isnan(metric.low) or (metric.low, metric.high) == (0, 0)

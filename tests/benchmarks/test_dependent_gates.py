"""The gate on simulated walks in time whose luck is shared: noise is not promoted, where people alone would be."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cineclub.domain.evaluation.plan import TrainingPlan

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from dependent_gates import World, has_false_promotion, is_certain, is_promoted_over, serves_first, walk

PLAN = TrainingPlan(n_resamples=600)
SHARED = World("films and days", 1.0, 0.5, 0.3)
FILMS_OF_THE_WEEK = World("as on MovieTweetings", 2.0, 0.3, 0.3, people_a_day=120)
FEW_PEOPLE = replace(SHARED, people_a_day=8)
LARGEST = "and all at once"


@pytest.mark.parametrize("world", [SHARED, FILMS_OF_THE_WEEK, replace(SHARED, n_days=3)])
def test_of_equal_pairs_people_alone_promote_noise_and_the_gate_does_not(world: World) -> None:
    """Of 300 gates on luck shared by film and day one in thirty is wrong by people alone, one in a hundred by all."""
    rng = np.random.default_rng(3)
    promoted = [is_certain(walk(rng, world), PLAN) for _ in range(300)]
    assert np.mean([each["people"] for each in promoted]) >= 0.03
    assert np.mean([each[LARGEST] for each in promoted]) <= 0.01


def test_where_nothing_is_shared_a_lift_is_found() -> None:
    """The wider interval still finds a lift of 0.05 with 200 users, in four of five gates, and 0.03 with 860."""
    rng, alone = np.random.default_rng(3), World("nothing is shared", 0.0, 0.0, 0.3)
    for people_a_day, lift in ((14, 0.08), (60, 0.04)):
        world = replace(alone, people_a_day=people_a_day)
        promoted = [is_promoted_over(walk(rng, world, lift=lift), PLAN, rng) for _ in range(60)]
        assert np.mean(promoted) >= 0.8


def test_a_month_of_nightly_gates_keeps_its_promise_where_people_alone_do_not() -> None:
    """Over 30 gates with a challenger and five trends, luck shared; `make bench-gate` has more worlds and months."""
    rng = np.random.default_rng(5)
    months = [has_false_promotion(rng, FEW_PEOPLE, PLAN) for _ in range(12)]
    assert np.mean([month[LARGEST] for month in months]) < 0.1
    assert sum(month["people"] for month in months) > sum(month[LARGEST] for month in months)


@pytest.mark.parametrize(("difference", "least", "most"), [(-0.04, 0.0, 0.02), (0.0, 0.02, 0.4), (0.03, 0.5, 1.0)])
def test_a_first_model_serves_more_often_the_better_it_is(difference: float, least: float, most: float) -> None:
    """With 200 users and a floor of nDCG 0.10: a loss of two fifths hardly ever serves, a gain of a third mostly."""
    rng, world = np.random.default_rng(4), replace(SHARED, people_a_day=14)
    share = np.mean([serves_first(walk(rng, world, lift=difference), PLAN, rng) for _ in range(100)])
    assert least <= share <= most

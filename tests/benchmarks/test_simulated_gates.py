"""The gate on simulated people: noise is not promoted, a true lift is."""

import sys
from pathlib import Path

import numpy as np
import pytest

from cineclub.domain.evaluation.plan import TrainingPlan

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from simulated_gates import is_any_of_a_month_promoted, is_promoted, people

PLAN = TrainingPlan()
N_PAIRS = 500


@pytest.mark.parametrize("n_users", [50, 200, 1000])
def test_of_500_equal_pairs_at_most_one_in_twenty_is_promoted(n_users: int) -> None:
    """An equal recipe goes live by noise in 5 % of the gates at most, with zero-inflated nDCG."""
    rng = np.random.default_rng(n_users)
    promoted = [is_promoted(people(rng, n_users), PLAN, rng) for _ in range(N_PAIRS)]
    assert np.mean(promoted) <= 0.05


@pytest.mark.parametrize(("n_users", "lift"), [(200, 0.07), (1000, 0.03)])
def test_a_true_lift_is_found_in_four_of_five_gates(n_users: int, lift: float) -> None:
    """The power at the effects that the documentation states is 80 % at least."""
    rng = np.random.default_rng(n_users)
    promoted = [is_promoted(people(rng, n_users, lift), PLAN, rng) for _ in range(200)]
    assert np.mean(promoted) >= 0.8


@pytest.mark.parametrize("n_users", [50, 200])
def test_a_month_of_nightly_gates_promotes_an_equal_in_less_than_a_tenth(n_users: int) -> None:
    """Over 30 gates on overlapping windows; `make bench-gate` has 1,000 people too."""
    rng = np.random.default_rng(n_users)
    assert np.mean([is_any_of_a_month_promoted(rng, n_users, PLAN) for _ in range(120)]) < 0.1

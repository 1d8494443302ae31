"""The bootstrap is seeded, mirrored by a swap, and covers what it says it covers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain import significance
from cineclub.domain.significance import paired_bootstrap

differences = st.lists(st.floats(-1, 1), min_size=1, max_size=40).map(lambda values: np.array(values, np.float64))


@given(differences)
def test_swapping_the_models_mirrors_the_interval_exactly(values: np.ndarray) -> None:
    """Challenger minus production and production minus challenger are one interval with two signs."""
    one = paired_bootstrap(values, np.random.default_rng(3), 200)
    other = paired_bootstrap(-values, np.random.default_rng(3), 200)
    assert (one.low, one.mean, one.high) == (-other.high, -other.mean, -other.low)


@given(differences)
def test_the_same_seed_gives_the_same_interval(values: np.ndarray) -> None:
    """The interval depends on the generator's state alone, and its ends are in order."""
    one, other = (paired_bootstrap(values, np.random.default_rng(3), 200) for _ in range(2))
    assert one == other
    assert one.low <= one.high


def test_drawing_in_pieces_gives_the_same_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bounded number of draws at a time does not change the interval."""
    values = np.random.default_rng(0).normal(size=50)
    whole = paired_bootstrap(values, np.random.default_rng(1), 300)
    monkeypatch.setattr(significance, "MAX_DRAWS_AT_ONCE", 50 * 7)
    assert paired_bootstrap(values, np.random.default_rng(1), 300) == whole


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    """Of 300 samples with a true difference of 0.1, 95 % intervals hold it in 91 to 98 %."""
    rng = np.random.default_rng(5)
    intervals = [paired_bootstrap(rng.normal(0.1, 1, size=80), rng, 400) for _ in range(300)]
    covered = np.mean([one.low <= 0.1 <= one.high for one in intervals])
    assert 0.91 <= covered <= 0.98


def test_nobody_to_judge_gives_no_interval() -> None:
    """Without users every number is NaN."""
    assert np.isnan(paired_bootstrap(np.empty(0), np.random.default_rng(0)).low)

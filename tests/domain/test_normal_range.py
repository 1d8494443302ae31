"""What is normal is learned from earlier windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import t

from cineclub.domain.normal_range import (
    MIN_WINDOWS,
    distance,
    farthest_normal,
    range_of_figures,
    range_of_shares,
    range_of_volumes,
    t_quantile,
    without_each,
    without_odd_one,
)


@pytest.mark.parametrize("degrees", [3, 5, 10, 25, 100])
def test_the_quantile_is_students(degrees: int) -> None:
    """The expansion is within a fifth of the true value with three degrees of freedom, and close from ten on."""
    assert t_quantile(0.0005, degrees) == pytest.approx(t.isf(0.0005, degrees), rel=0.2 if degrees < 10 else 0.002)


def test_a_next_figure_lies_in_the_range_as_often_as_promised() -> None:
    """Of 4,000 ranges of normal figures about one in a thousand misses the next one."""
    rng = np.random.default_rng(0)
    missed = 0
    for figures in rng.normal(10, 1, (4000, 13)):
        normal = range_of_figures(figures[:-1].tolist(), 0.01)
        missed += not normal.low <= figures[-1] <= normal.high
    assert missed <= 12


def test_less_data_is_allowed_more() -> None:
    """A figure of a quarter of the data is twice as noisy, and the range nearly twice as wide."""
    figures = [1.0, 2.0, 1.5, 1.2, 1.8]
    usual, noisy = range_of_figures(figures, 0.01), range_of_figures(figures, 0.01, noise=2.0)
    assert 1.5 < (noisy.high - noisy.low) / (usual.high - usual.low) < 2


@given(st.lists(st.floats(0, 1), min_size=MIN_WINDOWS, max_size=26))
def test_a_share_of_one_side_mirrors_that_of_the_other(shares: list[float]) -> None:
    """What is normal for the rest is the rest of what is normal, and the windows themselves lie around the middle."""
    normal, rest = range_of_shares(shares), range_of_shares([1 - one for one in shares])
    assert 0 <= normal.low <= normal.high <= 1
    assert (rest.low, rest.high) == (pytest.approx(1 - normal.high), pytest.approx(1 - normal.low))
    assert normal.low <= max(shares)
    assert normal.high >= min(shares)


def test_a_rare_share_may_double_but_not_vanish() -> None:
    """Skewed shares seldom lie beyond their range, and a collapse does, which a range around the mean never sees."""
    rng = np.random.default_rng(3)
    odds = rng.normal(np.log(0.06), 0.3, (2000, 25))
    shares = 1 / (1 + np.exp(-odds))
    of_shares = [range_of_shares(row[:-1].tolist()) for row in shares]
    of_figures = [range_of_figures(row[:-1].tolist(), 0.001) for row in shares]
    beyond = [
        np.mean([not one.low <= row[-1] <= one.high for one, row in zip(ranges, shares, strict=True)])
        for ranges in (of_shares, of_figures)
    ]
    assert beyond[0] <= 0.003 < beyond[1]
    assert all(one.low > 0.005 for one in of_shares)
    assert np.mean([one.low < 0 for one in of_figures]) > 0.5


def test_one_spoilt_window_does_not_make_the_next_one_look_normal() -> None:
    """It is left out, at most one is, and never so that too few stay."""
    usual = [3.5, 3.6, 3.4, 3.55, 3.45, 3.52]
    clean, spoilt = range_of_figures(usual, 0.01), range_of_figures([*usual, 1.8], 0.01)
    assert (spoilt.low, spoilt.high) == (clean.low, clean.high)
    shifted = range_of_figures([*usual, 1.8, 1.9], 0.01)
    assert shifted.low < 1.8
    assert range_of_figures([3.5, 3.6, 3.4, 1.8], 0.01).low < 1.8


def test_sound_windows_are_seldom_left_out() -> None:
    """Of 4,000 sets of normal figures about one in a thousand loses its most distant."""
    rng = np.random.default_rng(5)
    lost = sum(len(without_odd_one(values, 0.01)) < 12 for values in rng.normal(10, 1, (4000, 12)))
    assert lost <= 12


def test_volumes_follow_their_trend() -> None:
    """Ten percent more a week put the next week in the range, also some weeks later, and half of it out of it."""
    volumes = [100 * 1.1**nth for nth in range(12)]
    for at in (12, 15):
        normal = range_of_volumes(volumes, list(range(12)), at)
        assert normal.low < 100 * 1.1**at < normal.high
    assert range_of_volumes([100.0] * 12, list(range(12)), 12).low == pytest.approx(50)
    assert range_of_volumes([100.0] * 12, list(range(12)), 12).high == pytest.approx(300)


def test_the_distance_is_jensen_shannons() -> None:
    """The same as SciPy's with base 2; equal distributions are at 0, disjoint ones at 1."""
    rng = np.random.default_rng(1)
    one, other = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(8))
    assert distance(one, other) == pytest.approx(jensenshannon(one, other, base=2))
    assert distance(one, one) == 0
    assert distance(np.array([1.0, 0]), np.array([0, 1.0])) == 1


def test_the_others_of_each_window() -> None:
    """The weighted mean of all others, also of tables."""
    shares, weights = np.array([[1.0, 0], [0, 1.0], [0.5, 0.5]]), np.array([1.0, 1.0, 2.0])
    assert without_each(shares, weights) == pytest.approx(np.array([[1 / 3, 2 / 3], [2 / 3, 1 / 3], [0.5, 0.5]]))
    assert without_each(shares[:, :, None], weights).shape == (3, 2, 1)


def test_a_distance_beyond_the_usual_ones_is_not_normal() -> None:
    """The bound lies above what was seen, and never under what nobody would call a change."""
    usual = [0.1, 0.11, 0.09, 0.105, 0.1, 0.095]
    assert max(usual) < farthest_normal(usual) < 0.2
    assert farthest_normal([0.001] * 6) == 0.05
    assert farthest_normal([0.9, 0.95, 0.2, 0.8]) == 1

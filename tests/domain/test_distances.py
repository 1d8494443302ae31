"""Distances of distributions, and how far the next one may be."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import f, t

from cineclub.domain.drift.distances import (
    Move,
    distance,
    effective_dimensions,
    expected_at,
    f_quantile,
    move_of,
    without_each,
)
from cineclub.domain.drift.normal_range import LEAST_DISTANCE, Next

N_RATINGS, CELLS = 800, np.array([0.3, 0.25, 0.15, 0.1, 0.08, 0.06, 0.04, 0.02])


def drawn(n_windows: int, rng: np.random.Generator, shares: NDArray[np.float64] = CELLS) -> NDArray[np.float64]:
    """Return the shares of windows of one distribution."""
    return rng.multinomial(N_RATINGS, shares, n_windows) / N_RATINGS


def moved(windows: NDArray[np.float64], current: NDArray[np.float64], chance: float = 0.01, noise: float = 1.0) -> Move:
    """Return the move of the window after some."""
    n = len(windows)
    return move_of(windows, np.full(n, float(N_RATINGS)), list(range(n)), current, Next(n, noise, chance))


def test_the_distance_is_jensen_shannons() -> None:
    """The same as SciPy's with base 2; equal distributions are at 0, disjoint ones at 1."""
    rng = np.random.default_rng(1)
    first, second = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(8))
    assert distance(first, second) == pytest.approx(jensenshannon(first, second, base=2))
    assert distance(first, first) == 0
    assert distance(np.array([1.0, 0]), np.array([0, 1.0])) == 1


def test_the_others_of_each_window() -> None:
    """Each window gets the weighted mean of all others, also of tables."""
    shares, weights = np.array([[1.0, 0], [0, 1.0], [0.5, 0.5]]), np.array([1.0, 1.0, 2.0])
    assert without_each(shares, weights) == pytest.approx(np.array([[1 / 3, 2 / 3], [2 / 3, 1 / 3], [0.5, 0.5]]))
    assert without_each(shares[:, :, None], weights).shape == (3, 2, 1)


@pytest.mark.parametrize(("numerator", "denominator"), [(1.0, 25.0), (3.7, 40.2), (9.0, 27.0)])
def test_the_quantile_is_fishers_and_of_one_dimension_the_square_of_students(
    numerator: float, denominator: float
) -> None:
    """The quantile equals SciPy's; a half of the chance on each side of t is the whole one of its square."""
    for chance in (1e-5, 0.01):
        assert f.sf(f_quantile(chance, numerator, denominator), numerator, denominator) == pytest.approx(
            chance, rel=1e-6
        )
        assert f_quantile(chance, 1, denominator) == pytest.approx(t.isf(chance / 2, denominator) ** 2, rel=1e-6)


def test_a_distribution_varies_in_as_many_dimensions_as_its_cells_do() -> None:
    """Two cells vary in one dimension, many common ones nearly in all, and one that varies much in about one."""
    rng, times = np.random.default_rng(2), np.arange(200.0)
    even = np.full(8, 1 / 8)
    assert effective_dimensions(drawn(200, rng, np.array([0.5, 0.5])), times) == pytest.approx(1)
    assert effective_dimensions(drawn(200, rng, even), times) == pytest.approx(7, rel=0.1)
    swinging = np.clip(rng.normal(0.5, 0.1, 200), 0.1, 0.9)[:, None]
    assert effective_dimensions(swinging * CELLS + (1 - swinging) * CELLS[::-1], times) < 1.2


@pytest.mark.parametrize("n_windows", [6, 12, 26])
def test_false_alarms_are_at_most_as_frequent_as_promised(n_windows: int) -> None:
    """Of 500 windows of an unchanged distribution about 25 lie beyond a bound with a chance of 5 %, never 45."""
    rng = np.random.default_rng(n_windows)
    n_beyond = 0
    for _ in range(500):
        rows = drawn(n_windows + 1, rng)
        n_beyond += moved(rows[:-1], rows[-1], 0.05).excess > 1
    assert 3 <= n_beyond <= 45


@pytest.mark.parametrize(
    ("lost", "least", "most"), [(0.0, 0.0, 0.02), (0.1, 0.0, 0.2), (0.3, 0.2, 0.95), (0.6, 0.97, 1.0)]
)
def test_larger_changes_are_detected_more_often(lost: float, least: float, most: float) -> None:
    """The more of the largest cell is lost, the more of 200 windows are detected with a chance of one in a thousand."""
    rng = np.random.default_rng(6)
    less = CELLS * np.where(np.arange(8) == 0, 1 - lost, 1.0)
    detections = []
    for _ in range(200):
        windows, current = drawn(26, rng), drawn(1, rng, less / less.sum())[0]
        detections.append(moved(windows, current, 0.001).excess > 1)
    assert least <= np.mean(detections) <= most


def test_a_mix_that_moves_steadily_may_go_on() -> None:
    """A cell that grows by one in a hundred a window is expected to grow, and a jump by ten is not."""
    rng = np.random.default_rng(8)

    def mix(grown: float) -> NDArray[np.float64]:
        shares = np.append(CELLS * (1 - grown), grown)
        return rng.multinomial(2000, shares) / 2000

    windows = np.array([mix(0.2 + 0.01 * nth) for nth in range(20)])
    assert expected_at(windows, np.ones(20), np.arange(20.0), 20.0)[1].shares[-1] == pytest.approx(0.4, abs=0.02)
    assert moved(windows, mix(0.4), 0.001).excess < 1
    assert moved(windows, mix(0.55), 0.001).excess > 1


def test_less_data_may_be_farther() -> None:
    """A window of a quarter of the data is allowed nearly twice the distance."""
    windows = drawn(12, np.random.default_rng(9))
    usual, noisy = moved(windows, CELLS), moved(windows, CELLS, noise=2.0)
    assert 1.7 < noisy.threshold / usual.threshold <= 2


def test_thresholds_lie_between_the_least_relevant_distance_and_one() -> None:
    """Windows that are all alike give the least distance, disjoint ones at most 1."""
    alike = np.tile(CELLS, (6, 1))
    assert moved(alike, CELLS) == Move(0.0, LEAST_DISTANCE)
    assert moved(np.eye(5), np.array([0.2] * 5)).threshold == 1

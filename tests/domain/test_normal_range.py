"""Normal ranges learned from earlier windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from cineclub.domain.drift.normal_range import (
    CHANCE,
    MIN_TREND_WINDOWS,
    MIN_WINDOWS,
    TREND_HORIZON,
    Next,
    Range,
    prediction_range,
    range_of_arrivals,
    range_of_figures,
    range_of_shares,
    range_of_volumes,
    t_quantile,
    without_odd_one,
)
from cineclub.domain.drift.statistics import MAX_WINDOWS

N_GENRES = 20
CHANCES = (CHANCE, CHANCE / N_GENRES)


def after(figures: list[float], spread_floor: float = 0.01, noise: float = 1.0) -> Range:
    """Return the normal range of the figure after some."""
    return range_of_figures(figures, list(range(len(figures))), Next(len(figures), noise), spread_floor)


@pytest.mark.parametrize("chance", [*CHANCES, CHANCE / MAX_WINDOWS, 0.01])
@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 10, 25, 100])
def test_the_quantile_is_students(degrees: int, chance: float) -> None:
    """The quantile equals SciPy's and is exceeded with the requested probability, also divided by 20 genres."""
    assert t_quantile(chance, degrees) == pytest.approx(-t.ppf(chance, degrees), rel=1e-9)
    assert t.sf(t_quantile(chance, degrees), degrees) == pytest.approx(chance, rel=1e-9)


@pytest.mark.parametrize("degrees", [3, 4, 5, 7, 10, 15, 20, 30])
def test_false_alarms_are_as_rare_as_promised(degrees: int) -> None:
    """One in 2,000 on each side, also where 20 genres share it, within five standard errors of a binomial count.

    A range shifts and scales with its figures, so that each of 200 simulated baselines stands for 10,000: mean and
    standard deviation of normal figures are independent of their standardised shape.
    """
    rng, n_windows, n_each = np.random.default_rng(degrees), degrees + 1, 10_000
    n_beyond, times = dict.fromkeys(CHANCES, 0), np.arange(degrees + 1.0)
    for figures in rng.normal(size=(200, n_windows)):
        alike = (figures - figures.mean()) / figures.std(ddof=1)
        means = rng.normal(scale=n_windows**-0.5, size=n_each)
        spreads = (rng.chisquare(degrees, n_each) / degrees) ** 0.5
        following = (rng.normal(size=n_each) - means) / spreads
        for chance in CHANCES:
            normal = prediction_range(alike, times, Next(n_windows, chance=chance), 1e-9, is_line=False)
            n_beyond[chance] += int(np.sum((following < normal.low) | (following > normal.high)))
    for chance, count in n_beyond.items():
        promised = 200 * n_each * 2 * chance
        assert count == pytest.approx(promised, abs=5 * promised**0.5)


@pytest.mark.parametrize(("n_windows", "at"), [(8, 8), (8, 11), (12, 12), (26, 26)])
def test_false_alarms_beside_a_trend_are_as_rare_as_promised(n_windows: int, at: int) -> None:
    """The line's own uncertainty counts: one in 2,000 lies above, within five standard errors of a binomial count.

    The bound of one baseline serves 400,000, in units of the residual deviation around each one's own line. Volumes and
    other figures agree.
    """
    rng, n_drawn, weeks = np.random.default_rng(n_windows), 400_000, np.arange(float(n_windows))
    noise = rng.normal(size=(n_drawn, n_windows))
    lines = np.polynomial.polynomial.polyfit(weeks, noise.T, 1)
    rest = noise - np.polynomial.polynomial.polyval(weeks, lines)
    spreads = ((rest**2).sum(axis=1) / (n_windows - 2)) ** 0.5
    following = (rng.normal(size=n_drawn) - np.polynomial.polynomial.polyval(at, lines)) / spreads
    growing = weeks + rest[0] / spreads[0]
    high = np.log(range_of_volumes(np.exp(growing).tolist(), weeks.tolist(), Next(at)).high) - at
    assert prediction_range(growing, weeks, Next(at), 1e-9, is_line=True).high - at == pytest.approx(high)
    assert np.sum(following > high) == pytest.approx(n_drawn * CHANCE, abs=5 * (n_drawn * CHANCE) ** 0.5)


@pytest.mark.parametrize("n_windows", [6, MIN_TREND_WINDOWS, MAX_WINDOWS])
def test_a_next_figure_lies_in_the_range_as_often_as_promised(n_windows: int) -> None:
    """Of 3,000 ranges of normal figures at most about one in a thousand misses the next figure, with a trend too."""
    rows = np.random.default_rng(0).normal(10, 1, (3000, n_windows + 1))
    missed = 0
    for figures in rows.tolist():
        normal = after(figures[:-1])
        missed += not normal.low <= figures[-1] <= normal.high
    assert missed <= 10


def test_a_trend_may_go_on_or_end() -> None:
    """A figure that falls in each window may go on, which its mean alone does not let expect, or stay."""
    rng = np.random.default_rng(4)
    falling = 10 - 0.2 * np.arange(26) + rng.normal(0, 0.05, 26)
    line = prediction_range(falling, np.arange(26.0), Next(26), 0.01, is_line=True)
    assert line.low < 10 - 0.2 * 26 < line.high < 10 - 0.2 * 24
    normal = after(falling.tolist())
    assert normal.low < 10 - 0.2 * 26
    assert normal.high > 10 - 0.2 * 20


def test_a_trend_ends_soon_after_the_baseline() -> None:
    """A year later the range is that of a few windows later, so that a pinned baseline alarms about what went on."""
    falling, times = (10 - 0.1 * np.arange(20.0)).tolist(), list(range(20))
    soon, late = (range_of_figures(falling, times, Next(at), 0.01) for at in (19 + TREND_HORIZON, 70))
    assert soon == late
    assert late.low > 10 - 0.1 * 70


def test_less_data_is_allowed_more() -> None:
    """A figure of a quarter of the data is twice as noisy, and its range nearly twice as wide."""
    figures = [1.0, 2.0, 1.5, 1.2, 1.8]
    usual, noisy = after(figures), after(figures, noise=2.0)
    assert 1.5 < (noisy.high - noisy.low) / (usual.high - usual.low) < 2


@given(st.lists(st.floats(0, 1), min_size=MIN_WINDOWS, max_size=26))
def test_a_share_of_one_side_mirrors_that_of_the_other(shares: list[float]) -> None:
    """The range of a share's complement mirrors its range, and the windows lie around the middle."""
    times, following = list(range(len(shares))), Next(len(shares))
    normal, rest = (range_of_shares(of, times, following) for of in (shares, [1 - share for share in shares]))
    assert 0 <= normal.low <= normal.high <= 1
    assert (rest.low, rest.high) == (pytest.approx(1 - normal.high), pytest.approx(1 - normal.low))
    assert normal.low <= max(shares)
    assert normal.high >= min(shares)
    arrivals = range_of_arrivals(shares, times, following)
    assert arrivals.low <= normal.low <= normal.high <= arrivals.high


def test_a_rare_share_may_double_but_not_vanish() -> None:
    """A doubled rare share is normal and a vanished one is not, unlike with a range around the mean."""
    rng = np.random.default_rng(3)
    odds = rng.normal(np.log(0.06), 0.3, (2000, 25))
    shares = 1 / (1 + np.exp(-odds))
    of_shares = [range_of_shares(row[:-1].tolist(), list(range(24)), Next(24)) for row in shares]
    of_figures = [prediction_range(row[:-1], np.arange(24.0), Next(24), 0.001, is_line=False) for row in shares]
    beyond = [
        np.mean([not normal.low <= row[-1] <= normal.high for normal, row in zip(ranges, shares, strict=True)])
        for ranges in (of_shares, of_figures)
    ]
    assert beyond[0] <= 0.003 < beyond[1]
    assert all(of_share.low > 0.005 for of_share in of_shares)
    assert np.mean([of_figure.low < 0 for of_figure in of_figures]) > 0.5


def test_one_spoilt_window_does_not_make_the_next_one_look_normal() -> None:
    """At most one outlier window is left out, and never below the minimum number."""
    usual = [3.5, 3.6, 3.4, 3.55, 3.45, 3.52]
    clean, spoilt = after(usual), after([*usual, 1.8])
    assert (spoilt.low, spoilt.high) == (clean.low, clean.high)
    shifted = after([*usual, 1.8, 1.9])
    assert shifted.low < 1.8
    assert after([3.5, 3.6, 3.4, 1.8]).low < 1.8


def test_sound_windows_are_seldom_left_out() -> None:
    """Of 4,000 sets of normal figures about one in a thousand loses its most distant figure."""
    rng = np.random.default_rng(5)
    rows, times = rng.normal(10, 1, (4000, 12)), np.arange(12.0)
    for is_line in (False, True):
        lost = sum(len(without_odd_one(values, times, 0.01, is_line=is_line)[0]) < 12 for values in rows)
        assert lost <= 12


def test_newcomers_may_come_in_a_wave() -> None:
    """Of newcomers that hardly vary twice as many are normal, and four times as many or none are not."""
    steady = [0.1 + 0.001 * (-1) ** nth for nth in range(20)]
    normal = range_of_arrivals(steady, list(range(20)), Next(20))
    assert 0.03 < normal.low < 0.06
    assert 0.2 < normal.high < 0.4
    assert range_of_shares(steady, list(range(20)), Next(20)).high < 0.2


def test_volumes_follow_their_trend() -> None:
    """After growth of 10 % a week the next weeks are normal, and half of the volume is not."""
    volumes, times = [100 * 1.1**nth for nth in range(12)], list(range(12))
    for at in (12, 15):
        normal = range_of_volumes(volumes, times, Next(at))
        assert normal.low < 100 * 1.1**at < normal.high
    assert range_of_volumes([100.0] * 12, times, Next(12)).low == pytest.approx(50)
    assert range_of_volumes([100.0] * 12, times, Next(12)).high == pytest.approx(300)

"""What is normal for a figure or a distribution, learned from earlier windows: the range that a next one lies in.

Prediction intervals of a normal distribution with unknown variance (Hahn and Meeker, Statistical Intervals, 1991, 4.6);
volumes are compared on the scale of logarithms and shares on that of log-odds, where they are closer to normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CHANCE = 0.0005
"""How often a next figure lies beyond a bound, on each side, while nothing changed."""

MIN_WINDOWS = 4
"""Of fewer windows nothing is learned."""

MIN_TREND_WINDOWS = 8
SPREAD_FLOOR = 0.05
"""Distances and volumes that hardly vary are allowed 5 % for a standard deviation."""

LEAST_DISTANCE = 0.05
"""A nearer distribution is never an alert: that is about 5 of 100 ratings moved to or from a part that had 30."""

VOLUME_FLOOR, VOLUME_CEILING = 0.5, 3.0
"""A volume is never an alert above half and below three times what was to be expected."""

LEAST_SHARE = 0.005
"""Shares are kept this far from 0 and 1: below, they are a handful of ratings, and their log-odds run away."""

TINY, MOST_LOG = 1e-6, 700.0
"""Volumes are kept above and below this, so that neither a logarithm nor its inverse is infinite."""


@dataclass(frozen=True, slots=True)
class Range:
    """Between what bounds a next figure is normal."""

    low: float
    high: float


def t_quantile(chance: float, degrees: int) -> float:
    """Return what Student's t exceeds with a chance, by the expansion of Abramowitz and Stegun, 26.7.5."""
    z = -NormalDist().inv_cdf(chance)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + float(sum(term / degrees**power for power, term in enumerate(terms, 1)))


def range_of_figures(
    figures: Sequence[float], spread_floor: float, noise: float = 1.0, chance: float = CHANCE
) -> Range:
    """Return where a next figure is normal, given at least ``MIN_WINDOWS`` earlier ones, without the odd one of them.

    Args:
        figures: of the windows.
        spread_floor: the least standard deviation that is believed.
        noise: how many times as noisy as theirs the next figure is, as when it is made of less data.
        chance: how often a next one lies beyond each bound.
    """
    return _range_of(without_odd_one(np.array(figures), spread_floor), spread_floor, noise, chance)


def _range_of(values: NDArray[np.float64], spread_floor: float, noise: float, chance: float) -> Range:
    """Return the range of a next figure, of all that are given."""
    spread = max(float(values.std(ddof=1)), spread_floor)
    reach = t_quantile(chance, len(values) - 1) * spread * (noise**2 + 1 / len(values)) ** 0.5
    mean = float(values.mean())
    return Range(mean - reach, mean + reach)


def without_odd_one(values: NDArray[np.float64], spread_floor: float) -> NDArray[np.float64]:
    """Return figures without the one that would itself have been an alert beside the others; all where none would.

    A window that was spoilt lies among those of the next baseline, and would make the next spoilt one look normal. Two
    alike are no odd one any more: what stays becomes normal.
    """
    if len(values) <= MIN_WINDOWS:
        return values
    odd = int(np.abs(values - np.median(values)).argmax())
    others = np.delete(values, odd)
    spread = max(float(others.std(ddof=1)), spread_floor)
    reach = t_quantile(CHANCE / len(values), len(others) - 1) * spread * (1 + 1 / len(others)) ** 0.5
    return others if abs(float(values[odd] - others.mean())) > reach else values


def range_of_shares(shares: Sequence[float], noise: float = 1.0) -> Range:
    """Return where a next share is normal, given at least ``MIN_WINDOWS`` earlier ones, each from 0 to 1.

    The share of something rare is skewed: it may be twice or three times as large in a window, and never below nothing.
    """
    known = np.clip(shares, LEAST_SHARE, 1 - LEAST_SHARE)
    normal = range_of_figures(np.log(known / (1 - known)).tolist(), SPREAD_FLOOR, noise)
    low, high = (1 / (1 + float(np.exp(-bound))) for bound in (normal.low, normal.high))
    return Range(low if low > LEAST_SHARE else 0.0, high if high < 1 - LEAST_SHARE else 1.0)


def range_of_volumes(volumes: Sequence[float], positions: Sequence[float], at: float) -> Range:
    """Return between what a next volume is normal, given earlier ones and when they were, in windows.

    A service that grows or shrinks steadily goes on doing so: the range is around the line through the logarithms, and
    around their mean as well.
    """
    logs, times = np.log(np.maximum(volumes, TINY)), np.array(positions)
    centres, spread, degrees = [float(logs.mean())], float(logs.std(ddof=1)), len(logs) - 1
    if len(logs) >= MIN_TREND_WINDOWS:
        slope, start = np.polyfit(times, logs, 1)
        rest = logs - (start + slope * times)
        centres.append(float(start + slope * at))
        spread, degrees = float((rest**2).sum() / (len(logs) - 2)) ** 0.5, len(logs) - 2
    reach = t_quantile(CHANCE, degrees) * max(spread, SPREAD_FLOOR) * (1 + 1 / len(logs)) ** 0.5
    low = min(centres) + min(-reach, np.log(VOLUME_FLOOR))
    high = max(centres) + max(reach, np.log(VOLUME_CEILING))
    return Range(float(np.exp(low)), float(np.exp(min(high, MOST_LOG))))


def farthest_normal(distances: Sequence[float], noise: float = 1.0) -> float:
    """Return how far from the others a next window may be, given how far the earlier ones were, at least four.

    None of them is left out: distances are skewed, and a far one among them is nothing odd.
    """
    normal = _range_of(np.array(distances), SPREAD_FLOOR * float(np.mean(distances)), 1.0, CHANCE)
    return float(np.clip(normal.high * noise, LEAST_DISTANCE, 1.0))


def divergence_terms(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each cell's part of the Jensen-Shannon divergence in bits of two distributions of one shape.

    Lin, Divergence measures based on the Shannon entropy, 1991. The sum lies between 0 and 1.
    """
    middle = (one + other) / 2
    return (_surprise(one, middle) + _surprise(other, middle)) / 2


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon distance of two distributions: the root of the divergence in bits, 0 to 1."""
    return float(np.sqrt(max(0.0, float(divergence_terms(one, other).sum()))))


def without_each(shares: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each window the weighted mean of the others, shape (n, ...) as ``shares``, weights (n,)."""
    weighted = shares * weights.reshape(-1, *[1] * (shares.ndim - 1))
    others = (weights.sum() - weights).reshape(-1, *[1] * (shares.ndim - 1))
    return np.asarray((weighted.sum(axis=0) - weighted) / others, np.float64)


def _surprise(of: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each cell's part of the Kullback-Leibler divergence in bits; nothing where there is no share."""
    ratio = np.divide(of, middle, out=np.ones_like(of), where=of > 0)
    return np.asarray(of * np.log2(ratio), np.float64)

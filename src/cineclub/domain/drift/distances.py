"""Distances of distributions, and how far the next one may be from what earlier windows let expect."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.drift.normal_range import (
    LEAST_DISTANCE,
    MIN_TREND_WINDOWS,
    SMALLEST_DISTANCE,
    TREND_HORIZON,
    Fit,
    Next,
)


@dataclass(frozen=True, slots=True)
class Move:
    """The distance of a distribution from an expected one, and the largest normal one, both 0 to 1."""

    distance: float
    threshold: float

    @property
    def excess(self) -> float:
        """Distance in multiples of the threshold."""
        return self.distance / self.threshold


@dataclass(frozen=True, slots=True)
class Expected:
    """Shares that are expected at a time, (n_cells,), with their variance in multiples of that of a window's."""

    shares: NDArray[np.float64]
    uncertainty: float


def move_of(
    shares: NDArray[np.float64],
    weights: NDArray[np.float64],
    times: Sequence[float],
    current: NDArray[np.float64],
    following: Next,
) -> Move:
    """Return how far a distribution is from the windows' mean or from their trend, whichever explains it better.

    Squared distances are sums of squares of as many normal figures as the cells vary independently in. So that of the
    period, divided by the mean of each window's to what the others let expect, has an F distribution: for two cells
    that is the square of Student's t. (Box, Some theorems on quadratic forms, 1954.)

    Args:
        shares: (n_windows, n_cells) of at least ``MIN_WINDOWS`` windows, the oldest first.
        weights: (n_windows,) amounts of data.
        times: of the windows, in windows.
        current: (n_cells,) of the period.
        following: time, noise and chance of the period; the chance is that of a distance above the threshold.
    """
    axis = np.array(times, np.float64)
    among = np.array([_nearest(shares, weights, axis, nth) for nth in range(len(shares))])
    # a film that changes its genres moves about its share where the genres are common
    usual = max(float(np.sqrt((among**2).mean())), SMALLEST_DISTANCE, following.least_part)
    dimensions = effective_dimensions(shares, axis)
    normal = usual * f_quantile(following.chance, dimensions, dimensions * (len(shares) - 1)) ** 0.5
    moves = [
        Move(
            distance(current, expected.shares),
            float(np.clip(normal * (following.noise**2 + expected.uncertainty) ** 0.5, LEAST_DISTANCE, 1.0)),
        )
        for expected in expected_at(shares, weights, axis, following.at)
    ]
    return min(moves, key=lambda move: move.excess)


def f_quantile(chance: float, numerator: float, denominator: float) -> float:
    """Return the value that an F distribution with these degrees of freedom exceeds with a chance, 0 to 1."""
    from scipy.special import fdtri  # noqa: PLC0415 - the API loads scipy at the first check of drift alone

    return float(fdtri(numerator, denominator, 1 - chance))


def effective_dimensions(shares: NDArray[np.float64], times: NDArray[np.float64]) -> float:
    """Return the number of dimensions, at least 1, that distributions, (n_windows, n_cells), vary in.

    It is the squared trace of the covariance of the roots of the shares over the trace of its square (Satterthwaite,
    An approximate distribution of estimates of variance components, 1946), less the bias of few windows.
    """
    roots = np.sqrt(shares)
    fit = Fit.of(roots, times, is_line=len(times) >= MIN_TREND_WINDOWS)
    rest = roots - fit.centre - np.multiply.outer(times - times.mean(), fit.slope)
    degrees = len(times) - fit.n_parameters
    covariance = rest.T @ rest / degrees
    total, squares = float(np.trace(covariance)), float((covariance**2).sum())
    unbiased = degrees**2 / ((degrees - 1) * (degrees + 2)) * (squares - total**2 / degrees)
    most = float(max(1, shares.shape[1] - 1))
    return float(np.clip(total**2 / unbiased, 1.0, most)) if unbiased > 0 else most


def expected_at(
    shares: NDArray[np.float64], weights: NDArray[np.float64], times: NDArray[np.float64], at: float
) -> list[Expected]:
    """Return the weighted mean of shares, (n_windows, n_cells), and with enough windows their trend at a time.

    The trend is a line through the roots of the shares, whose noise is alike in rare and in common cells (Freeman and
    Tukey, Transformations related to the angular and the square root, 1950).
    """
    expected = [Expected(weights @ shares / weights.sum(), 1 / len(times))]
    if len(times) >= MIN_TREND_WINDOWS:
        line, time = Fit.of(np.sqrt(shares), times, is_line=True), min(at, float(times[-1]) + TREND_HORIZON)
        squares = np.maximum(line.at(time), 0.0) ** 2
        if squares.sum() > 0:
            expected.append(Expected(squares / squares.sum(), line.uncertainty(time)))
    return expected


def _nearest(shares: NDArray[np.float64], weights: NDArray[np.float64], times: NDArray[np.float64], nth: int) -> float:
    """Return the distance of a window from what the others let expect, as if that were certain."""
    others = np.arange(len(shares)) != nth
    expected = expected_at(shares[others], weights[others], times[others], float(times[nth]))
    return min(distance(shares[nth], each.shares) / float(np.sqrt(1 + each.uncertainty)) for each in expected)


def divergence_terms(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each cell's term of the Jensen-Shannon divergence in bits of two distributions of one shape.

    Lin, Divergence measures based on the Shannon entropy, 1991. The sum lies between 0 and 1.
    """
    middle = (first + second) / 2
    return (_relative_entropy(first, middle) + _relative_entropy(second, middle)) / 2


def distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon distance of two distributions: the root of the divergence in bits, 0 to 1."""
    return float(np.sqrt(max(0.0, float(divergence_terms(first, second).sum()))))


def without_each(shares: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each window the weighted mean of the others, shape (n, ...) as ``shares``, weights (n,)."""
    weighted = shares * weights.reshape(-1, *[1] * (shares.ndim - 1))
    others = (weights.sum() - weights).reshape(-1, *[1] * (shares.ndim - 1))
    return np.asarray((weighted.sum(axis=0) - weighted) / others, np.float64)


def _relative_entropy(of: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each cell's term of the Kullback-Leibler divergence in bits; 0 where there is no share."""
    ratio = np.divide(of, middle, out=np.ones_like(of), where=of > 0)
    return np.asarray(of * np.log2(ratio), np.float64)

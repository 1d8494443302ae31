"""Normal ranges of figures and distributions, learned from earlier windows.

Prediction intervals of a normal distribution with unknown variance, around a mean and around a line (Hahn and Meeker,
Statistical Intervals, 1991, 4.6); volumes are compared on the scale of logarithms and shares on that of log-odds, where
they are closer to normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANCE = 0.0005
"""The probability that a sound window of the baseline is taken for an outlier, on each side."""

MIN_WINDOWS = 4
"""Fewer windows give no range."""

MIN_TREND_WINDOWS, MIN_VOLUME_TREND_WINDOWS = 12, 8
"""With fewer windows a trend is too uncertain; that of a volume is wanted sooner, because services grow."""

TREND_HORIZON = 4.0
"""So many windows after the newest one the trend of a figure ends: a pinned baseline alarms about what went on."""

SPREAD_FLOOR = 0.05
"""Distances and volumes that hardly vary are allowed 5 % for a standard deviation."""

LEAST_DISTANCE = 0.05
"""A nearer distribution is never an alert: that is about 5 of 100 ratings moved to or from a part that had 30."""

SMALLEST_DISTANCE = LEAST_DISTANCE / 10
"""Windows are believed to be so far from each other at least."""

VOLUME_FLOOR, VOLUME_CEILING = 0.5, 3.0
"""A volume is never an alert above half and below three times what was to be expected."""

LEAST_SHARE = 0.005
"""Shares are clipped this far from 0 and 1: rarer ones are a handful of ratings, and their log-odds diverge."""

TINY, MOST_LOG = 1e-6, 700.0
"""Volumes are kept above and below this, so that neither a logarithm nor its inverse is infinite."""


@dataclass(frozen=True, slots=True)
class Range:
    """The bounds of the next figure."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Next:
    """What the next figure is compared for.

    Attributes:
        at: its time, in windows, on the axis of the earlier ones.
        noise: its standard deviation in multiples of theirs, above 1 if it describes less data.
        chance: the probability of a false alarm on each side: that it lies beyond a bound while nothing changed.
        least_part: the share of one movie, by which windows are believed to differ at least; 0 where it is small.
    """

    at: float
    noise: float = 1.0
    chance: float = CHANCE
    least_part: float = 0.0


@dataclass(frozen=True, slots=True)
class Fit:
    """A mean, or a line over time, through values by least squares.

    Attributes:
        times: (n,) of the values.
        centre: (...) their mean.
        slope: (...) by time; 0 for a mean.
        n_parameters: 1 for a mean, 2 for a line.
    """

    times: NDArray[np.float64]
    centre: NDArray[np.float64]
    slope: NDArray[np.float64]
    n_parameters: int

    @classmethod
    def of(cls, values: NDArray[np.float64], times: NDArray[np.float64], *, is_line: bool) -> "Fit":
        """Fit values, (n, ...), of at least two times, (n,)."""
        centre = np.asarray(values.mean(axis=0), np.float64)
        if not is_line:
            return cls(times, centre, np.zeros_like(centre), 1)
        apart = times - times.mean()
        slope = np.asarray(np.tensordot(apart, values - centre, 1) / (apart**2).sum(), np.float64)
        return cls(times, centre, slope, 2)

    def at(self, time: float) -> NDArray[np.float64]:
        """Return the expected value at a time, shape (...)."""
        return np.asarray(self.centre + self.slope * (time - self.times.mean()), np.float64)

    def uncertainty(self, time: float) -> float:
        """Return the variance of the expected value at a time, in multiples of that of a single value."""
        apart = self.times - self.times.mean()
        of_slope = (time - self.times.mean()) ** 2 / (apart**2).sum() if self.n_parameters > 1 else 0.0
        return float(1 / len(self.times) + of_slope)


def kinds_of_fit(n_windows: int, min_trend_windows: int) -> tuple[bool, ...]:
    """Return whether each fit of so many windows is a line: a mean, and with enough windows a line."""
    return (False, True) if n_windows >= min_trend_windows else (False,)


def t_quantile(chance: float, degrees: int) -> float:
    """Return the value that Student's t with these degrees of freedom exceeds with a chance, 0 to 1."""
    from scipy.special import stdtrit  # noqa: PLC0415 - the API loads scipy at the first check of drift alone

    return -float(stdtrit(degrees, chance))


def range_of_figures(figures: Sequence[float], times: Sequence[float], following: Next, spread_floor: float) -> Range:
    """Return the normal range of the next figure, given at least ``MIN_WINDOWS`` earlier ones, less an outlier.

    With ``MIN_TREND_WINDOWS`` it covers the range around the mean and the one around the trend, so that neither a
    steady change nor its end is an alert. The trend ends ``TREND_HORIZON`` after the newest window.

    Args:
        figures: of the windows, the oldest first.
        times: of the windows, in windows.
        following: the next figure.
        spread_floor: lower bound of the standard deviation.
    """
    values, axis = np.array(figures, np.float64), np.array(times, np.float64)
    ranges = [
        prediction_range(
            *without_odd_one(values, axis, spread_floor, is_line=is_line), following, spread_floor, is_line=is_line
        )
        for is_line in kinds_of_fit(len(values), MIN_TREND_WINDOWS)
    ]
    return Range(min(normal.low for normal in ranges), max(normal.high for normal in ranges))


def prediction_range(
    values: NDArray[np.float64],
    times: NDArray[np.float64],
    following: Next,
    spread_floor: float,
    *,
    is_line: bool,
) -> Range:
    """Return the interval of the next value around the mean, or the line, of values (n,) at times (n,)."""
    fit = Fit.of(values, times, is_line=is_line)
    at = min(following.at, float(times[-1]) + TREND_HORIZON) if is_line else following.at
    degrees = len(values) - fit.n_parameters
    spread = max(_spread_around(fit, values), spread_floor)
    reach = t_quantile(following.chance, degrees) * spread * (following.noise**2 + fit.uncertainty(at)) ** 0.5
    return Range(float(fit.at(at)) - reach, float(fit.at(at)) + reach)


def without_odd_one(
    values: NDArray[np.float64], times: NDArray[np.float64], spread_floor: float, *, is_line: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return figures and times less the outlier: one that would have been an alert beside the others.

    Otherwise a window of wrong ratings in the next baseline would make another one look normal. Two alike are no
    outlier, so that a change that stays becomes normal.
    """
    if len(values) <= MIN_WINDOWS:
        return values, times
    whole = Fit.of(values, times, is_line=is_line)
    odd = int(np.abs(_rest(whole, values) if is_line else values - np.median(values)).argmax())
    others, axis = np.delete(values, odd), np.delete(times, odd)
    fit = Fit.of(others, axis, is_line=is_line)
    spread = max(_spread_around(fit, others), spread_floor)
    reach = t_quantile(CHANCE / len(values), len(others) - fit.n_parameters) * spread
    reach *= (1 + fit.uncertainty(float(times[odd]))) ** 0.5
    return (others, axis) if abs(float(values[odd] - fit.at(float(times[odd])))) > reach else (values, times)


def range_of_shares(shares: Sequence[float], times: Sequence[float], following: Next) -> Range:
    """Return the normal range of the next share, given at least ``MIN_WINDOWS`` earlier ones, each from 0 to 1.

    The distribution of a rare share is skewed: it may double or triple by chance, and is never negative.
    A share of few movies moves by whole ones: the range is no narrower than for windows that differ by one.
    """
    normal = range_of_figures(log_odds(shares).tolist(), times, following, SPREAD_FLOOR)
    by_odds = _as_shares(normal.low, normal.high)
    if not following.least_part:
        return by_odds
    by_movies = range_of_figures(shares, times, following, following.least_part)
    return Range(max(min(by_odds.low, by_movies.low), 0.0), min(max(by_odds.high, by_movies.high), 1.0))


def range_of_arrivals(shares: Sequence[float], times: Sequence[float], following: Next) -> Range:
    """Return the normal range of the next share of newcomers, as for other shares and no narrower than for volumes.

    Newcomers come in waves, so that their share varies more than chance alone explains: an alert needs odds below half
    or above three times the mean ones.
    """
    odds = log_odds(shares)
    normal = range_of_figures(odds.tolist(), times, following, SPREAD_FLOOR)
    centre = float(np.median(odds))
    return _as_shares(
        min(normal.low, centre + float(np.log(VOLUME_FLOOR))), max(normal.high, centre + float(np.log(VOLUME_CEILING)))
    )


def log_odds(shares: Sequence[float]) -> NDArray[np.float64]:
    """Return the log-odds of shares, shape (n,), clipped to ``LEAST_SHARE`` from 0 and 1."""
    known = np.clip(np.array(shares, np.float64), LEAST_SHARE, 1 - LEAST_SHARE)
    return np.asarray(np.log(known / (1 - known)), np.float64)


def _as_shares(low: float, high: float) -> Range:
    """Return the range of shares between log-odds; beyond ``LEAST_SHARE`` it is open."""
    bounds = [1 / (1 + float(np.exp(-min(max(bound, -MOST_LOG), MOST_LOG)))) for bound in (low, high)]
    return Range(bounds[0] if bounds[0] > LEAST_SHARE else 0.0, bounds[1] if bounds[1] < 1 - LEAST_SHARE else 1.0)


def range_of_volumes(volumes: Sequence[float], times: Sequence[float], following: Next) -> Range:
    """Return the normal range of the next volume, given earlier ones and their times, in windows.

    Steady growth or decline is normal: the range covers the trend of the logarithms, however far, and their mean.
    """
    logs, axis = np.log(np.maximum(volumes, TINY)), np.array(times, np.float64)
    fits = [Fit.of(logs, axis, is_line=is_line) for is_line in kinds_of_fit(len(logs), MIN_VOLUME_TREND_WINDOWS)]
    best = fits[-1]
    spread = max(_spread_around(best, logs), SPREAD_FLOOR)
    reach = t_quantile(following.chance, len(logs) - best.n_parameters) * spread
    reach *= (1 + best.uncertainty(following.at)) ** 0.5
    centres = [float(fit.at(following.at)) for fit in fits]
    low = min(centres) + min(-reach, np.log(VOLUME_FLOOR))
    high = max(centres) + max(reach, np.log(VOLUME_CEILING))
    return Range(float(np.exp(low)), float(np.exp(min(high, MOST_LOG))))


def _rest(fit: Fit, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a fit leaves of values, shape (n,)."""
    return np.asarray(values - fit.centre - fit.slope * (fit.times - fit.times.mean()), np.float64)


def _spread_around(fit: Fit, values: NDArray[np.float64]) -> float:
    """Return the standard deviation of values, (n,), around their fit."""
    return float(((_rest(fit, values) ** 2).sum() / (len(values) - fit.n_parameters)) ** 0.5)

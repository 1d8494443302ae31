"""Which parts of the ratings moved most: in how many there are of them, and in how they are rated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.normal_range import MIN_WINDOWS, divergence_terms, without_each
from cineclub.domain.segments import DIMENSIONS, SegmentRatings
from cineclub.domain.statistics import PeriodStatistics

MAX_SEGMENTS = 20
LEAST_SHARE_OF_CHANGE = 0.01
SHARE_FLOOR, MEAN_FLOOR = 0.005, 0.01
"""The least standard deviations that are believed: of shares, and of means in parts of the scale."""


@dataclass(frozen=True, slots=True)
class SegmentChange:
    """A part of the ratings that moved.

    Attributes:
        dimension: of ``segments.DIMENSIONS``.
        name: the part.
        baseline_share: of all ratings, in the baseline's windows together.
        current_share: likewise in the period.
        baseline_mean: mean rating; None without ratings.
        current_mean: likewise.
        share_of_change: how much of what moved in its dimension is this part's, 0 to 1.
    """

    dimension: str
    name: str
    baseline_share: float
    current_share: float
    baseline_mean: float | None
    current_mean: float | None
    share_of_change: float


def segment_changes(
    windows: Sequence[PeriodStatistics], current: PeriodStatistics, width: float
) -> tuple[SegmentChange, ...]:
    """Return the parts that moved beyond what is usual, the most unusual first, at most ``MAX_SEGMENTS``.

    How much a part moved is its share of the Jensen-Shannon divergence between the joint distributions of part and
    rating, less what the windows have of it among themselves on average. How unusual that is, is how far its share or
    its mean moved in standard deviations of the windows: a small part of which everything changed comes before a large
    one that it lies in. ``width`` is that of the scale.
    """
    found = [change for dimension in DIMENSIONS for change in _of_dimension(dimension, windows, current)]
    found.sort(key=lambda one: -_unusual(one, windows, width))
    return tuple(found[:MAX_SEGMENTS])


def _of_dimension(
    dimension: str, windows: Sequence[PeriodStatistics], current: PeriodStatistics
) -> list[SegmentChange]:
    """Return the parts of a dimension that moved."""
    names = sorted({name for one in (*windows, current) for name in one.segments[dimension]})
    tables = np.stack([_joint(one, dimension, names) for one in windows])
    weights = np.array([float(one.n_ratings) for one in windows])
    usual = divergence_terms(tables, without_each(tables, weights)).sum(axis=2).mean(axis=0)
    pooled = np.tensordot(weights, tables, 1) / weights.sum()
    excess = np.maximum(divergence_terms(_joint(current, dimension, names), pooled).sum(axis=1) - usual, 0.0)
    total = float(excess.sum())
    return [
        _change((dimension, name), windows, current, float(excess[nth]) / total)
        for nth, name in enumerate(names)
        if excess[nth] > LEAST_SHARE_OF_CHANGE * total
    ]


def _unusual(change: SegmentChange, windows: Sequence[PeriodStatistics], width: float) -> float:
    """Return by how many standard deviations of the windows a part's share or mean moved, whichever is more."""
    parts = [one.segments[change.dimension].get(change.name) for one in windows]
    shares = np.array([part.share if part else 0.0 for part in parts])
    of_share = abs(change.current_share - change.baseline_share) / max(shares.std(ddof=1), SHARE_FLOOR)
    means = np.array([part.mean_rating for part in parts if part])
    if change.current_mean is None or change.baseline_mean is None or len(means) < MIN_WINDOWS:
        return float(of_share)
    of_mean = abs(change.current_mean - change.baseline_mean) / max(means.std(ddof=1), MEAN_FLOOR * width)
    return float(max(of_share, of_mean))


def _joint(period: PeriodStatistics, dimension: str, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the share of each part and equal part of the scale of all ratings, shape (n_segments, n_bins)."""
    parts = period.segments[dimension]
    empty = SegmentRatings(0.0, 0.0, (0.0,) * len(period.rating_shares))
    return np.array([np.multiply(one.share, one.rating_shares) for one in (parts.get(name, empty) for name in names)])


def _change(
    part: tuple[str, str], windows: Sequence[PeriodStatistics], current: PeriodStatistics, share_of_change: float
) -> SegmentChange:
    """Return a part, by dimension and name, as it was in the windows together, and as it is."""
    dimension, name = part
    known = [
        (one.n_ratings * found.share, found.mean_rating)
        for one in windows
        if (found := one.segments[dimension].get(name)) is not None
    ]
    n_before = sum(n_ratings for n_ratings, _ in known)
    now = current.segments[dimension].get(name)
    return SegmentChange(
        dimension=dimension,
        name=name,
        baseline_share=n_before / sum(one.n_ratings for one in windows),
        current_share=now.share if now else 0.0,
        baseline_mean=sum(n_ratings * mean for n_ratings, mean in known) / n_before if n_before else None,
        current_mean=now.mean_rating if now else None,
        share_of_change=share_of_change,
    )

"""Segments of the ratings that moved most, in their share and in how they are rated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.drift.distances import divergence_terms, without_each
from cineclub.domain.drift.normal_range import MIN_WINDOWS
from cineclub.domain.drift.statistics import PeriodStatistics
from cineclub.domain.ratings.segments import DIMENSIONS, SegmentRatings

MAX_SEGMENTS = 20
LEAST_SHARE_OF_CHANGE = 0.01
SHARE_FLOOR, MEAN_FLOOR = 0.005, 0.01
"""The least standard deviations that are believed: of shares, and of means in parts of the scale."""


@dataclass(frozen=True, slots=True)
class SegmentChange:
    """A segment of the ratings that moved.

    Attributes:
        dimension: of ``segments.DIMENSIONS``.
        name: of the segment.
        baseline_share: of all ratings, in the baseline's windows together.
        current_share: likewise in the period.
        baseline_mean: mean rating; None without ratings.
        current_mean: likewise.
        share_of_change: the segment's part of the change of its dimension, 0 to 1.
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
    """Return the segments that moved beyond what is usual, the most unusual first, at most ``MAX_SEGMENTS``.

    The change of a segment is its term of the Jensen-Shannon divergence between the joint distributions of segment and
    rating, less the average of this term among the windows. Segments are ranked by the change of their share or their
    mean in standard deviations of the windows, so that a small segment that changed entirely comes before a large one
    that contains it. ``width`` is that of the scale.
    """
    changes = [change for dimension in DIMENSIONS for change in _of_dimension(dimension, windows, current)]
    changes.sort(key=lambda change: -_standardized(change, windows, width))
    return tuple(changes[:MAX_SEGMENTS])


def _of_dimension(
    dimension: str, windows: Sequence[PeriodStatistics], current: PeriodStatistics
) -> list[SegmentChange]:
    """Return the segments of a dimension that moved."""
    names = sorted({name for period in (*windows, current) for name in period.segments[dimension]})
    tables = np.stack([_joint(window, dimension, names) for window in windows])
    weights = np.array([float(window.n_ratings) for window in windows])
    usual = divergence_terms(tables, without_each(tables, weights)).sum(axis=2).mean(axis=0)
    pooled = np.tensordot(weights, tables, 1) / weights.sum()
    excess = np.maximum(divergence_terms(_joint(current, dimension, names), pooled).sum(axis=1) - usual, 0.0)
    total = float(excess.sum())
    return [
        _change((dimension, name), windows, current, float(excess[nth]) / total)
        for nth, name in enumerate(names)
        if excess[nth] > LEAST_SHARE_OF_CHANGE * total
    ]


def _standardized(change: SegmentChange, windows: Sequence[PeriodStatistics], width: float) -> float:
    """Return the change of a segment's share or mean in standard deviations of the windows, whichever is larger."""
    parts = [window.segments[change.dimension].get(change.name) for window in windows]
    shares = np.array([part.share if part else 0.0 for part in parts])
    of_share = abs(change.current_share - change.baseline_share) / max(shares.std(ddof=1), SHARE_FLOOR)
    means = np.array([part.mean_rating for part in parts if part])
    if change.current_mean is None or change.baseline_mean is None or len(means) < MIN_WINDOWS:
        return float(of_share)
    of_mean = abs(change.current_mean - change.baseline_mean) / max(means.std(ddof=1), MEAN_FLOOR * width)
    return float(max(of_share, of_mean))


def _joint(period: PeriodStatistics, dimension: str, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the joint distribution of segment and equal part of the scale, shape (n_segments, n_bins)."""
    parts = period.segments[dimension]
    empty = SegmentRatings(0.0, 0.0, (0.0,) * len(period.rating_shares))
    segments = [parts.get(name, empty) for name in names]
    return np.array([np.multiply(segment.share, segment.rating_shares) for segment in segments])


def _change(
    segment: tuple[str, str], windows: Sequence[PeriodStatistics], current: PeriodStatistics, share_of_change: float
) -> SegmentChange:
    """Return a segment, by dimension and name, in the windows together and in the period."""
    dimension, name = segment
    known = [
        (window.n_ratings * before.share, before.mean_rating)
        for window in windows
        if (before := window.segments[dimension].get(name)) is not None
    ]
    n_before = sum(n_ratings for n_ratings, _ in known)
    now = current.segments[dimension].get(name)
    return SegmentChange(
        dimension=dimension,
        name=name,
        baseline_share=n_before / sum(window.n_ratings for window in windows),
        current_share=now.share if now else 0.0,
        baseline_mean=sum(n_ratings * mean for n_ratings, mean in known) / n_before if n_before else None,
        current_mean=now.mean_rating if now else None,
        share_of_change=share_of_change,
    )

"""Kinds of drift statistics: each learns its normal range from the baseline's windows, and compares a period with it.

``comparison.py`` lists the statistics of each kind.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

import numpy as np

from cineclub.domain.drift.chances import FLOORED_PART, MANY_GENRES_PART
from cineclub.domain.drift.changes import Distribution, DriftVerdict, Figure, Subject
from cineclub.domain.drift.distances import Move, move_of
from cineclub.domain.drift.normal_range import (
    MIN_WINDOWS,
    Next,
    Range,
    range_of_arrivals,
    range_of_figures,
    range_of_shares,
    range_of_volumes,
)
from cineclub.domain.drift.responses import ResponseStatistics
from cineclub.domain.drift.statistics import PeriodStatistics
from cineclub.domain.ratings.segments import GENRE

MIN_GENRE_RATINGS = 30
LEAST_CHANGE = 0.01
"""A figure that moves by less is never an alert: a share of nothing at all may become one in a hundred."""

LEAST_TASTE = 0.03
"""A genre's mean that moves by less than this part of the scale is never an alert."""

Statistics = TypeVar("Statistics", PeriodStatistics, ResponseStatistics)
Sizes = tuple[Callable[[Statistics], float | None], ...]
"""Numbers that the noise of a statistic falls with: of ratings, or of people and movies that count fully."""


@dataclass(frozen=True, slots=True)
class WindowComparison(Generic[Statistics]):
    """A period beside the baseline's windows, all with enough data.

    Attributes:
        windows: of the baseline, the oldest first.
        current: the period.
        threshold_pct: the least change of a figure that is an alert.
        scale_width: of the rating scale, in its own unit.
        chance: of a false alarm of one statistic, on both sides together.
    """

    windows: Sequence[Statistics]
    current: Statistics
    threshold_pct: float
    scale_width: float
    chance: float

    def time_of(self, window: Statistics) -> float:
        """Return the time of a window after the oldest one, in windows."""
        oldest = self.windows[0]
        return (window.ends_at - oldest.ends_at) / (oldest.ends_at - oldest.starts_at)

    def following(self, sizes: Sizes[Statistics], part: float = 1.0) -> Next:
        """Return what the figure of the period is compared for, with a part of the chance."""
        return Next(self.time_of(self.current), self.noise(sizes), self.chance * part / 2)

    def least_part(self, movies: Sizes[Statistics]) -> float:
        """Return the share of one movie in the middle window; 0 if unknown.

        That of the period does not count: that everybody gets the same few movies now is a fault that is looked for.
        """
        known = [[n for window in self.windows if (n := number(window))] for number in movies]
        return max((1 / float(np.median(numbers)) for numbers in known if numbers), default=0.0)

    def noise(self, sizes: Sizes[Statistics]) -> float:
        """Return the standard deviation of the period's figure in multiples of that of the windows', at least 1."""
        return max((self._noise_of(size) for size in sizes), default=1.0)

    def _noise_of(self, size: Callable[[Statistics], float | None]) -> float:
        """Return the same by one number; 1 where windows that are stored lack it."""
        known = [n for window in self.windows if (n := size(window))]
        current = size(self.current)
        return noise_of(known, current) if known and current else 1.0


@dataclass(frozen=True, slots=True)
class FigureStatistic(Generic[Statistics]):
    """A number: an alert if it changes by at least the threshold and lies beyond the prediction interval.

    Attributes:
        name: the statistic.
        of: the data that it describes.
        value: the number of a window.
        sizes: the numbers that its noise falls with.
        scale: a plain number; a share, which may be rare, so that log-odds are closer to normal; or a share of
            newcomers, who come in waves.
        movies: the numbers of movies behind a share: that one of them comes or goes is no change.
    """

    name: str
    of: Subject
    value: Callable[[Statistics], float | None]
    sizes: Sizes[Statistics]
    scale: Literal["plain", "share", "arrivals"] = "plain"
    movies: Sizes[Statistics] = ()

    @property
    def part(self) -> float:
        """The part of a statistic's chance that it gets."""
        return FLOORED_PART if self.scale == "arrivals" else 1.0

    @property
    def unknown(self) -> Figure:
        """The result where nothing can be compared."""
        return Figure(self.name, self.of)

    def compare(self, beside: WindowComparison[Statistics]) -> Figure:
        """Return the number of a period beside those of the windows."""
        known = [
            (value, beside.time_of(window)) for window in beside.windows if (value := self.value(window)) is not None
        ]
        values, current = [value for value, _ in known], self.value(beside.current)
        if len(values) < MIN_WINDOWS or current is None:
            return Figure(self.name, self.of, sum(values) / len(values) if values else None, current)
        mean = sum(values) / len(values)
        following = replace(beside.following(self.sizes, self.part), least_part=beside.least_part(self.movies))
        normal = self._normal(values, [time for _, time in known], following)
        least = max(abs(mean) * beside.threshold_pct / 100, LEAST_CHANGE)
        return _beside_range(
            self, values, current, Range(min(normal.low, mean - least), max(normal.high, mean + least))
        )

    def _normal(self, values: Sequence[float], times: Sequence[float], following: Next) -> Range:
        """Return the normal range on the scale of the statistic."""
        match self.scale:
            case "arrivals":
                return range_of_arrivals(values, times, following)
            case "share":
                return range_of_shares(values, times, following)
            case "plain":
                return range_of_figures(values, times, following, abs(sum(values) / len(values)) / 100)


@dataclass(frozen=True, slots=True)
class VolumeStatistic:
    """An amount: an alert when it collapses or jumps off its trend, never because of steady growth."""

    name: str
    of: Subject
    value: Callable[[PeriodStatistics], float]
    part: float = FLOORED_PART

    @property
    def unknown(self) -> Figure:
        """The result where nothing can be compared."""
        return Figure(self.name, self.of)

    def compare(self, beside: WindowComparison[PeriodStatistics]) -> Figure:
        """Return the amount of a period beside those of the windows."""
        values = [self.value(window) for window in beside.windows]
        times = [beside.time_of(window) for window in beside.windows]
        normal = range_of_volumes(values, times, beside.following((), self.part))
        return _beside_range(self, values, self.value(beside.current), normal)


@dataclass(frozen=True, slots=True)
class DistributionStatistic(Generic[Statistics]):
    """Shares by cell: an alert if they are farther from the windows' than these are from each other.

    Attributes:
        name: the statistic.
        of: the data that it describes.
        shares: the shares of a window; empty where it has none.
        size: the amount of data behind them.
        sizes: the numbers that their noise falls with, further ones than ``size``.
        movies: the numbers of movies behind the shares: that one of them comes or goes is no change.
    """

    name: str
    of: Subject
    shares: Callable[[Statistics], Mapping[str, float]]
    size: Callable[[Statistics], float]
    sizes: Sizes[Statistics] = ()
    part: float = 1.0
    movies: Sizes[Statistics] = ()

    @property
    def unknown(self) -> Distribution:
        """The result where nothing can be compared."""
        return Distribution(self.name, self.of)

    def compare(self, beside: WindowComparison[Statistics]) -> Distribution:
        """Return the distance of a period's shares from those of the windows."""
        known = [(window, shares) for window in beside.windows if (shares := self.shares(window))]
        current = self.shares(beside.current)
        if len(known) < MIN_WINDOWS or not current:
            return self.unknown
        cells = sorted({cell for _, shares in known for cell in shares} | set(current))
        table = np.array([[shares.get(cell, 0.0) for cell in cells] for _, shares in known])
        weights = [float(self.size(window)) for window, _ in known]
        noise = max(noise_of(weights, self.size(beside.current)), beside.noise(self.sizes))
        move = move_of(
            table,
            np.array(weights),
            [beside.time_of(window) for window, _ in known],
            np.array([current.get(cell, 0.0) for cell in cells]),
            Next(beside.time_of(beside.current), noise, beside.chance, beside.least_part(self.movies)),
        )
        return _of_move(self, move)


@dataclass(frozen=True, slots=True)
class TasteStatistic:
    """The mean rating of each genre; the result is that of the genre that moved farthest beyond its normal range."""

    name: str
    of: Subject
    sizes: Sizes[PeriodStatistics]
    part: float = MANY_GENRES_PART

    @property
    def unknown(self) -> Distribution:
        """The result where nothing can be compared."""
        return Distribution(self.name, self.of)

    def compare(self, beside: WindowComparison[PeriodStatistics]) -> Distribution:
        """Return the move of that genre's mean, in parts of the scale; the genres share the chance."""
        genres = {genre: known for genre in beside.current.segments[GENRE] if (known := _means_of(genre, beside))}
        if not genres:
            return self.unknown
        following = beside.following(self.sizes, self.part / len(genres))
        moves = [_taste_of(genre, known, beside, following) for genre, known in genres.items()]
        return _of_move(self, max(moves, key=lambda move: move.excess))


def noise_of(sizes: Sequence[float], size: float) -> float:
    """Return the standard deviation of a figure of ``size`` data relative to that of the others, at least 1."""
    return float(np.sqrt(max(1.0, float(np.median(sizes)) / size)))


@dataclass(frozen=True, slots=True)
class _Mean:
    """Mean rating of a genre in a window, the number of its ratings there, and the time of the window."""

    mean: float
    n_ratings: float
    time: float


def _means_of(genre: str, beside: WindowComparison[PeriodStatistics]) -> list[_Mean]:
    """Return a genre in the windows with enough ratings of it; empty for a genre that cannot be compared."""
    if beside.current.n_ratings * beside.current.segments[GENRE][genre].share < MIN_GENRE_RATINGS:
        return []
    known = [
        _Mean(part.mean_rating, window.n_ratings * part.share, beside.time_of(window))
        for window in beside.windows
        if (part := window.segments[GENRE].get(genre)) and window.n_ratings * part.share >= MIN_GENRE_RATINGS
    ]
    return known if len(known) >= MIN_WINDOWS else []


def _taste_of(genre: str, known: Sequence[_Mean], beside: WindowComparison[PeriodStatistics], following: Next) -> Move:
    """Return the move of a genre's mean in parts of the scale, and the largest normal move."""
    part = beside.current.segments[GENRE][genre]
    noise = noise_of([window.n_ratings for window in known], beside.current.n_ratings * part.share)
    normal = range_of_figures(
        [window.mean for window in known],
        [window.time for window in known],
        replace(following, noise=max(following.noise, noise)),
        beside.scale_width / 100,
    )
    reach = (normal.high - normal.low) / 2
    moved = abs(part.mean_rating - (normal.high + normal.low) / 2)
    return Move(moved / beside.scale_width, max(reach / beside.scale_width, LEAST_TASTE))


def _of_move(statistic: DistributionStatistic[Statistics] | TasteStatistic, move: Move) -> Distribution:
    """Return the result for a distance and its threshold."""
    verdict: DriftVerdict = "ALERT" if move.distance > move.threshold else "OK"
    return Distribution(statistic.name, statistic.of, move.distance, move.threshold, verdict)


def _beside_range(
    statistic: FigureStatistic[Statistics] | VolumeStatistic, values: Sequence[float], current: float, normal: Range
) -> Figure:
    """Return a figure beside bounds; the threshold is the change, in percent, at the bound on the side it moved to."""
    mean = sum(values) / len(values)
    verdict: DriftVerdict = "OK" if normal.low <= current <= normal.high else "ALERT"
    if not mean:  # there is no percentage of nothing
        return Figure(statistic.name, statistic.of, mean, current, None, None, verdict)
    threshold = abs((normal.high if current >= mean else normal.low) - mean) / abs(mean) * 100
    change_pct = (current - mean) / abs(mean) * 100
    return Figure(statistic.name, statistic.of, mean, current, change_pct, threshold, verdict)

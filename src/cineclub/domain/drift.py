"""Whether ratings or answers of a period differ from what was normal, and which parts of them moved most.

What is normal is learned from earlier windows of the same length, so that what changes from week to week anyway is no
alarm. Growth alone is none either: shares and means do not know how many ratings there are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import numpy as np

from cineclub.domain.normal_range import (
    CHANCE,
    MIN_WINDOWS,
    distance,
    farthest_normal,
    range_of_figures,
    range_of_shares,
    range_of_volumes,
    without_each,
)
from cineclub.domain.segment_changes import SegmentChange, segment_changes
from cineclub.domain.segments import ACTIVITY, DECADE, GENRE
from cineclub.domain.statistics import Baseline, PeriodStatistics

DriftVerdict = Literal["OK", "ALERT", "NOT_ENOUGH_DATA"]
Subject = Literal["ratings", "answers"]


@dataclass(frozen=True, slots=True)
class AnswerStatistics:
    """The answers of one period in numbers; None and nothing where there were none.

    Attributes:
        starts_at: from when on.
        ends_at: until when, exclusive.
        n_answers: how many answers were logged.
        n_scored: how many of those that were looked at are the serving version's own lists, of which the scores are.
        head_share: how many of the films shown, one in three answers counted three times, are the baseline's head.
        sampled_coverage: how many different films equally many answers of each period show, of the whole catalogue;
            None if there are fewer answers.
        genre_shares: by genre; a film shown counts for each of its genres in equal parts.
        cold_start_share: how many answers hold popular films in place of a personal model's.
        score_shares: (n_bins,) the share of scores in equal parts between the same two ends for every period, the
            lowest first, what lies beyond the ends in the outer parts; empty where the model that served is another.
    """

    starts_at: datetime
    ends_at: datetime
    n_answers: int
    n_scored: int
    head_share: float | None
    sampled_coverage: float | None
    genre_shares: Mapping[str, float]
    cold_start_share: float | None
    score_shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class StatisticChange:
    """One statistic beside what was normal.

    Attributes:
        name: of ``RATING_STATISTICS`` or ``ANSWER_STATISTICS``.
        of: what it is a statistic of.
        baseline: the mean over the baseline's windows; None for a distribution.
        current: the figure of the period; None for a distribution, or where it has none.
        change_pct: by how many percent it changed; None for a distribution, or of nothing.
        distance: how far a distribution is from the baseline's, 0 to 1; None for a figure.
        threshold: a change of so many percent, or such a distance, is an alert; None where none could be learned.
        verdict: what that says.
    """

    name: str
    of: Subject
    baseline: float | None
    current: float | None
    change_pct: float | None
    distance: float | None
    threshold: float | None
    verdict: DriftVerdict


@dataclass(frozen=True, slots=True)
class DriftComparison:
    """A period beside one baseline; segments come by how much they moved, most first."""

    verdict: DriftVerdict
    n_windows: int
    statistics: tuple[StatisticChange, ...]
    segments: tuple[SegmentChange, ...]


RATING_STATISTICS = (
    "mean_rating",
    "rating_distribution",
    "ratings_a_day",
    "active_users",
    "new_user_share",
    "new_movie_share",
    "popularity_gini",
    "genre_mix",
    "decade_mix",
    "ratings_per_user",
    "taste_by_genre",
)
VOLUMES = ("ratings_a_day", "active_users")
ANSWER_STATISTICS = (
    "answers_head_share",
    "answers_coverage",
    "answers_genre_mix",
    "answers_cold_start_share",
    "answers_score_distribution",
)

MIN_RATINGS, MIN_USERS = 100, 20
"""Windows with less are not compared."""

SHARES = {
    "new_user_share",
    "new_movie_share",
    "answers_head_share",
    "answers_coverage",
    "answers_cold_start_share",
}
"""Figures from 0 to 1 of which some are rare."""

MIN_ANSWERS = 100
MIN_GENRE_RATINGS = 30
LEAST_CHANGE = 0.01
"""A figure that moves by less is never an alert: a share of nothing at all may become one in a hundred."""

LEAST_TASTE = 0.03
"""A genre's mean that moves by less than this part of the scale is never an alert."""

WORDS = {name: name.removeprefix("answers_").replace("_", " ") for name in (*RATING_STATISTICS, *ANSWER_STATISTICS)}


def compare_ratings(baseline: Baseline, current: PeriodStatistics, threshold_pct: float) -> DriftComparison:
    """Return the ratings of a period beside a baseline.

    A figure is an alert if it changed by ``threshold_pct`` percent and lies beyond what the baseline's windows call
    normal; a distribution if it is farther from theirs than they are from each other. Volumes are alerts only when they
    collapse or jump. A window with too few ratings or users is compared by its volumes alone, an empty one not at all.
    """
    windows = [one for one in baseline.windows if is_enough(one)]
    if len(windows) < MIN_WINDOWS:
        return DriftComparison("NOT_ENOUGH_DATA", len(windows), _nothing_known(RATING_STATISTICS, "ratings"), ())
    beside = _Ratings(windows, current, threshold_pct, baseline.scale.highest - baseline.scale.lowest)
    if not current.n_ratings:
        found: tuple[StatisticChange, ...] = _nothing_known(RATING_STATISTICS, "ratings")
    elif is_enough(current):
        found = beside.all()
    else:
        volumes = {one.name: one for one in beside.volumes()}
        found = tuple(volumes.get(one.name, one) for one in _nothing_known(RATING_STATISTICS, "ratings"))
    changes = segment_changes(windows, current, beside.width) if is_enough(current) else ()
    return DriftComparison(_verdict_of(found), len(windows), found, changes)


def is_enough(period: PeriodStatistics) -> bool:
    """Say whether a period has enough ratings of enough people to be compared."""
    return period.n_ratings >= MIN_RATINGS and period.n_active_users >= MIN_USERS


def compare_answers(
    windows: Sequence[AnswerStatistics], current: AnswerStatistics, threshold_pct: float
) -> tuple[StatisticChange, ...]:
    """Return the statistics of the answers of a period beside those of earlier windows, judged as ratings are."""
    known = [one for one in windows if one.n_answers >= MIN_ANSWERS]
    if len(known) < MIN_WINDOWS or current.n_answers < MIN_ANSWERS:
        return _nothing_known(ANSWER_STATISTICS, "answers")
    sizes = [one.n_answers for one in known]
    noise = _noise(sizes, current.n_answers)

    def figure(name: str, values: Sequence[float | None], value: float | None) -> StatisticChange:
        return _figure((name, "answers"), values, value, threshold_pct, noise)

    def mix(name: str, shares: Sequence[Mapping[str, float]], of_current: Mapping[str, float]) -> StatisticChange:
        return _distribution((name, "answers"), shares, of_current, sizes, noise)

    return (
        figure("answers_head_share", [one.head_share for one in known], current.head_share),
        figure("answers_coverage", [one.sampled_coverage for one in known], current.sampled_coverage),
        mix("answers_genre_mix", [one.genre_shares for one in known], current.genre_shares),
        figure("answers_cold_start_share", [one.cold_start_share for one in known], current.cold_start_share),
        _score_distribution(known, current),
    )


def _score_distribution(windows: Sequence[AnswerStatistics], current: AnswerStatistics) -> StatisticChange:
    """Return the scores beside those of the windows in which the same version gave enough answers."""
    scored = [one for one in windows if one.n_scored >= MIN_ANSWERS]
    sizes = [one.n_scored for one in scored]
    shares = _by_position(current.score_shares) if current.n_scored >= MIN_ANSWERS else {}
    noise = _noise(sizes, current.n_scored) if scored and shares else 1.0
    name: tuple[str, Subject] = ("answers_score_distribution", "answers")
    return _distribution(name, [_by_position(one.score_shares) for one in scored], shares, sizes, noise)


def with_answers(comparison: DriftComparison, of_answers: tuple[StatisticChange, ...]) -> DriftComparison:
    """Return a comparison of ratings and answers together; answers that cannot be compared take nothing from it."""
    is_alert = any(one.verdict == "ALERT" for one in of_answers)
    return replace(
        comparison,
        verdict="ALERT" if is_alert else comparison.verdict,
        statistics=(*comparison.statistics, *of_answers),
    )


def overall(comparisons: Sequence[DriftComparison]) -> DriftVerdict:
    """Return the verdict over several baselines: an alert of any, else not enough data of any, else OK."""
    verdicts = {one.verdict for one in comparisons}
    if "ALERT" in verdicts:
        return "ALERT"
    return "OK" if verdicts == {"OK"} else "NOT_ENOUGH_DATA"


def summary_of(comparisons: Sequence[DriftComparison]) -> str:
    """Return in one sentence what moved most, or that nothing did."""
    verdict = overall(comparisons)
    if verdict == "ALERT":
        return _what_moved(next(one for one in comparisons if one.verdict == "ALERT"))
    if verdict == "OK":
        n_windows = min(one.n_windows for one in comparisons)
        return f"nothing moved beyond what is normal, beside {n_windows} windows"
    if not comparisons:
        return "not enough data: there is no baseline yet: train, or pin one"
    fewest = min(one.n_windows for one in comparisons)
    if fewest < MIN_WINDOWS:
        return (
            f"not enough data: the baseline has {fewest} windows with at least {MIN_RATINGS} ratings of {MIN_USERS} "
            f"users, and {MIN_WINDOWS} are needed: choose a longer window, or wait"
        )
    return f"not enough data: the window has fewer than {MIN_RATINGS} ratings or {MIN_USERS} users: choose a longer one"


@dataclass(frozen=True, slots=True)
class _Ratings:
    """A period that has ratings beside windows that all have enough.

    Attributes:
        windows: of the baseline, the oldest first.
        current: the period.
        threshold_pct: least change of a figure that is an alert.
        width: of the scale, in its own unit.
    """

    windows: Sequence[PeriodStatistics]
    current: PeriodStatistics
    threshold_pct: float
    width: float

    def all(self) -> tuple[StatisticChange, ...]:
        """Return every statistic, in the order of ``RATING_STATISTICS``."""
        ratings_a_day, active_users = self.volumes()
        return (
            self._figure("mean_rating", [one.mean_rating for one in self.windows], self.current.mean_rating),
            self._mix(
                "rating_distribution",
                [_by_position(one.rating_shares) for one in self.windows],
                _by_position(self.current.rating_shares),
            ),
            ratings_a_day,
            active_users,
            self._figure("new_user_share", [one.new_user_share for one in self.windows], self.current.new_user_share),
            self._figure(
                "new_movie_share", [one.new_movie_share for one in self.windows], self.current.new_movie_share
            ),
            self._figure(
                "popularity_gini",
                [one.sampled_popularity_gini for one in self.windows],
                self.current.sampled_popularity_gini,
            ),
            self._mix_of("genre_mix", GENRE),
            self._mix_of("decade_mix", DECADE),
            self._mix_of("ratings_per_user", ACTIVITY),
            self._taste_by_genre(),
        )

    def volumes(self) -> tuple[StatisticChange, StatisticChange]:
        """Return ratings a day and active users."""
        return (
            self._volume("ratings_a_day", lambda one: one.n_ratings / _days(one)),
            self._volume("active_users", lambda one: float(one.n_active_users)),
        )

    @property
    def noise(self) -> float:
        """How many times as noisy as the windows' the figures of the period are."""
        return _noise([one.n_ratings for one in self.windows], self.current.n_ratings)

    def _figure(self, name: str, values: Sequence[float | None], value: float | None) -> StatisticChange:
        """Return a figure beside the windows'."""
        return _figure((name, "ratings"), values, value, self.threshold_pct, self.noise)

    def _mix(self, name: str, shares: Sequence[Mapping[str, float]], current: Mapping[str, float]) -> StatisticChange:
        """Return a distribution beside the windows'."""
        return _distribution((name, "ratings"), shares, current, [one.n_ratings for one in self.windows], self.noise)

    def _mix_of(self, name: str, dimension: str) -> StatisticChange:
        """Return how the ratings fall on the parts of a dimension."""
        return self._mix(name, [_shares(one, dimension) for one in self.windows], _shares(self.current, dimension))

    def _volume(self, name: str, of: Callable[[PeriodStatistics], float]) -> StatisticChange:
        """Return a volume: an alert when it collapses or jumps."""
        values = [of(one) for one in self.windows]
        length = _days(self.windows[-1])
        positions = [(one.ends_at - self.windows[0].ends_at).total_seconds() / 86_400 / length for one in self.windows]
        at = (self.current.ends_at - self.windows[0].ends_at).total_seconds() / 86_400 / length
        normal = range_of_volumes(values, positions, at)
        return _beside_range((name, "ratings"), values, of(self.current), (normal.low, normal.high))

    def _taste_by_genre(self) -> StatisticChange:
        """Return the genre whose mean rating moved farthest, in parts of what is normal for it."""
        found = [one for genre in self.current.segments[GENRE] if (one := self._taste_of(genre)) is not None]
        if not found:
            return StatisticChange("taste_by_genre", "ratings", None, None, None, None, None, "NOT_ENOUGH_DATA")
        moved, normal = max(found, key=lambda one: one[0] / one[1])
        verdict: DriftVerdict = "ALERT" if moved > normal else "OK"
        return StatisticChange("taste_by_genre", "ratings", None, None, None, moved, normal, verdict)

    def _taste_of(self, genre: str) -> tuple[float, float] | None:
        """Return by how much of the scale a genre's mean moved, and how much is normal; None for a rare genre."""
        known = [
            (one.n_ratings * part.share, part.mean_rating)
            for one in self.windows
            if (part := one.segments[GENRE].get(genre))
        ]
        known = [(n_ratings, mean) for n_ratings, mean in known if n_ratings >= MIN_GENRE_RATINGS]
        part = self.current.segments[GENRE][genre]
        n_ratings = self.current.n_ratings * part.share
        if len(known) < MIN_WINDOWS or n_ratings < MIN_GENRE_RATINGS:
            return None
        noise = _noise([n for n, _ in known], n_ratings)
        chance = CHANCE / len(self.current.segments[GENRE])
        normal = range_of_figures([mean for _, mean in known], self.width / 100, noise, chance)
        reach = (normal.high - normal.low) / 2
        moved = abs(part.mean_rating - (normal.high + normal.low) / 2)
        return moved / self.width, max(reach / self.width, LEAST_TASTE)


def _figure(
    name: tuple[str, Subject], values: Sequence[float | None], value: float | None, threshold_pct: float, noise: float
) -> StatisticChange:
    """Return a figure beside the windows': an alert beyond the threshold and beyond what is normal."""
    known = [one for one in values if one is not None]
    if len(known) < MIN_WINDOWS or value is None:
        return StatisticChange(*name, _mean(known), value, None, None, None, "NOT_ENOUGH_DATA")
    mean = sum(known) / len(known)
    normal = range_of_shares(known, noise) if name[0] in SHARES else range_of_figures(known, abs(mean) / 100, noise)
    least = max(abs(mean) * threshold_pct / 100, LEAST_CHANGE)
    return _beside_range(name, known, value, (min(normal.low, mean - least), max(normal.high, mean + least)))


def _beside_range(
    name: tuple[str, Subject], values: Sequence[float], value: float, normal: tuple[float, float]
) -> StatisticChange:
    """Return a figure beside bounds; the threshold is the change, in percent, at the bound on the side it moved to."""
    mean, (low, high) = sum(values) / len(values), normal
    verdict: DriftVerdict = "OK" if low <= value <= high else "ALERT"
    if not mean:  # there is no percentage of nothing
        return StatisticChange(*name, mean, value, None, None, None, verdict)
    bound = high if value >= mean else low
    threshold = abs(bound - mean) / abs(mean) * 100
    return StatisticChange(*name, mean, value, (value - mean) / abs(mean) * 100, None, threshold, verdict)


def _distribution(
    name: tuple[str, Subject],
    shares: Sequence[Mapping[str, float]],
    current: Mapping[str, float],
    sizes: Sequence[int],
    noise: float,
) -> StatisticChange:
    """Return a distribution beside the windows': an alert if it is farther from them than they are from each other."""
    known = [(one, size) for one, size in zip(shares, sizes, strict=True) if one]
    if len(known) < MIN_WINDOWS or not current:
        return StatisticChange(*name, None, None, None, None, None, "NOT_ENOUGH_DATA")
    cells = sorted({cell for one, _ in known for cell in one} | set(current))
    table = np.array([[one.get(cell, 0.0) for cell in cells] for one, _ in known])
    weights = np.array([float(size) for _, size in known])
    apart = [distance(one, others) for one, others in zip(table, without_each(table, weights), strict=True)]
    found = distance(np.array([current.get(cell, 0.0) for cell in cells]), weights @ table / weights.sum())
    threshold = farthest_normal(apart, noise)
    return StatisticChange(*name, None, None, None, found, threshold, "ALERT" if found > threshold else "OK")


def _noise(sizes: Sequence[float], size: float) -> float:
    """Return how many times as noisy as usual a window of a size is: never less than one."""
    return float(np.sqrt(max(1.0, float(np.median(sizes)) / size)))


def _nothing_known(names: Sequence[str], of: Subject) -> tuple[StatisticChange, ...]:
    """Return statistics that cannot be compared."""
    return tuple(StatisticChange(name, of, None, None, None, None, None, "NOT_ENOUGH_DATA") for name in names)


def _verdict_of(found: Sequence[StatisticChange]) -> DriftVerdict:
    """Return the verdict over statistics: those that cannot be compared count only where none can."""
    verdicts = {one.verdict for one in found}
    if "ALERT" in verdicts:
        return "ALERT"
    is_comparable = any(one.verdict == "OK" and one.name not in VOLUMES for one in found)
    return "OK" if is_comparable else "NOT_ENOUGH_DATA"


def _what_moved(comparison: DriftComparison) -> str:
    """Return which statistics are alerts, the farthest beyond their thresholds first, and the part that moved most."""
    alerts = sorted((one for one in comparison.statistics if one.verdict == "ALERT"), key=_excess, reverse=True)
    named = [f"{WORDS[one.name]}{' of answers' if one.of == 'answers' else ''}{_figures_of(one)}" for one in alerts]
    text = f"beyond what is normal: {', '.join(named)}"
    if comparison.segments and any(one.of == "ratings" for one in alerts):
        most = comparison.segments[0]
        text += f"; most of it: {most.dimension} {most.name}"
    return text


def _figures_of(one: StatisticChange) -> str:
    """Return by how much a figure moved, and nothing for a distribution."""
    return "" if one.change_pct is None else f" ({one.change_pct:+.0f} %)"


def _excess(one: StatisticChange) -> float:
    """Return how many times its threshold a statistic moved."""
    moved = abs(one.change_pct or 0.0) if one.distance is None else one.distance
    return moved / one.threshold if one.threshold else float("inf")


def _shares(period: PeriodStatistics, dimension: str) -> dict[str, float]:
    """Return the share of each part of a dimension."""
    return {name: part.share for name, part in period.segments[dimension].items()}


def _by_position(shares: Sequence[float]) -> dict[str, float]:
    """Return shares by their position; nothing for those of nothing."""
    return {f"{nth:02}": share for nth, share in enumerate(shares)} if sum(shares) else {}


def _days(period: PeriodStatistics) -> float:
    """Return how many days a period has."""
    return (period.ends_at - period.starts_at).total_seconds() / 86_400


def _mean(values: Sequence[float]) -> float | None:
    """Return a mean; None of nothing."""
    return sum(values) / len(values) if values else None

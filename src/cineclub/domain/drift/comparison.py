"""Comparison of the ratings or responses of a period with their normal ranges, and the segments that moved most.

Normal ranges are learned from earlier windows of the same length, so that usual changes from week to week are no alert.
Growth alone is none either: shares and means do not depend on the number of ratings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cineclub.domain.drift.chances import chance_of_check, chance_of_each
from cineclub.domain.drift.changes import DriftVerdict, Figure, StatisticChange
from cineclub.domain.drift.compared_statistics import (
    MIN_RESPONSES,
    N_PARTS,
    OF_NEWEST,
    OF_RATINGS,
    OF_RESPONSES,
    VOLUMES,
)
from cineclub.domain.drift.normal_range import MIN_WINDOWS
from cineclub.domain.drift.periods import NEWEST_PART
from cineclub.domain.drift.responses import ResponseStatistics
from cineclub.domain.drift.segment_changes import SegmentChange, segment_changes
from cineclub.domain.drift.statistic_kinds import (
    VolumeStatistic,
    WindowComparison,
)
from cineclub.domain.drift.statistics import Baseline, PeriodStatistics

MIN_RATINGS, MIN_USERS = 100, 20
"""Windows with less are not compared."""

USUAL_CHANCE = chance_of_check(interval_days=1.0, window_days=7.0)
"""The chance of a false alarm of a daily check of a week."""


@dataclass(frozen=True, slots=True)
class DriftComparison:
    """A period beside one baseline; segments are ordered by how much they moved, most first."""

    verdict: DriftVerdict
    n_windows: int
    statistics: tuple[StatisticChange, ...]
    segments: tuple[SegmentChange, ...]


def compare_ratings(
    baseline: Baseline, current: PeriodStatistics, threshold_pct: float, chance: float = USUAL_CHANCE
) -> DriftComparison:
    """Return the ratings of a period beside a baseline.

    A figure is an alert if it changed by ``threshold_pct`` percent and lies beyond the normal range of the baseline's
    windows; a distribution if it is farther from theirs than they are from each other. Volumes are alerts only if they
    collapse or jump. A window with too few ratings or users is compared by its volumes alone, an empty one not at all.
    ``chance`` is that of a false alarm of the check, over all statistics of ratings and responses together.
    """
    windows = [window for window in baseline.windows if is_enough(window)]
    if len(windows) < MIN_WINDOWS:
        return DriftComparison(
            "NOT_ENOUGH_DATA", len(windows), tuple(statistic.unknown for statistic in OF_RATINGS), ()
        )
    width = baseline.scale.highest - baseline.scale.lowest
    beside = WindowComparison(windows, current, threshold_pct, width, chance_of_each(chance, N_PARTS))
    changes = tuple(
        statistic.compare(beside)
        if is_enough(current) or (current.n_ratings and isinstance(statistic, VolumeStatistic))
        else statistic.unknown
        for statistic in OF_RATINGS
    )
    segments = segment_changes(windows, current, width) if is_enough(current) else ()
    return DriftComparison(_verdict_of(changes), len(windows), changes, segments)


def is_enough(period: PeriodStatistics, n_parts: int = 1) -> bool:
    """Return whether a window, or one of its parts, has enough ratings of enough users to be compared."""
    return n_parts * period.n_ratings >= MIN_RATINGS and n_parts * period.n_active_users >= MIN_USERS


def with_newest(
    whole: DriftComparison,
    baseline: Baseline,
    current: PeriodStatistics,
    threshold_pct: float,
    chance: float = USUAL_CHANCE,
) -> DriftComparison:
    """Return the comparison of a window with that of its newest part.

    A fault of one day moves a window of three days by a third of what it moves that day alone. The part is compared if
    the window is, beyond its volumes. If it alone is an alert, the segments are those of the part.

    Args:
        whole: the comparison of the window.
        baseline: with windows as long as the part.
        current: the ratings of the part.
        threshold_pct: as for the window.
        chance: as for the window.
    """
    windows = [window for window in baseline.windows if is_enough(window, NEWEST_PART)]
    is_compared = any(change.verdict != "NOT_ENOUGH_DATA" for change in whole.statistics if change.name not in VOLUMES)
    if not is_compared or len(windows) < MIN_WINDOWS or not is_enough(current, NEWEST_PART):
        return with_changes(whole, tuple(statistic.unknown for statistic in OF_NEWEST))
    width = baseline.scale.highest - baseline.scale.lowest
    beside = WindowComparison(windows, current, threshold_pct, width, chance_of_each(chance, N_PARTS))
    both = with_changes(whole, tuple(statistic.compare(beside) for statistic in OF_NEWEST))
    is_of_part = whole.verdict != "ALERT" and both.verdict == "ALERT"
    return replace(both, segments=segment_changes(windows, current, width)) if is_of_part else both


def compare_responses(
    windows: Sequence[ResponseStatistics],
    current: ResponseStatistics,
    threshold_pct: float,
    chance: float = USUAL_CHANCE,
) -> tuple[StatisticChange, ...]:
    """Return the statistics of the responses of a period beside those of earlier windows."""
    known = [window for window in windows if window.n_responses >= MIN_RESPONSES]
    if len(known) < MIN_WINDOWS or current.n_responses < MIN_RESPONSES:
        return tuple(statistic.unknown for statistic in OF_RESPONSES)
    beside = WindowComparison(known, current, threshold_pct, 0.0, chance_of_each(chance, N_PARTS))
    return tuple(statistic.compare(beside) for statistic in OF_RESPONSES)


def with_changes(comparison: DriftComparison, further: tuple[StatisticChange, ...]) -> DriftComparison:
    """Return a comparison with further statistics; those that cannot be compared do not change its verdict."""
    is_alert = any(change.verdict == "ALERT" for change in further)
    return replace(
        comparison,
        verdict="ALERT" if is_alert else comparison.verdict,
        statistics=(*comparison.statistics, *further),
    )


def overall(comparisons: Sequence[DriftComparison]) -> DriftVerdict:
    """Return the verdict over several baselines: an alert of any, else not enough data of any, else OK."""
    verdicts = {comparison.verdict for comparison in comparisons}
    if "ALERT" in verdicts:
        return "ALERT"
    return "OK" if verdicts == {"OK"} else "NOT_ENOUGH_DATA"


def summary_of(comparisons: Sequence[DriftComparison]) -> str:
    """Return a sentence about the statistics that moved most, or that none did."""
    verdict = overall(comparisons)
    if verdict == "ALERT":
        return _alert_summary(next(comparison for comparison in comparisons if comparison.verdict == "ALERT"))
    if not comparisons:
        return "not enough data: there is no baseline yet: train, or pin one"
    fewest = min(comparison.n_windows for comparison in comparisons)
    if verdict == "OK":
        return f"nothing moved beyond what is normal, beside {fewest} windows"
    if fewest < MIN_WINDOWS:
        return (
            f"not enough data: the baseline has {fewest} windows with at least {MIN_RATINGS} ratings of {MIN_USERS} "
            f"users, and {MIN_WINDOWS} are needed: choose a longer window, or wait"
        )
    return f"not enough data: the window has fewer than {MIN_RATINGS} ratings or {MIN_USERS} users: choose a longer one"


def _verdict_of(changes: Sequence[StatisticChange]) -> DriftVerdict:
    """Return the verdict over statistics: not enough data where none but volumes can be compared."""
    if any(change.verdict == "ALERT" for change in changes):
        return "ALERT"
    is_comparable = any(change.verdict == "OK" and change.name not in VOLUMES for change in changes)
    return "OK" if is_comparable else "NOT_ENOUGH_DATA"


def _alert_summary(comparison: DriftComparison) -> str:
    """Return the alerts, largest multiple of the threshold first, and the segment that moved most."""
    alerts = [statistic for statistic in comparison.statistics if statistic.verdict == "ALERT"]
    alerts.sort(key=lambda alert: -alert.excess)
    text = f"beyond what is normal: {', '.join(map(_words_of, alerts))}"
    if comparison.segments and any(alert.of == "ratings" for alert in alerts):
        most = comparison.segments[0]
        text += f"; most of it: {most.dimension} {most.name}"
    return text


def _words_of(alert: StatisticChange) -> str:
    """Return the name of a statistic for people, with the change of a figure in percent."""
    words = alert.name.removeprefix("answers_").replace("_", " ") + (" of answers" if alert.of == "answers" else "")
    change_pct = alert.change_pct if isinstance(alert, Figure) else None
    return words if change_pct is None else f"{words} ({change_pct:+.0f} %)"

"""Months of drift checks without the service: eight checks a day, a baseline each night, as in a simulated month."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.adapters.files import open_source
from cineclub.domain.drift.chances import chance_of_check
from cineclub.domain.drift.comparison import MIN_USERS, DriftComparison, compare_ratings, with_newest
from cineclub.domain.drift.periods import NEWEST_PART, Period
from cineclub.domain.drift.statistics import (
    DAY,
    MAX_WINDOWS,
    Baseline,
    PeriodStatistics,
    baseline_of,
    statistics_between,
)
from cineclub.domain.ratings.imported import ImportedRatings
from cineclub.domain.ratings.log import RatingLog
from month.calendar import MARGIN, Calendar, shortest_window_days, split_by_time
from release_streams import ReleaseShape, release_stream
from section import table_of
from simulated_streams import SCALE, Stream, replayed

CHECKS_A_DAY, N_DAYS, WINDOW_DAYS = 8, 30, 1
SERVED_AFTER_DAYS = 0.4
"""So long after midnight the model of the night, and its baseline, are in production."""

COOLDOWN_DAYS = 1.0
THRESHOLD_PCT = 10.0
SEEDS, FAULTY_DAY = range(4), 14
HIT_PARTS = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Check:
    """A check, and its time in days after the start of the month."""

    at_days: float
    comparison: DriftComparison

    @property
    def alerting(self) -> list[str]:
        """The statistics beyond their thresholds."""
        return [change.name for change in self.comparison.statistics if change.verdict == "ALERT"]


@dataclass(frozen=True)
class ReplayedMonth:
    """The checks of the last ``n_days`` of a stream; its days count from 0.

    Attributes:
        stream: the ratings.
        first_day: the day of the stream on which the month begins.
        n_days: its length.
        window_days: the length of a window.
        windows: the statistics of windows by their end and length, in days; filled when they are needed.
    """

    stream: Stream
    first_day: int
    n_days: int
    window_days: int = WINDOW_DAYS
    windows: dict[tuple[float, float], PeriodStatistics] = field(default_factory=dict)

    @cached_property
    def log(self) -> RatingLog:
        """The ratings."""
        return self.stream.log()

    @cached_property
    def measure(self) -> Baseline:
        """The baseline of the ratings before the month."""
        before = self.log.take(np.flatnonzero(self.log.rated_at < self.first_day * DAY))
        return baseline_of(before, self.stream.movies, float(self.window_days))

    def with_fault(self, fault: Callable[[Stream, int], Stream], day: int) -> "ReplayedMonth":
        """Return the month with a fault that changes the ratings of a day, and keeps the windows before it."""
        begun = self.first_day + day
        earlier = {key: of_key for key, of_key in self.windows.items() if key[0] <= begun}
        return replace(self, stream=fault(self.stream, begun), windows=earlier)

    def checks(self, after: float = 0.0) -> Iterator[Check]:
        """Yield the checks after a time, in days after the start of the month."""
        times = [nth / CHECKS_A_DAY for nth in range(1, self.n_days * CHECKS_A_DAY + 1)]
        return (self._check(at) for at in times if at > after)

    def _check(self, at_days: float) -> Check:
        """Return a check beside the windows of the model in production that it does not overlap."""
        now, length = self.first_day + at_days, float(self.window_days)
        chance, part = chance_of_check(1 / CHECKS_A_DAY, length), length / NEWEST_PART
        whole = compare_ratings(self._baseline(at_days, length), self._window(now, length), THRESHOLD_PCT, chance)
        newest = self._baseline(at_days, part), self._window(now, part)
        return Check(at_days, with_newest(whole, *newest, THRESHOLD_PCT, chance))

    def _baseline(self, at_days: float, length: float) -> Baseline:
        """Return the windows of a length before the last night, without those that overlap the newest one."""
        now, night = self.first_day + at_days, self.first_day + float(np.floor(at_days - SERVED_AFTER_DAYS))
        ends = [night - nth * length for nth in reversed(range(MAX_WINDOWS))]
        windows = [self._window(end, length) for end in ends if length <= end <= now - length]
        return replace(self.measure, window_days=length, windows=tuple(windows))

    def _window(self, ends_at: float, length: float) -> PeriodStatistics:
        """Return the window of a length that ends at a time, both in days."""
        if (ends_at, length) not in self.windows:
            period = Period.of_microseconds(round((ends_at - length) * DAY), round(ends_at * DAY))
            self.windows[ends_at, length] = statistics_between(self.log, self.stream.movies, period, self.measure)
        return self.windows[ends_at, length]


def false_alarms(checks: Iterable[Check]) -> list[Check]:
    """Return the alarms of checks without a fault; one that goes on or comes back within a day counts once."""
    alarms, last_at = [], float("-inf")
    for check in checks:
        if check.comparison.verdict == "ALERT":
            if check.at_days - last_at > COOLDOWN_DAYS:
                alarms.append(check)
            last_at = check.at_days
    return alarms


def days_until_detected(month: ReplayedMonth, fault: Callable[[Stream, int], Stream], day: int) -> float | None:
    """Return the days from the start of a faulty day of the month to the first alert; None without one in that day."""
    checks = takewhile(lambda check: check.at_days <= day + 1, month.with_fault(fault, day).checks(day))
    return next((check.at_days - day for check in checks if check.comparison.verdict == "ALERT"), None)


def halved(stream: Stream, day: int, part: float) -> Stream:
    """Return a stream in which a part of the ratings of a day, counted from 0, arrives halved."""
    return _changed(stream, day, part, lambda ratings: np.maximum(np.floor(ratings / 2), stream.scale.lowest))


def mirrored_dramas(stream: Stream, day: int, part: float) -> Stream:
    """Return a stream in which the taste for dramas is reversed for a day, in a part of their ratings."""
    ends = stream.scale.lowest + stream.scale.highest
    return _changed(stream, day, part, lambda ratings: ends - ratings, stream.has_genre("Drama"))


def _changed(
    stream: Stream,
    day: int,
    part: float,
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    rows: NDArray[np.bool_] | None = None,
) -> Stream:
    """Return a stream with some ratings of a day changed."""
    is_hit = (stream.rated_at >= day * DAY) & (stream.rated_at < (day + 1) * DAY)
    is_hit &= np.random.default_rng(day).random(len(stream.ratings)) < part
    if rows is not None:
        is_hit &= rows
    return replace(stream, ratings=np.where(is_hit, change(stream.ratings), stream.ratings).astype(np.float32))


FAULTS: dict[str, Callable[[Stream, int, float], Stream]] = {
    "ratings of a day halved": halved,
    "taste for dramas reversed for a day": mirrored_dramas,
}


def months_figures() -> dict[str, Any]:
    """Return the false alarms of each simulated month, and how fast faults of each size are detected in them."""
    shape = ReleaseShape()
    alarms: list[list[tuple[float, list[str]]]] = []
    delays: dict[str, dict[str, list[float | None]]] = {name: {str(part): [] for part in HIT_PARTS} for name in FAULTS}
    for seed in SEEDS:
        ratings = release_stream(shape, np.random.default_rng(seed))
        month = ReplayedMonth(ratings, shape.n_days - N_DAYS, N_DAYS)
        alarms.append([(alarm.at_days, alarm.alerting) for alarm in false_alarms(month.checks())])
        for name, fault in FAULTS.items():
            for part in HIT_PARTS:
                delay = days_until_detected(month, partial(fault, part=part), FAULTY_DAY)
                delays[name][str(part)].append(delay)
        print(
            "month", seed, alarms[-1], {name: [of[-1] for of in by.values()] for name, by in delays.items()}, flush=True
        )
    return {"false_alarms": alarms, "days_until_detected": delays}


def real_months_figures(folders: Iterable[Path]) -> dict[str, Any]:
    """Return for each set of real ratings the false alarms of its month, and the delay of each fault on every day."""
    figures = {}
    for folder in folders:
        source = open_source(folder)
        imported = source.read(source.scale or SCALE, lambda _fraction, _part: None)
        calendar = split_by_time(imported.rows, N_DAYS)
        length = shortest_window_days(calendar, imported.rows.user_codes, round(MARGIN * MIN_USERS))
        month = ReplayedMonth(by_calendar(imported, calendar), calendar.n_past_days + 1, N_DAYS, length)
        alarms = [(alarm.at_days, alarm.alerting) for alarm in false_alarms(month.checks())]
        delays = {
            name: [days_until_detected(month, partial(fault, part=1.0), day) for day in range(N_DAYS)]
            for name, fault in FAULTS.items()
        }
        print(folder.name, length, alarms, delays, flush=True)
        figures[folder.name] = {"window_days": length, "false_alarms": alarms, "delays": delays}
    return figures


def by_calendar(imported: ImportedRatings, calendar: Calendar) -> Stream:
    """Return real ratings at the times that a simulated month gives them; its days follow those of the past."""
    begun, rows = calendar.n_past_days + 1, imported.rows
    positions = np.concatenate([calendar.past, *calendar.days])
    days = [begun - calendar.days_before]
    days += [begun + nth + np.arange(len(day)) / max(len(day), 1) for nth, day in enumerate(calendar.days)]
    order = np.argsort(np.concatenate(days), kind="stable")
    times, at = (np.concatenate(days)[order] * DAY).astype(np.int64), positions[order]
    whole = replayed(replace(imported, rows=replace(rows, rated_at=np.arange(len(rows), dtype=np.int64))))
    columns = (rows.user_codes[at].astype(np.int64), rows.movie_codes[at].astype(np.int64), rows.ratings[at], times)
    return Stream(*columns, whole.movies, imported.scale)


def real_months_text(figures: Mapping[str, Any]) -> list[str]:
    """Return the table of real months; empty without them."""
    if not figures:
        return []
    rows = [
        [name, str(of["window_days"]), str(len(of["false_alarms"])), *map(_detections, of["delays"].values())]
        for name, of in figures.items()
    ]
    columns = (f"{name}: days of {N_DAYS} (median delay)" for name in FAULTS)
    note = (
        f"The ratings of the simulated month, without the service: {N_DAYS} days, eight checks a day. Each fault is "
        f"injected into each of the {N_DAYS} days by itself, and counts if it is detected before that day is over."
    )
    return [table_of(["real ratings", "days of a window", "false alarms", *columns], rows, note)]


def months_text(figures: dict[str, Any]) -> str:
    """Return both tables."""
    causes = Counter(name for month in figures["false_alarms"] for _, names in month for name in names)
    counts = ", ".join(str(len(month)) for month in figures["false_alarms"])
    quiet = [["service that lives on new films", counts, ", ".join(f"{name} {n}" for name, n in causes.most_common())]]
    rows = [
        [name, *(_detections(of[str(part)]) for part in HIT_PARTS)]
        for name, of in figures["days_until_detected"].items()
    ]
    return "\n\n".join(
        [
            table_of(
                ["months of 30 days, 240 checks each", "false alarms", "statistics of these"],
                quiet,
                "Each number is one month. A window has a day and is checked eight times a day; the baseline is that "
                "of the last night. An alarm that comes back within a day counts once. Films come out and fade, the "
                "mix of decades moves steadily, newcomers come in waves, weekends are busier, and on one day in "
                "twenty an old film gets one in twelve ratings.",
            ),
            table_of(
                [
                    f"months of {len(SEEDS)} in which it is found within a day (median days)",
                    *(f"{part:.0%}" for part in HIT_PARTS),
                ],
                rows,
                "The columns say which part of the day's ratings, or of its dramas, is changed.",
            ),
        ]
    )


def _detections(delays: Sequence[float | None]) -> str:
    """Return the number of detections within a day, and the median time of these."""
    within = [delay for delay in delays if delay is not None and delay <= 1]
    return f"{len(within)} ({np.median(within):.2f})" if within else "0"

"""False alarms and detections of drift on simulated services.

Every week is compared with the windows before it, as in a service that trains each night.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cineclub.adapters.files import open_source
from cineclub.domain.drift.comparison import DriftComparison, compare_ratings, with_newest
from cineclub.domain.drift.periods import NEWEST_PART, Period
from cineclub.domain.drift.statistics import WINDOW_DAYS, Baseline, baseline_of, statistics_between
from drift_months import months_figures, months_text, real_months_figures, real_months_text
from report import machine, write_report
from section import table_of
from simulated_streams import (
    SCALE,
    WEEK,
    Event,
    Stream,
    StreamShape,
    collapsed,
    emptied,
    halved_for_a_day,
    other_genres,
    replayed,
    reversed_taste,
    stream,
    with_bot,
)

FIRST_WEEK, N_WEEKS = 27, 52
EVENT_WEEKS = (30, 38, 46, 54, 62)
REAL_RATINGS = Path(__file__).parents[2] / "shared" / "data" / "movietweetings-100k"
REAL_MONTHS = (REAL_RATINGS, REAL_RATINGS.parent / "ml-latest-small")
FIRST_REAL_WEEK = 8
THRESHOLD_PCT = 10.0
SHAPES = {
    "small and steady": StreamShape(n_users=100, growth=1.0),
    "growing by 2 % a week": StreamShape(n_users=200, growth=1.02),
    "growing by 5 % a week": StreamShape(n_users=100, growth=1.05),
    "shrinking by 1 % a week": StreamShape(n_users=400, growth=0.99),
    "large and steady": StreamShape(n_users=2000, growth=1.0),
}
SEEDS = (0, 1)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of the ratings, with the expected verdict, statistic and segment."""

    event: Event
    verdict: str
    statistic: str | None = None
    segment: tuple[str, str] | None = None

    def is_found(self, comparison: DriftComparison) -> bool:
        """Return whether a comparison reports the fault."""
        alerts = {statistic.name for statistic in comparison.statistics if statistic.verdict == "ALERT"}
        first = comparison.segments[0] if comparison.segments else None
        is_named = self.segment is None or (first is not None and (first.dimension, first.name) == self.segment)
        return comparison.verdict == self.verdict and (self.statistic is None or self.statistic in alerts) and is_named


TROUBLES = {
    "taste for horror reversed, named first": Trouble(reversed_taste, "ALERT", "taste_by_genre", ("genre", "Horror")),
    "all ratings halved for a day": Trouble(halved_for_a_day, "ALERT", "rating_distribution"),
    "a bot that rates 5,000 films, named as activity": Trouble(
        with_bot, "ALERT", "ratings_per_user", ("activity", "500+")
    ),
    "half of the dramas missing, named first": Trouble(other_genres, "ALERT", "genre_mix", ("genre", "Drama")),
    "four of five ratings lost": Trouble(collapsed, "ALERT", "ratings_a_day"),
    "an empty week: not enough data": Trouble(emptied, "NOT_ENOUGH_DATA"),
}


@dataclass(frozen=True, slots=True)
class WeeklyBaseline:
    """A baseline with windows of a week, and of the newest part of a week."""

    weeks: Baseline
    parts: Baseline

    @classmethod
    def before(cls, whole: Stream, week: int) -> "WeeklyBaseline":
        """Return the baseline of everything before a week."""
        log = whole.until(week).log()
        return cls(*(baseline_of(log, whole.movies, days) for days in (WINDOW_DAYS, WINDOW_DAYS / NEWEST_PART)))


def week_compared(whole: Stream, week: int, pinned: WeeklyBaseline | None = None) -> DriftComparison:
    """Return the comparison of a week with the baseline before it, or with a pinned one."""
    baseline = pinned or WeeklyBaseline.before(whole, week)
    period, log = Period.of_microseconds(week * WEEK, (week + 1) * WEEK), whole.until(week + 1).log()
    current = statistics_between(log, whole.movies, period, baseline.weeks)
    newest = statistics_between(log, whole.movies, period.newest_part, baseline.parts)
    compared = compare_ratings(baseline.weeks, current, THRESHOLD_PCT)
    return with_newest(compared, baseline.parts, newest, THRESHOLD_PCT)


def alarms_in(whole: Stream, weeks: Sequence[int]) -> list[int]:
    """Return the weeks with an alert."""
    return [week for week in weeks if week_compared(whole, week).verdict == "ALERT"]


def alarms_beside_pinned(whole: Stream, weeks: range) -> list[tuple[int, list[str]]]:
    """Return the weeks with an alert beside the baseline pinned before the first, with their statistics."""
    pinned = WeeklyBaseline.before(whole, weeks.start)
    compared = [(week, week_compared(whole, week, pinned)) for week in weeks]
    return [
        (week, [statistic.name for statistic in comparison.statistics if statistic.verdict == "ALERT"])
        for week, comparison in compared
        if comparison.verdict == "ALERT"
    ]


def times_found(whole: Stream, trouble: Trouble, weeks: Sequence[int] = EVENT_WEEKS) -> int:
    """Return the number of weeks in which a fault was detected within its window, each week on its own."""
    return sum(trouble.is_found(week_compared(trouble.event(whole, week), week)) for week in weeks)


def services() -> Iterator[tuple[str, list[Stream]]]:
    """Yield each kind of service with its streams."""
    for name, shape in SHAPES.items():
        yield name, [stream(shape, np.random.default_rng(seed)) for seed in SEEDS]


def main() -> None:
    """Simulate, print, write."""
    alarms: dict[str, list[list[int]]] = {}
    beside_pinned: dict[str, list[list[tuple[int, list[str]]]]] = {}
    weeks = range(FIRST_WEEK, FIRST_WEEK + N_WEEKS)
    n_detected: dict[str, dict[str, int]] = {}
    for name, streams in services():
        alarms[name] = [alarms_in(ratings, weeks) for ratings in streams]
        beside_pinned[name] = [alarms_beside_pinned(ratings, weeks) for ratings in streams]
        n_detected[name] = {
            trouble: sum(times_found(ratings, what) for ratings in streams) for trouble, what in TROUBLES.items()
        }
        print(name, alarms[name], beside_pinned[name], list(n_detected[name].values()), flush=True)
    figures = {"machine": machine(), "threshold_pct": THRESHOLD_PCT, "false_alarms": alarms, "found": n_detected}
    figures["alarms_beside_pinned"] = beside_pinned
    real = on_real_ratings() if REAL_RATINGS.is_dir() else {}
    months, real_months = months_figures(), real_months_figures(filter(Path.is_dir, REAL_MONTHS))
    texts = [text_of(alarms, beside_pinned, n_detected), *real_text(real), months_text(months)]
    texts += real_months_text(real_months)
    write_report("drift", {**figures, "real": real, "months": months, "real_months": real_months}, "\n\n".join(texts))


def on_real_ratings() -> dict[str, Any]:
    """Return the alerts in real ratings, and the number of detections of each fault in single weeks."""
    source = open_source(REAL_RATINGS)
    whole = replayed(source.read(source.scale or SCALE, lambda _fraction, _part: None))
    weeks = range(FIRST_REAL_WEEK, int(whole.rated_at.max()) // WEEK)
    n_detected = {name: times_found(whole, trouble, weeks) for name, trouble in TROUBLES.items()}
    return {"name": REAL_RATINGS.name, "n_weeks": len(weeks), "alarms": alarms_in(whole, weeks), "found": n_detected}


def real_text(real: Mapping[str, Any]) -> list[str]:
    """Return the table of real ratings; empty without them."""
    if not real:
        return []
    rows = [["no injected fault: alerts", f"{len(real['alarms'])} of {real['n_weeks']}"]]
    rows += [[trouble, f"{n_found} of {real['n_weeks']}"] for trouble, n_found in real["found"].items()]
    note = (
        "The ratings are replayed by their own times, week by week. Each fault is injected into one week and must be "
        "detected in it. Without half of the dramas their share falls from 20 to 12 of 100. Real weeks vary by nearly "
        "as much, so that it is seldom detected."
    )
    return [table_of([f"real ratings, {real['name']}", "weeks"], rows, note)]


def text_of(
    alarms: Mapping[str, Sequence[Sequence[int]]],
    beside_pinned: Mapping[str, Sequence[Sequence[tuple[int, list[str]]]]],
    n_detected: Mapping[str, Mapping[str, int]],
) -> str:
    """Return both tables."""
    n_tries = len(SEEDS) * len(EVENT_WEEKS)
    quiet = [
        [name, _numbers(alarms[name]), _numbers(beside_pinned[name]), _causes(beside_pinned[name])] for name in alarms
    ]
    rows = [[trouble, *(f"{of_shape[trouble]}" for of_shape in n_detected.values())] for trouble in TROUBLES]
    return "\n\n".join(
        [
            table_of(
                [
                    "a year of weekly checks",
                    f"alerts in {N_WEEKS} weeks",
                    "alerts with a pinned baseline",
                    "statistics of these",
                ],
                quiet,
                "These streams contain no fault, so every alert is false. Each number is one stream. The threshold is "
                f"{THRESHOLD_PCT:.0f} % and a window has 7 days. The baseline is computed again before each check, or "
                "pinned for the year.",
            ),
            table_of(
                [f"detected in the same week, of {n_tries}", *n_detected],
                rows,
                "Detected: the check has the expected verdict, the statistic of the fault is an alert, and the segment "
                "comes first if the row says so.",
            ),
        ]
    )


def _numbers(of_streams: Sequence[Sequence[Any]]) -> str:
    """Return the number of weeks with an alert, by stream."""
    return ", ".join(str(len(weeks)) for weeks in of_streams)


def _causes(of_streams: Sequence[Sequence[tuple[int, list[str]]]]) -> str:
    """Return the alarming statistics with their numbers of weeks, the most frequent first."""
    counts = Counter(name for weeks in of_streams for _, names in weeks for name in names)
    return ", ".join(f"{name} {n}" for name, n in counts.most_common())


if __name__ == "__main__":
    main()

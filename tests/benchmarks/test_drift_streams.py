"""Drift detection on simulated streams of ratings: few false alarms, and every fault detected."""

import sys
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from cineclub.adapters.files import demo_source, open_source
from cineclub.domain.drift.comparison import summary_of
from cineclub.domain.ratings.log import RatingScale

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from drift import (
    FIRST_WEEK,
    N_WEEKS,
    REAL_RATINGS,
    TROUBLES,
    alarms_beside_pinned,
    alarms_in,
    text_of,
    week_compared,
)
from drift_months import ReplayedMonth, days_until_detected, false_alarms, halved, months_text
from release_streams import ReleaseShape, release_stream
from simulated_streams import WEEK, Stream, StreamShape, replayed, reversed_taste, stream, with_bot


@cache
def growing() -> Stream:
    """Return a stream of a year and a half that grows by 2 % a week."""
    return stream(StreamShape(n_users=150, growth=1.02), np.random.default_rng(5))


@cache
def real() -> Stream:
    """Return real ratings by week; without them, the demo's in weeks of equal size."""
    if REAL_RATINGS.is_dir():
        source = open_source(REAL_RATINGS)
        return replayed(source.read(source.scale, lambda _fraction, _part: None))
    return replayed(demo_source().read(RatingScale(0.5, 5.0), lambda _fraction, _part: None), 52)


def test_a_year_of_stable_growth_has_two_alerts_at_most() -> None:
    """A service that nearly triples with the same mix has at most two alerts."""
    assert len(alarms_in(growing(), range(FIRST_WEEK, FIRST_WEEK + N_WEEKS))) <= 2


def test_a_year_of_stable_growth_has_two_alerts_at_most_beside_a_pinned_baseline() -> None:
    """The same holds beside a baseline pinned at the start."""
    assert len(alarms_beside_pinned(growing(), range(FIRST_WEEK, FIRST_WEEK + N_WEEKS))) <= 2


def test_an_alert_beside_a_pinned_baseline_comes_with_its_week_and_its_statistic() -> None:
    """A fault after a quiet week is reported for its own week, with its statistic."""
    week = FIRST_WEEK + 2
    broken = TROUBLES["four of five ratings lost"].event(growing(), week)
    [(alert_week, names)] = alarms_beside_pinned(broken, range(FIRST_WEEK, week + 1))
    assert alert_week == week
    assert "ratings_a_day" in names


def test_the_table_says_how_many_weeks_were_alarming_beside_a_pinned_baseline_and_by_what() -> None:
    """The table counts alarming weeks by statistic, the most frequent first, over all streams."""
    pinned = [[(30, ["genre_mix"]), (31, ["mean_rating", "genre_mix"])], []]
    table = text_of({"growing": [[], [40]]}, {"growing": pinned}, {"growing": dict.fromkeys(TROUBLES, 0)})
    assert "| growing | 0, 1 | 2, 0 | genre_mix 2, mean_rating 1 |" in table


@pytest.mark.parametrize("name", TROUBLES)
def test_every_trouble_is_found_within_its_window(name: str) -> None:
    """Each fault gives the expected verdict, statistic and, where it has one, leading segment."""
    week = FIRST_WEEK + 30
    comparison = week_compared(TROUBLES[name].event(growing(), week), week)
    assert TROUBLES[name].is_found(comparison), summary_of([comparison])


def test_what_goes_wrong_is_named() -> None:
    """The summary names the statistic and the segment that changed most."""
    week = FIRST_WEEK + 30
    assert "taste by genre" in summary_of([week_compared(reversed_taste(growing(), week), week)])
    assert summary_of([week_compared(reversed_taste(growing(), week), week)]).endswith("most of it: genre Horror")
    assert summary_of([week_compared(with_bot(growing(), week), week)]).endswith("most of it: activity 500+")


def test_real_ratings_as_they_came_raise_few_alerts() -> None:
    """At most one of the last weeks of real ratings is alarming."""
    last = int(real().rated_at.max()) // WEEK
    assert len(alarms_in(real(), range(last - 12, last))) <= 1


def test_a_bot_among_real_ratings_is_found() -> None:
    """A bot is reported as the segment of highest activity, first of all segments."""
    week = int(real().rated_at.max()) // WEEK - 2
    comparison = week_compared(with_bot(real(), week), week)
    assert comparison.verdict == "ALERT"
    assert (comparison.segments[0].dimension, comparison.segments[0].name) == ("activity", "500+")


@cache
def released() -> ReplayedMonth:
    """Return four days of checks of a small service that lives on new films, after three weeks."""
    shape = ReleaseShape(n_ratings=300, n_days=24)
    return ReplayedMonth(release_stream(shape, np.random.default_rng(3)), 20, 4)


def test_days_of_a_service_that_lives_on_new_films_raise_few_alerts() -> None:
    """Eight checks a day of four days are made, and at most one of the days is alarming."""
    checks = list(released().checks())
    assert [check.at_days for check in checks] == [nth / 8 for nth in range(1, 33)]
    assert len(false_alarms(checks)) <= 1


def test_ratings_that_arrive_halved_are_detected_within_the_day() -> None:
    """A day of halved ratings is an alert within half a day, and a day on which none is halved is not."""
    assert days_until_detected(released(), partial(halved, part=1.0), 2) <= 0.5
    assert days_until_detected(released(), partial(halved, part=0.0), 2) is None


def test_the_table_of_months_counts_alarms_and_detections_within_a_day() -> None:
    """The table has the number of alarms of each month, their statistics, and the faults found within a day."""
    delays = {"ratings halved": {"0.1": [None, None], "0.25": [0.5, None], "0.5": [0.25, 0.75], "1.0": [0.125, 0.125]}}
    alarms = [[(3.0, ["genre_mix"])], [(1.0, ["genre_mix"]), (9.0, ["mean_rating", "genre_mix"])]]
    table = months_text({"false_alarms": alarms, "days_until_detected": delays})
    assert "| 1, 2 | genre_mix 3, mean_rating 1 |" in table
    assert "| ratings halved | 0 | 1 (0.50) | 2 (0.50) | 2 (0.12) |" in table

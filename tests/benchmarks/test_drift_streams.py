"""Drift on streams of ratings: none where a service lives on as before, and every trouble where there is one."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cineclub.adapters.files import demo_source, open_source
from cineclub.domain.drift import summary_of
from cineclub.domain.ratings import RatingScale

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
from simulated_streams import WEEK, Stream, StreamShape, replayed, reversed_taste, stream, with_bot


@cache
def growing() -> Stream:
    """Return a year and a half of a service that grows by 2 % a week."""
    return stream(StreamShape(n_users=150, growth=1.02), np.random.default_rng(5))


@cache
def real() -> Stream:
    """Return real ratings: of weeks as they were, or where those are absent the demo's, equally many in each week."""
    if REAL_RATINGS.is_dir():
        source = open_source(REAL_RATINGS)
        return replayed(source.read(source.scale, lambda _fraction, _part: None))
    return replayed(demo_source().read(RatingScale(0.5, 5.0), lambda _fraction, _part: None), 52)


def test_a_year_of_stable_growth_has_two_alerts_at_most() -> None:
    """A service that nearly triples at the same mix stays OK."""
    assert len(alarms_in(growing(), range(FIRST_WEEK, FIRST_WEEK + N_WEEKS))) <= 2


def test_a_year_of_stable_growth_has_two_alerts_at_most_beside_a_pinned_baseline() -> None:
    """Though the service is far from what it was when that was pinned."""
    assert len(alarms_beside_pinned(growing(), range(FIRST_WEEK, FIRST_WEEK + N_WEEKS))) <= 2


def test_an_alert_beside_a_pinned_baseline_comes_with_its_week_and_its_statistic() -> None:
    """What goes wrong after a quiet week is told of that week alone, and by what."""
    week = FIRST_WEEK + 2
    broken = TROUBLES["four of five ratings lost"].event(growing(), week)
    [(found, names)] = alarms_beside_pinned(broken, range(FIRST_WEEK, week + 1))
    assert found == week
    assert "ratings_a_day" in names


def test_the_table_says_how_many_weeks_were_alarming_beside_a_pinned_baseline_and_by_what() -> None:
    """The most frequent statistic comes first, over all streams of a kind of service."""
    pinned = [[(30, ["genre_mix"]), (31, ["mean_rating", "genre_mix"])], []]
    table = text_of({"growing": [[], [40]]}, {"growing": pinned}, {"growing": dict.fromkeys(TROUBLES, 0)})
    assert "| growing | 0, 1 | 2, 0 | genre_mix 2, mean_rating 1 |" in table


@pytest.mark.parametrize("name", TROUBLES)
def test_every_trouble_is_found_within_its_window(name: str) -> None:
    """The verdict, the statistic that says it and, where it has one, the segment that is named first."""
    week = FIRST_WEEK + 30
    found = week_compared(TROUBLES[name].event(growing(), week), week)
    assert TROUBLES[name].is_found(found), summary_of([found])


def test_what_goes_wrong_is_named() -> None:
    """The sentence for people has the statistic and the part that moved most."""
    week = FIRST_WEEK + 30
    assert "taste by genre" in summary_of([week_compared(reversed_taste(growing(), week), week)])
    assert summary_of([week_compared(reversed_taste(growing(), week), week)]).endswith("most of it: genre Horror")
    assert summary_of([week_compared(with_bot(growing(), week), week)]).endswith("most of it: activity 500+")


def test_real_ratings_as_they_came_raise_few_alerts() -> None:
    """In the last weeks of real ratings at most one is alarming."""
    last = int(real().rated_at.max()) // WEEK
    assert len(alarms_in(real(), range(last - 12, last))) <= 1


def test_a_bot_among_real_ratings_is_found() -> None:
    """It is named as activity, first of all segments."""
    week = int(real().rated_at.max()) // WEEK - 2
    found = week_compared(with_bot(real(), week), week)
    assert found.verdict == "ALERT"
    assert (found.segments[0].dimension, found.segments[0].name) == ("activity", "500+")

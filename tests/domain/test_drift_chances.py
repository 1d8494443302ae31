"""The chance of a false alarm over all statistics and checks together."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.drift.chances import PROMISED_WINDOWS, chance_of_check, chance_of_each
from cineclub.domain.drift.compared_statistics import N_PARTS, OF_NEWEST, OF_RATINGS, OF_RESPONSES
from cineclub.domain.drift.comparison import compare_ratings, with_newest
from cineclub.domain.drift.statistics import Baseline, PeriodStatistics
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.ratings.segments import ACTIVITY, DECADE, GENRE, POPULARITY, SegmentRatings

START = datetime(2026, 1, 5, tzinfo=UTC)
SCALE = RatingScale(0.5, 5.0)
GENRES = ("Drama", "Comedy", "Action", "War")
EVEN = (0.1,) * 10
N_RATINGS, N_USERS = 2000, 200


def window(nth: int, rng: np.random.Generator, shift: float = 0.0) -> PeriodStatistics:
    """Return the statistics of a window of a stationary service, whose means are moved by ``shift`` deviations."""
    genres, decades, activity = (rng.multinomial(N_RATINGS, [0.4, 0.3, 0.2, 0.1]) / N_RATINGS for _ in range(3))
    mixes = {
        GENRE: dict(zip(GENRES, genres, strict=True)),
        DECADE: dict(zip(("80", "90", "00", "10"), decades, strict=True)),
    }
    parts = {
        name: SegmentRatings(share, 3.5 + 0.05 * (rng.normal() + shift), EVEN) for name, share in mixes[GENRE].items()
    }
    bands = {
        name: SegmentRatings(share, 3.5, EVEN)
        for name, share in zip(("1", "2-4", "5-19", "20-99"), activity, strict=True)
    }
    head = {"head": SegmentRatings(0.6, 3.5, EVEN), "tail": SegmentRatings(0.4, 3.5, EVEN)}
    return PeriodStatistics(
        starts_at=START + timedelta(days=nth),
        ends_at=START + timedelta(days=nth + 1),
        n_ratings=N_RATINGS,
        n_active_users=N_USERS,
        n_rated_movies=900,
        mean_rating=3.5 + 0.05 * (rng.normal() + shift),
        rating_shares=tuple((rng.multinomial(N_RATINGS, EVEN) / N_RATINGS).tolist()),
        ratings_per_user={},
        popularity_gini=0.6,
        sampled_popularity_gini=float(1 / (1 + np.exp(-rng.normal(0, 0.1)))),
        segments={GENRE: parts, DECADE: parts, ACTIVITY: bands, POPULARITY: head},
        new_user_share=0.2,
        new_movie_share=0.1,
        effective_users=100.0,
        effective_movies=100.0,
        mean_of_users=3.5 + 0.05 * (rng.normal() + shift),
        damped_mixes=mixes,
    )


def is_alert(n_windows: int, chance: float, rng: np.random.Generator, shift: float = 0.0) -> bool:
    """Return whether a window after some others is an alert, whatever the size of its change."""
    windows = tuple(window(nth, rng) for nth in range(n_windows))
    baseline = Baseline(SCALE, 1.0, 500, (1,), windows[0], windows)
    compared = compare_ratings(baseline, window(n_windows, rng, shift), 0.1, chance)
    parts = replace(baseline, windows=tuple(window(nth, rng) for nth in range(n_windows)))
    return with_newest(compared, parts, window(n_windows, rng, shift), 0.1, chance).verdict == "ALERT"


@given(st.floats(1e-5, 366), st.floats(1e-3, 366))
def test_the_checks_of_a_period_share_one_false_alarm(interval_days: float, window_days: float) -> None:
    """So many windows hold so many checks, whose chances add up to one at most, however often they are made."""
    chance = chance_of_check(interval_days, window_days)
    n_checks = PROMISED_WINDOWS * window_days / interval_days
    assert 0 < chance * n_checks <= 1 + 1e-9
    assert chance <= 1 / PROMISED_WINDOWS


@given(st.floats(1e-9, 1), st.integers(0, 2))
def test_baselines_and_statistics_share_the_chance_of_a_check(chance: float, n_baselines: int) -> None:
    """The parts of all statistics and baselines add up to the chance, and without a second baseline none is lost."""
    of_baseline = chance_of_each(chance, n_baselines)
    everything = (*OF_RATINGS, *OF_NEWEST, *OF_RESPONSES)
    parts = sum(statistic.part * chance_of_each(of_baseline, N_PARTS) for statistic in everything)
    assert max(n_baselines, 1) * parts == pytest.approx(chance)


@pytest.mark.parametrize("n_windows", [8, 26])
def test_all_statistics_together_alarm_as_rarely_as_promised(n_windows: int) -> None:
    """Of 100 checks of a stationary service with a chance of one half at most 50 are an alert, whatever moved."""
    rng = np.random.default_rng(n_windows)
    n_alerts = sum(is_alert(n_windows, 0.5, rng) for _ in range(100))
    assert 1 <= n_alerts <= 50


def test_larger_changes_are_detected_more_often() -> None:
    """With the chance of a daily check of a week three deviations are detected now and then, and five nearly always."""
    rates = []
    for shift in (0.0, 3.0, 5.0):
        rng = np.random.default_rng(11)
        rates.append(np.mean([is_alert(26, chance_of_check(1, 7), rng, shift) for _ in range(20)]))
    assert rates == sorted(rates)
    assert rates[0] <= 0.05
    assert rates[1] < 0.9
    assert rates[-1] > 0.9


def test_a_window_of_few_people_may_differ_more() -> None:
    """Ratings of one person resemble each other: what a hundred people make an alert is none of five."""
    rng = np.random.default_rng(12)
    windows = tuple(window(nth, rng) for nth in range(26))
    baseline = Baseline(SCALE, 1.0, 500, (1,), windows[0], windows)
    current = replace(window(26, rng), mean_rating=3.5 - 0.05 * 8)
    for effective_users, verdict in ((100.0, "ALERT"), (5.0, "OK"), (None, "ALERT")):
        comparison = compare_ratings(baseline, replace(current, effective_users=effective_users), 10.0)
        assert comparison.statistics[0].verdict == verdict, effective_users

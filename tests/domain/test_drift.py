"""What is compared to notice drift, and what is decided."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.drift import (
    ANSWER_STATISTICS,
    RATING_STATISTICS,
    VOLUMES,
    AnswerStatistics,
    DriftComparison,
    StatisticChange,
    compare_answers,
    compare_ratings,
    overall,
    summary_of,
    with_answers,
)
from cineclub.domain.ratings import RatingScale
from cineclub.domain.segments import ACTIVITY, DECADE, DIMENSIONS, GENRE, POPULARITY, SegmentRatings
from cineclub.domain.statistics import Baseline, PeriodStatistics

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
EVEN = (0.1,) * 10
SCALE = RatingScale(0.5, 5.0)


def part(share: float, mean: float = 3.5) -> SegmentRatings:
    """Return a part of the ratings."""
    return SegmentRatings(share, mean, EVEN)


def week(
    nth: int, n_ratings: int = 2000, n_users: int = 200, mean: float = 3.5, drama: float = 0.6
) -> PeriodStatistics:
    """Return a week, of which every other is a little different."""
    shift = 0.01 * (-1) ** nth
    return PeriodStatistics(
        starts_at=MONDAY + timedelta(weeks=nth),
        ends_at=MONDAY + timedelta(weeks=nth + 1),
        n_ratings=n_ratings,
        n_active_users=n_users,
        n_rated_movies=900,
        mean_rating=mean + shift,
        rating_shares=tuple(np.array(EVEN) + np.linspace(-shift, shift, 10) / 5),
        ratings_per_user={},
        popularity_gini=0.6,
        sampled_popularity_gini=0.5 + shift,
        segments={
            GENRE: {"Drama": part(drama + shift, mean + shift), "War": part(1 - drama - shift, mean - shift)},
            DECADE: {"1990": part(0.5 + shift), "2000": part(0.5 - shift)},
            ACTIVITY: {"5-19": part(0.5 + shift), "20-99": part(0.5 - shift)},
            POPULARITY: {"head": part(0.7 + shift), "tail": part(0.3 - shift)},
        },
        new_user_share=0.2 + shift,
        new_movie_share=0.05 + shift / 10,
    )


def baseline(n_windows: int = 12, growth: float = 1.0) -> Baseline:
    """Return a baseline of so many weeks."""
    windows = tuple(week(nth, int(2000 * growth**nth), int(200 * growth**nth)) for nth in range(n_windows))
    return Baseline(SCALE, 7.0, 500, (1,), windows[0], windows)


def verdicts(found: DriftComparison) -> dict[str, str]:
    """Return the verdict on each statistic."""
    return {one.name: one.verdict for one in found.statistics}


def test_a_week_as_all_others_is_ok() -> None:
    """Every statistic is compared, in the order that is documented, and none is alarming."""
    found = compare_ratings(baseline(), week(12), 10)
    assert tuple(one.name for one in found.statistics) == RATING_STATISTICS
    assert (found.verdict, set(verdicts(found).values()), found.n_windows) == ("OK", {"OK"}, 12)
    assert summary_of([found]) == "nothing moved beyond what is normal, beside 12 windows"


def test_a_mean_is_an_alert_beyond_the_threshold_and_beyond_what_is_normal() -> None:
    """3.5 stars that become 3.0 are 14 %: an alert at 10 %, none at 20 %."""
    lower = week(12, mean=3.0)
    assert verdicts(compare_ratings(baseline(), lower, 10))["mean_rating"] == "ALERT"
    assert verdicts(compare_ratings(baseline(), lower, 20))["mean_rating"] == "OK"
    mean = compare_ratings(baseline(), lower, 10).statistics[0]
    assert (mean.baseline, mean.current) == (pytest.approx(3.5), pytest.approx(3.01))
    assert (mean.change_pct, mean.threshold) == (pytest.approx(-14, abs=0.1), pytest.approx(10))


def test_what_varies_anyway_is_normal() -> None:
    """A share of new users that swings by half from week to week may go on doing so."""
    swinging = replace(
        baseline(),
        windows=tuple(
            replace(one, new_user_share=0.2 + 0.1 * (-1) ** nth) for nth, one in enumerate(baseline().windows)
        ),
    )
    assert verdicts(compare_ratings(swinging, replace(week(12), new_user_share=0.35), 10))["new_user_share"] == "OK"
    assert (
        verdicts(compare_ratings(baseline(), replace(week(12), new_user_share=0.35), 10))["new_user_share"] == "ALERT"
    )


def test_growth_alone_is_no_drift_and_a_collapse_is() -> None:
    """Ten percent more a week go on for ever; half of what was to be expected does not arrive unseen."""
    growing = baseline(growth=1.1)
    for n_ratings, verdict in (
        (int(2000 * 1.1**12), "OK"),
        (int(2000 * 1.1**14), "OK"),
        (900, "ALERT"),
        (60_000, "ALERT"),
    ):
        found = compare_ratings(growing, week(12, n_ratings, n_ratings // 10), 10)
        assert verdicts(found)["ratings_a_day"] == verdict, n_ratings
    assert "ratings a day (-" in summary_of([compare_ratings(growing, week(12, 600, 90), 10)])


def test_a_genre_that_moves_is_named_first() -> None:
    """Fewer dramas: the mix is an alert, and drama or its counterpart leads the segments."""
    found = compare_ratings(baseline(), week(12, drama=0.3), 10)
    assert verdicts(found)["genre_mix"] == "ALERT"
    assert found.segments[0].dimension == "genre"
    assert sum(one.share_of_change for one in found.segments if one.dimension == "genre") == pytest.approx(1)
    first = found.segments[0]
    assert {first.name} <= {"Drama", "War"}
    assert abs(first.current_share - first.baseline_share) == pytest.approx(0.3, abs=0.02)


def test_a_taste_that_turns_is_found_where_shares_are_as_before() -> None:
    """The mean of one genre falls by two stars, of the other it rises: the mix is the same, the taste is not."""
    turned = week(12)
    genres = {"Drama": part(0.61, 2.5), "War": part(0.39, 5.0)}
    found = compare_ratings(baseline(), replace(turned, segments={**turned.segments, GENRE: genres}), 10)
    assert (verdicts(found)["taste_by_genre"], verdicts(found)["genre_mix"]) == ("ALERT", "OK")


@pytest.mark.parametrize(
    ("n_ratings", "n_users", "verdict"),
    [(0, 0, "NOT_ENOUGH_DATA"), (99, 30, "ALERT"), (350, 9, "ALERT"), (350, 19, "NOT_ENOUGH_DATA")],
)
def test_too_little_is_compared_by_its_volumes_alone(n_ratings: int, n_users: int, verdict: str) -> None:
    """A window with few ratings or users may show a collapse, an empty one nothing, and neither is ever OK."""
    quiet = replace(baseline(), windows=tuple(week(nth, 400, 25) for nth in range(12)))
    found = compare_ratings(quiet, week(12, n_ratings, n_users), 10)
    others = {one.verdict for one in found.statistics if one.name not in VOLUMES}
    assert others == {"NOT_ENOUGH_DATA"}
    assert found.verdict == verdict
    assert found.segments == ()


def test_a_baseline_of_few_windows_is_not_enough() -> None:
    """Of three windows nothing is learned, and the sentence says what is missing."""
    found = compare_ratings(baseline(3), week(3), 10)
    assert (found.verdict, found.n_windows) == ("NOT_ENOUGH_DATA", 3)
    assert "3 windows" in summary_of([found])
    assert "no baseline" in summary_of([])


def answers(nth: int, n_answers: int = 500, **other: object) -> AnswerStatistics:
    """Return the answers of a week."""
    shift = 0.01 * (-1) ** nth
    usual = AnswerStatistics(
        starts_at=MONDAY + timedelta(weeks=nth),
        ends_at=MONDAY + timedelta(weeks=nth + 1),
        n_answers=n_answers,
        n_scored=n_answers,
        head_share=0.5 + shift,
        sampled_coverage=0.3 + shift,
        genre_shares={"Drama": 0.6 + shift, "War": 0.4 - shift},
        cold_start_share=0.1 + shift / 10,
        score_shares=EVEN,
    )
    return replace(usual, **other)  # type: ignore[arg-type]


def test_answers_are_compared_as_ratings_are() -> None:
    """Lists that turn to popular films are an alert, and the verdict over both says so."""
    before = [answers(nth) for nth in range(8)]
    usual = compare_answers(before, answers(8), 10)
    assert tuple(one.name for one in usual) == ANSWER_STATISTICS
    assert {one.verdict for one in usual} == {"OK"}
    popular = compare_answers(before, answers(8, head_share=0.9, cold_start_share=0.4), 10)
    assert {one.name for one in popular if one.verdict == "ALERT"} == {"answers_head_share", "answers_cold_start_share"}
    both = with_answers(compare_ratings(baseline(), week(12), 10), popular)
    assert both.verdict == "ALERT"
    assert "head share of answers (+80 %)" in summary_of([both])


def test_few_answers_take_nothing_from_what_the_ratings_say() -> None:
    """A service that was hardly asked is still OK by its ratings."""
    few = compare_answers([answers(nth) for nth in range(8)], answers(8, 99), 10)
    assert {one.verdict for one in few} == {"NOT_ENOUGH_DATA"}
    assert {one.verdict for one in compare_answers([answers(0)], answers(1), 10)} == {"NOT_ENOUGH_DATA"}
    of_ratings = compare_ratings(baseline(), week(12), 10)
    assert with_answers(of_ratings, few).verdict == "OK"


def test_scores_of_another_model_are_not_compared() -> None:
    """Where the windows' scores are another model's, they are empty, and nothing is said of them."""
    before = [answers(nth, score_shares=()) for nth in range(8)]
    found = {one.name: one.verdict for one in compare_answers(before, answers(8), 10)}
    assert found["answers_score_distribution"] == "NOT_ENOUGH_DATA"


def test_a_share_of_nothing_may_become_a_small_one() -> None:
    """A closed catalogue that gets one new film is no alert, one that gets a tenth anew is."""
    closed = tuple(replace(one, new_movie_share=0.0) for one in baseline().windows)
    for share, verdict in ((0.001, "OK"), (0.009, "OK"), (0.1, "ALERT")):
        found = compare_ratings(replace(baseline(), windows=closed), replace(week(12), new_movie_share=share), 10)
        assert verdicts(found)["new_movie_share"] == verdict, share


@pytest.mark.parametrize("weeks_later", [12, 52, 104, 260])
def test_growth_that_goes_on_is_ok_beside_a_baseline_that_stays(weeks_later: int) -> None:
    """A pinned baseline of a service that grew by 5 % a week alarms neither after a year nor after five."""
    n_ratings = int(2000 * 1.05**weeks_later)
    found = compare_ratings(baseline(26, 1.05), week(weeks_later, n_ratings, n_ratings // 10), 10)
    assert verdicts(found)["ratings_a_day"] == "OK"


def test_windows_with_few_scores_of_the_version_are_left_out() -> None:
    """A week in which it was promoted may hold many answers, and five of its own."""
    before = [answers(nth, n_scored=5, score_shares=(1.0, *EVEN[:9])) for nth in range(4)]
    before += [answers(nth) for nth in range(4, 8)]
    turned = (0.5, 0.5, *(0.0,) * 8)
    for n_scored, verdict in ((500, "ALERT"), (99, "NOT_ENOUGH_DATA")):
        found = compare_answers(before, answers(8, n_scored=n_scored, score_shares=turned), 10)
        assert {one.name: one.verdict for one in found}["answers_score_distribution"] == verdict


@pytest.mark.parametrize(
    ("verdicts_of", "expected"),
    [
        (("OK", "OK"), "OK"),
        (("OK", "ALERT"), "ALERT"),
        (("NOT_ENOUGH_DATA", "ALERT"), "ALERT"),
        (("OK", "NOT_ENOUGH_DATA"), "NOT_ENOUGH_DATA"),
        ((), "NOT_ENOUGH_DATA"),
    ],
)
def test_one_baseline_that_alarms_is_an_alert(verdicts_of: tuple[str, ...], expected: str) -> None:
    """A new model does not silently forgive what a pinned baseline still sees."""
    assert overall([DriftComparison(one, 8, (), ()) for one in verdicts_of]) == expected  # type: ignore[arg-type]


SHARES = st.lists(st.floats(0.01, 1), min_size=10, max_size=10).map(lambda ones: tuple(one / sum(ones) for one in ones))


@given(st.lists(SHARES, min_size=5, max_size=12), st.integers(1, 5000), st.integers(1, 500), st.floats(0.5, 5))
def test_whatever_the_windows_every_figure_is_sound(
    rows: list[tuple[float, ...]], n_ratings: int, n_users: int, mean: float
) -> None:
    """Distances and shares of change lie between 0 and 1, thresholds are positive, nothing is NaN."""
    windows = tuple(replace(week(nth), rating_shares=row) for nth, row in enumerate(rows[1:]))
    current = replace(week(20, n_ratings, n_users, mean=mean), rating_shares=rows[0])
    found = compare_ratings(Baseline(SCALE, 7.0, 500, (1,), windows[0], windows), current, 10)
    for one in found.statistics:
        assert one.distance is None or 0 <= one.distance <= 1
        assert one.threshold is None or (np.isfinite(one.threshold) and one.threshold > 0)
        assert one.change_pct is None or np.isfinite(one.change_pct)
    for dimension in DIMENSIONS:
        assert sum(one.share_of_change for one in found.segments if one.dimension == dimension) <= 1 + 1e-9
    assert found.verdict in ("OK", "ALERT", "NOT_ENOUGH_DATA")


def test_the_change_that_is_farthest_beyond_its_threshold_is_said_first() -> None:
    """Of several alerts the sentence begins with the worst."""
    changes = (
        StatisticChange("mean_rating", "ratings", 3.5, 3.0, -14.3, None, 10.0, "ALERT"),
        StatisticChange("genre_mix", "ratings", None, None, None, 0.4, 0.05, "ALERT"),
    )
    assert (
        summary_of([DriftComparison("ALERT", 8, changes, ())])
        == "beyond what is normal: genre mix, mean rating (-14 %)"
    )

"""Comparison of periods with their baseline, and the verdicts."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.drift.changes import Distribution, Figure
from cineclub.domain.drift.compared_statistics import NEWEST_STATISTICS, RATING_STATISTICS, RESPONSE_STATISTICS, VOLUMES
from cineclub.domain.drift.comparison import (
    DriftComparison,
    compare_ratings,
    compare_responses,
    overall,
    summary_of,
    with_changes,
    with_newest,
)
from cineclub.domain.drift.periods import NEWEST_PART, Period
from cineclub.domain.drift.responses import ResponseStatistics
from cineclub.domain.drift.statistics import Baseline, PeriodStatistics
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.ratings.segments import ACTIVITY, DECADE, DIMENSIONS, GENRE, POPULARITY, SegmentRatings

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
EVEN = (0.1,) * 10
SCALE = RatingScale(0.5, 5.0)


def part(share: float, mean: float = 3.5) -> SegmentRatings:
    """Return the statistics of a segment."""
    return SegmentRatings(share, mean, EVEN)


def week(
    nth: int, n_ratings: int = 2000, n_users: int = 200, mean: float = 3.5, drama: float = 0.6
) -> PeriodStatistics:
    """Return the statistics of a week; every other week differs a little."""
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
        damped_mixes={
            GENRE: {"Drama": drama + shift, "War": 1 - drama - shift},
            DECADE: {"1990": 0.5 + shift, "2000": 0.5 - shift},
        },
        **{field.name: 0.5 + shift for field in fields(PeriodStatistics) if field.default is None},
    )


def with_genres(period: PeriodStatistics, genres: dict[str, SegmentRatings]) -> PeriodStatistics:
    """Return a period with other ratings by genre."""
    mixes = {**period.damped_mixes, GENRE: {name: segment.share for name, segment in genres.items()}}
    return replace(period, segments={**period.segments, GENRE: genres}, damped_mixes=mixes)


def baseline(n_windows: int = 12, growth: float = 1.0) -> Baseline:
    """Return a baseline of a number of weeks."""
    windows = tuple(week(nth, int(2000 * growth**nth), int(200 * growth**nth)) for nth in range(n_windows))
    return Baseline(SCALE, 7.0, 500, (1,), windows[0], windows)


def verdicts(comparison: DriftComparison) -> dict[str, str]:
    """Return the verdicts by statistic."""
    return {statistic.name: statistic.verdict for statistic in comparison.statistics}


def test_a_week_as_all_others_is_ok() -> None:
    """Every statistic is compared, in the documented order, and none alarms."""
    comparison = compare_ratings(baseline(), week(12), 10)
    assert tuple(statistic.name for statistic in comparison.statistics) == RATING_STATISTICS
    assert (comparison.verdict, set(verdicts(comparison).values()), comparison.n_windows) == ("OK", {"OK"}, 12)
    assert summary_of([comparison]) == "nothing moved beyond what is normal, beside 12 windows"


def test_a_mean_is_an_alert_beyond_the_threshold_and_beyond_what_is_normal() -> None:
    """A fall from 3.5 to 3.0 stars, 14 %, alarms at a threshold of 10 % and not of 20 %."""
    lower = week(12, mean=3.0)
    assert verdicts(compare_ratings(baseline(), lower, 10))["mean_rating"] == "ALERT"
    assert verdicts(compare_ratings(baseline(), lower, 20))["mean_rating"] == "OK"
    mean = compare_ratings(baseline(), lower, 10).statistics[0]
    assert isinstance(mean, Figure)
    assert (mean.baseline, mean.current) == (pytest.approx(3.5), pytest.approx(3.01))
    assert (mean.change_pct, mean.threshold) == (pytest.approx(-14, abs=0.1), pytest.approx(10))


def of_newest(comparison: DriftComparison) -> dict[str, str]:
    """Return the verdicts of the statistics of the newest part."""
    return {name: verdict for name, verdict in verdicts(comparison).items() if name in NEWEST_STATISTICS}


def test_the_newest_part_of_a_window_is_compared_by_its_own() -> None:
    """Lower ratings of few people in the newest part are an alert with the part's own name and its own segments."""
    parts = replace(baseline(), windows=tuple(week(nth, 700, 70) for nth in range(12)))
    whole = compare_ratings(baseline(), week(12), 10)
    usual = with_newest(whole, parts, week(12, 700, 70), 10)
    assert tuple(of_newest(usual)) == NEWEST_STATISTICS
    assert (usual.verdict, usual.segments) == ("OK", whole.segments)
    war = with_genres(
        week(12, 700, 70, mean=2.0), {"Drama": part(0.6), "War": SegmentRatings(0.4, 1.0, (0.5, 0.5, *(0.0,) * 8))}
    )
    lower = with_newest(whole, parts, war, 10)
    assert (lower.verdict, of_newest(lower)["newest_mean_rating"]) == ("ALERT", "ALERT")
    assert summary_of([lower]).endswith("newest mean rating (-43 %); most of it: genre War")


@pytest.mark.parametrize(("effective_movies", "verdict"), [(100.0, "ALERT"), (4.0, "OK")])
def test_a_film_that_half_of_a_part_is_for_moves_its_means_alone(effective_movies: float, verdict: str) -> None:
    """The ratings of one film resemble each other, so that the part is as certain as its films allow."""
    parts = replace(
        baseline(),
        windows=tuple(
            replace(week(nth, 700, 70), effective_movies=100.0, mean_of_users=3.5 + 0.05 * (-1) ** nth)
            for nth in range(12)
        ),
    )
    part_of_week = replace(week(12, 700, 70, mean=4.1), effective_movies=effective_movies, mean_of_users=4.1)
    compared = of_newest(with_newest(compare_ratings(baseline(), week(12), 10), parts, part_of_week, 10))
    assert (compared["newest_mean_rating"], compared["newest_mean_of_users"]) == (verdict, verdict)


@pytest.mark.parametrize(("n_ratings", "n_users"), [(33, 8), (40, 6)])
def test_the_newest_part_needs_a_part_of_the_data(n_ratings: int, n_users: int) -> None:
    """A part with fewer than 34 ratings of 7 users is not compared, and changes no verdict."""
    parts = replace(baseline(), windows=tuple(week(nth, 40, 8) for nth in range(12)))
    compared = with_newest(compare_ratings(baseline(), week(12), 10), parts, week(12, n_ratings, n_users, mean=2.0), 10)
    assert (compared.verdict, set(of_newest(compared).values())) == ("OK", {"NOT_ENOUGH_DATA"})


def test_the_newest_part_of_a_window_that_cannot_be_compared_is_not_compared_either() -> None:
    """A window with too few users, or beside too few windows, stays at not enough data whatever its part shows."""
    parts = replace(baseline(), windows=tuple(week(nth, 40, 8) for nth in range(12)))
    for whole in (compare_ratings(baseline(), week(12, 1500, 19), 10), compare_ratings(baseline(3), week(12), 10)):
        compared = with_newest(whole, parts, week(12, 40, 8, mean=2.0), 10)
        assert (compared.verdict, set(of_newest(compared).values())) == (whole.verdict, {"NOT_ENOUGH_DATA"})


def test_the_newest_part_ends_with_its_window() -> None:
    """It is a third of the window, at its end."""
    whole = Period(MONDAY, MONDAY + timedelta(days=3))
    assert NEWEST_PART == 3
    assert whole.newest_part == Period(MONDAY + timedelta(days=2), MONDAY + timedelta(days=3))


def test_what_varies_anyway_is_normal() -> None:
    """A share of new users that usually varies by half raises no alert."""
    swinging = replace(
        baseline(),
        windows=tuple(
            replace(window, new_user_share=0.2 + 0.1 * (-1) ** nth) for nth, window in enumerate(baseline().windows)
        ),
    )
    assert verdicts(compare_ratings(swinging, replace(week(12), new_user_share=0.45), 10))["new_user_share"] == "OK"
    assert (
        verdicts(compare_ratings(baseline(), replace(week(12), new_user_share=0.45), 10))["new_user_share"] == "ALERT"
    )


def test_growth_alone_is_no_drift_and_a_collapse_is() -> None:
    """Growth of 10 % a week is OK; half of the expected ratings is an alert."""
    growing = baseline(growth=1.1)
    for n_ratings, verdict in (
        (int(2000 * 1.1**12), "OK"),
        (int(2000 * 1.1**14), "OK"),
        (900, "ALERT"),
        (60_000, "ALERT"),
    ):
        comparison = compare_ratings(growing, week(12, n_ratings, n_ratings // 10), 10)
        assert verdicts(comparison)["ratings_a_day"] == verdict, n_ratings
    assert "ratings a day (-" in summary_of([compare_ratings(growing, week(12, 600, 90), 10)])


def test_a_genre_that_moves_is_named_first() -> None:
    """With fewer dramas the mix is an alert, and drama leads the segments before the genres that grew."""

    def of_three(period: PeriodStatistics, drama: float) -> PeriodStatistics:
        shift = period.segments[GENRE]["Drama"].share - 0.6
        genres = {"Drama": part(drama + shift)} | dict.fromkeys(("War", "Western"), part((1 - drama) / 2 + shift))
        return with_genres(period, genres)

    windows = tuple(of_three(window, 0.6) for window in baseline().windows)
    comparison = compare_ratings(replace(baseline(), whole=windows[0], windows=windows), of_three(week(12), 0.3), 10)
    assert verdicts(comparison)["genre_mix"] == "ALERT"
    assert comparison.segments[0].dimension == "genre"
    assert sum(
        segment.share_of_change for segment in comparison.segments if segment.dimension == "genre"
    ) == pytest.approx(1)
    first = comparison.segments[0]
    assert first.name == "Drama"
    assert abs(first.current_share - first.baseline_share) == pytest.approx(0.3, abs=0.02)


def test_a_taste_that_turns_is_found_where_shares_are_as_before() -> None:
    """One genre's mean falls by two stars and another's rises: the mix is OK, the taste is an alert."""
    turned = week(12)
    genres = {"Drama": part(0.61, 2.5), "War": part(0.39, 5.0)}
    comparison = compare_ratings(baseline(), with_genres(turned, genres), 10)
    assert (verdicts(comparison)["taste_by_genre"], verdicts(comparison)["genre_mix"]) == ("ALERT", "OK")


@pytest.mark.parametrize(
    ("n_ratings", "n_users", "verdict"),
    [(0, 0, "NOT_ENOUGH_DATA"), (99, 30, "ALERT"), (350, 9, "ALERT"), (350, 19, "NOT_ENOUGH_DATA")],
)
def test_too_little_is_compared_by_its_volumes_alone(n_ratings: int, n_users: int, verdict: str) -> None:
    """With few ratings or users only volumes are compared, and the verdict is never OK."""
    quiet = replace(baseline(), windows=tuple(week(nth, 400, 25) for nth in range(12)))
    comparison = compare_ratings(quiet, week(12, n_ratings, n_users), 10)
    others = {statistic.verdict for statistic in comparison.statistics if statistic.name not in VOLUMES}
    assert others == {"NOT_ENOUGH_DATA"}
    assert comparison.verdict == verdict
    assert comparison.segments == ()


def test_a_baseline_of_few_windows_is_not_enough() -> None:
    """Three windows are NOT_ENOUGH_DATA, and the summary says what is missing."""
    comparison = compare_ratings(baseline(3), week(3), 10)
    assert (comparison.verdict, comparison.n_windows) == ("NOT_ENOUGH_DATA", 3)
    assert "3 windows" in summary_of([comparison])
    assert "no baseline" in summary_of([])


def responses(nth: int, n_responses: int = 500, **other: object) -> ResponseStatistics:
    """Return the statistics of a week's responses."""
    shift = 0.01 * (-1) ** nth
    usual = ResponseStatistics(
        starts_at=MONDAY + timedelta(weeks=nth),
        ends_at=MONDAY + timedelta(weeks=nth + 1),
        n_responses=n_responses,
        n_scored=n_responses,
        effective_movies=300.0,
        head_share=0.5 + shift,
        sampled_coverage=0.3 + shift,
        genre_shares={"Drama": 0.6 + shift, "War": 0.4 - shift},
        cold_start_share=0.1 + shift / 10,
        score_shares=EVEN,
    )
    return replace(usual, **other)  # type: ignore[arg-type]


def test_responses_are_compared_as_ratings_are() -> None:
    """Lists that turn to popular films are an alert, in the overall verdict too."""
    before = [responses(nth) for nth in range(8)]
    usual = compare_responses(before, responses(8), 10)
    assert tuple(statistic.name for statistic in usual) == RESPONSE_STATISTICS
    assert {statistic.verdict for statistic in usual} == {"OK"}
    popular = compare_responses(before, responses(8, head_share=0.9, cold_start_share=0.4), 10)
    assert {statistic.name for statistic in popular if statistic.verdict == "ALERT"} == {
        "answers_head_share",
        "answers_cold_start_share",
    }
    both = with_changes(compare_ratings(baseline(), week(12), 10), popular)
    assert both.verdict == "ALERT"
    assert "head share of answers (+80 %)" in summary_of([both])


@pytest.mark.parametrize(("effective_movies", "verdict"), [(12.0, "OK"), (1.0, "OK"), (300.0, "ALERT")])
def test_a_film_that_leaves_lists_of_few_films_is_no_alert(effective_movies: float, verdict: str) -> None:
    """Where everybody gets the same dozen films one of them is a twelfth of all; among hundreds so much is a change."""
    before = [responses(nth, head_share=1.0, effective_movies=effective_movies) for nth in range(8)]
    current = responses(8, head_share=0.88, effective_movies=effective_movies)
    assert {change.name: change.verdict for change in compare_responses(before, current, 10)}[
        "answers_head_share"
    ] == verdict
    mixed = responses(8, effective_movies=effective_movies, genre_shares={"Drama": 0.47, "War": 0.53})
    assert {change.name: change.verdict for change in compare_responses(before, mixed, 10)}[
        "answers_genre_mix"
    ] == verdict


def test_lists_that_become_the_same_for_everybody_are_an_alert() -> None:
    """Hundreds of films in the windows and ten now: the few films of the present widen no range."""
    before = [responses(nth) for nth in range(8)]
    same = responses(8, effective_movies=10.0, head_share=1.0, genre_shares={"Drama": 1.0, "War": 0.0})
    verdict_of = {change.name: change.verdict for change in compare_responses(before, same, 10)}
    assert (verdict_of["answers_head_share"], verdict_of["answers_genre_mix"]) == ("ALERT", "ALERT")


def test_few_responses_take_nothing_from_what_the_ratings_say() -> None:
    """A service with few requests is OK by its ratings."""
    few = compare_responses([responses(nth) for nth in range(8)], responses(8, 99), 10)
    assert {statistic.verdict for statistic in few} == {"NOT_ENOUGH_DATA"}
    assert {change.verdict for change in compare_responses([responses(0)], responses(1), 10)} == {"NOT_ENOUGH_DATA"}
    of_ratings = compare_ratings(baseline(), week(12), 10)
    assert with_changes(of_ratings, few).verdict == "OK"


def test_scores_of_another_model_are_not_compared() -> None:
    """Scores of another model in the windows are empty and are not compared."""
    before = [responses(nth, score_shares=()) for nth in range(8)]
    verdict_of = {change.name: change.verdict for change in compare_responses(before, responses(8), 10)}
    assert verdict_of["answers_score_distribution"] == "NOT_ENOUGH_DATA"


def test_a_share_of_nothing_may_become_a_small_one() -> None:
    """In a closed catalogue one new film is no alert, and a tenth of new films is."""
    closed = tuple(replace(window, new_movie_share=0.0) for window in baseline().windows)
    for share, verdict in ((0.001, "OK"), (0.009, "OK"), (0.1, "ALERT")):
        comparison = compare_ratings(replace(baseline(), windows=closed), replace(week(12), new_movie_share=share), 10)
        assert verdicts(comparison)["new_movie_share"] == verdict, share


@pytest.mark.parametrize("weeks_later", [12, 52, 104, 260])
def test_growth_that_goes_on_is_ok_beside_a_baseline_that_stays(weeks_later: int) -> None:
    """Beside a pinned baseline, growth of 5 % a week alarms neither after a year nor after five."""
    n_ratings = int(2000 * 1.05**weeks_later)
    comparison = compare_ratings(baseline(26, 1.05), week(weeks_later, n_ratings, n_ratings // 10), 10)
    assert verdicts(comparison)["ratings_a_day"] == "OK"


def test_windows_with_few_scores_of_the_version_are_left_out() -> None:
    """A week with few scores of the version is left out, however many responses it holds."""
    before = [responses(nth, n_scored=5, score_shares=(1.0, *EVEN[:9])) for nth in range(4)]
    before += [responses(nth) for nth in range(4, 8)]
    turned = (0.5, 0.5, *(0.0,) * 8)
    for n_scored, verdict in ((500, "ALERT"), (99, "NOT_ENOUGH_DATA")):
        changes = compare_responses(before, responses(8, n_scored=n_scored, score_shares=turned), 10)
        assert {change.name: change.verdict for change in changes}["answers_score_distribution"] == verdict


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
    """An alert beside the pinned baseline is an alert although the new model's baseline is OK."""
    assert overall([DriftComparison(verdict, 8, (), ()) for verdict in verdicts_of]) == expected  # type: ignore[arg-type]


SHARES = st.lists(st.floats(0.01, 1), min_size=10, max_size=10).map(
    lambda weights: tuple(weight / sum(weights) for weight in weights)
)


@given(st.lists(SHARES, min_size=5, max_size=12), st.integers(1, 5000), st.integers(1, 500), st.floats(0.5, 5))
def test_whatever_the_windows_every_figure_is_sound(
    rows: list[tuple[float, ...]], n_ratings: int, n_users: int, mean: float
) -> None:
    """Distances and shares of change lie in [0, 1], thresholds are positive, and nothing is NaN."""
    windows = tuple(replace(week(nth), rating_shares=row) for nth, row in enumerate(rows[1:]))
    current = replace(week(20, n_ratings, n_users, mean=mean), rating_shares=rows[0])
    comparison = compare_ratings(Baseline(SCALE, 7.0, 500, (1,), windows[0], windows), current, 10)
    for statistic in comparison.statistics:
        if isinstance(statistic, Distribution):
            assert statistic.distance is None or 0 <= statistic.distance <= 1
        else:
            assert statistic.change_pct is None or np.isfinite(statistic.change_pct)
        assert statistic.threshold is None or (np.isfinite(statistic.threshold) and statistic.threshold > 0)
    for dimension in DIMENSIONS:
        assert (
            sum(segment.share_of_change for segment in comparison.segments if segment.dimension == dimension)
            <= 1 + 1e-9
        )
    assert comparison.verdict in ("OK", "ALERT", "NOT_ENOUGH_DATA")


def test_the_change_that_is_farthest_beyond_its_threshold_is_named_first() -> None:
    """The summary begins with the change farthest beyond its threshold."""
    changes = (
        Figure("mean_rating", "ratings", 3.5, 3.0, -14.3, 10.0, "ALERT"),
        Distribution("genre_mix", "ratings", 0.4, 0.05, "ALERT"),
    )
    assert (
        summary_of([DriftComparison("ALERT", 8, changes, ())])
        == "beyond what is normal: genre mix, mean rating (-14 %)"
    )

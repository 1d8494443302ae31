"""Statistics of a period, checked by hand."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from log_strategies import rating_logs

from cineclub.domain.documents import to_document
from cineclub.domain.drift import statistics
from cineclub.domain.drift.concentration import gini
from cineclub.domain.drift.statistics import baseline_of
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale
from cineclub.domain.ratings.segments import DIMENSIONS

START = datetime(2024, 1, 1, tzinfo=UTC)
MOVIES = (
    Movie(10, "a", "A", 1994, ("Drama", "War")),
    Movie(11, "b", "B", 1999, ("Drama",)),
    Movie(12, "c", "C", None, ()),
)


def log_of(*rows: tuple[int, int, float, float]) -> RatingLog:
    """Return a log of rows (user, film, rating, day)."""
    users, movies, ratings, days = zip(*rows, strict=True)
    began = (START - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return RatingLog.from_columns(
        np.array(users, np.int64),
        np.array(movies, np.int64),
        np.array(ratings, np.float32),
        began + (np.array(days) * statistics.DAY).astype(np.int64),
        RatingScale(0.5, 5.0),
    )


LOG = log_of(
    (1, 10, 5.0, 0),
    (1, 11, 4.0, 1),
    (2, 10, 0.5, 2),
    (1, 12, 3.0, 13),
    (3, 10, 4.5, 15),
    (3, 11, 4.5, 15.5),
    (2, 11, 2.0, 20),
)


def shares_of(period: statistics.PeriodStatistics, dimension: str) -> dict[str, float]:
    """Return the shares of a dimension's segments."""
    return {name: segment.share for name, segment in period.segments[dimension].items()}


def test_the_whole_log_by_hand() -> None:
    """Counts, mean, shares and quantiles of seven ratings."""
    whole = baseline_of(LOG, MOVIES).whole
    assert (whole.n_ratings, whole.n_active_users, whole.n_rated_movies) == (7, 3, 3)
    assert whole.mean_rating == pytest.approx(23.5 / 7)
    assert whole.rating_shares == pytest.approx([1 / 7, 0, 0, 1 / 7, 0, 1 / 7, 0, 1 / 7, 2 / 7, 1 / 7])
    assert whole.ratings_per_user["0.5"] == 2
    assert shares_of(whole, "genre") == pytest.approx({"(none)": 1 / 7, "Drama": 4.5 / 7, "War": 1.5 / 7})
    assert shares_of(whole, "decade") == pytest.approx({"(unknown)": 1 / 7, "1990": 6 / 7})
    assert shares_of(whole, "activity") == pytest.approx({"2-4": 1})
    assert shares_of(whole, "popularity") == pytest.approx({"head": 3 / 7, "tail": 4 / 7})
    war = whole.segments["genre"]["War"]
    assert war.mean_rating == pytest.approx((5 + 0.5 + 4.5) / 3)
    assert war.rating_shares == pytest.approx([1 / 3, 0, 0, 0, 0, 0, 0, 0, 1 / 3, 1 / 3])
    assert whole.segments["decade"]["(unknown)"].mean_rating == 3
    assert baseline_of(LOG, MOVIES).head_movie_ids == (10,)
    assert (whole.new_user_share, whole.new_movie_share, whole.sampled_popularity_gini) == (None, None, None)
    assert whole.popularity_gini == pytest.approx(gini(np.array([3, 3, 1])))


def test_windows_end_with_the_newest_rating_and_lie_in_the_log_as_a_whole() -> None:
    """Twenty days hold two weeks; users and films are new in the first window that has them."""
    older, newer = baseline_of(LOG, MOVIES).windows
    assert newer.ends_at == START + timedelta(days=20, microseconds=1)
    assert (newer.starts_at, older.ends_at) == (newer.ends_at - timedelta(days=7), newer.starts_at)
    assert (newer.n_ratings, older.n_ratings) == (3, 1)
    assert (newer.new_user_share, newer.new_movie_share) == (0.5, 0.0)
    assert (older.new_user_share, older.new_movie_share) == (0.0, 1.0)
    assert len(baseline_of(LOG, MOVIES, max_windows=1).windows) == 1


def test_an_empty_window_has_no_mean_and_no_shares() -> None:
    """A window without ratings has no mean and no shares."""
    silent = log_of((1, 10, 5.0, 0), (1, 11, 4.0, 21))
    empty = baseline_of(silent, MOVIES).windows[1]
    assert (empty.n_ratings, empty.mean_rating, empty.popularity_gini, empty.new_user_share) == (0, None, None, None)
    assert (sum(empty.rating_shares), empty.ratings_per_user) == (0, {})
    assert set(empty.segments) == set(DIMENSIONS)
    assert not any(empty.segments.values())


def test_concentration_by_hand() -> None:
    """The Gini index of equal counts is 0, that of one film with everything among n nearly 1."""
    assert gini(np.array([4, 4, 4])) == pytest.approx(0)
    assert gini(np.array([1, 3])) == pytest.approx(0.25)
    assert gini(np.array([1] * 99 + [10_000])) == pytest.approx(0.98, abs=0.01)
    assert gini(np.array([], np.int64)) is None


def test_the_sampled_concentration_does_not_grow_with_the_number_of_ratings(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ten times the ratings of the same tastes the plain index changes, that of equal samples does not."""
    monkeypatch.setattr(statistics, "SAMPLE_SIZE", 500)

    def drawn(n_users: int) -> statistics.PeriodStatistics:
        rng = np.random.default_rng(3)
        share = 1 / np.arange(1, 2001)
        movies = np.concatenate([rng.choice(2000, 20, replace=False, p=share / share.sum()) for _ in range(n_users)])
        users = np.repeat(np.arange(n_users), 20)
        rows = zip(users.tolist(), movies.tolist(), [4.0] * len(users), np.arange(len(users)).tolist(), strict=True)
        return baseline_of(log_of(*rows), (), max_windows=0).whole

    few, many = drawn(50), drawn(500)
    assert many.popularity_gini - few.popularity_gini > 0.1
    assert many.sampled_popularity_gini == pytest.approx(few.sampled_popularity_gini, abs=0.06)


@given(rating_logs(min_size=1))
def test_shares_sum_to_one_and_windows_partition(log: RatingLog) -> None:
    """Shares sum to one, and no window has more than the whole."""
    baseline = baseline_of(log, MOVIES, window_days=3 / statistics.DAY)
    for period in (baseline.whole, *baseline.windows):
        if period.n_ratings:
            assert sum(period.rating_shares) == pytest.approx(1)
            for dimension in DIMENSIONS:
                assert sum(shares_of(period, dimension).values()) == pytest.approx(1)
                for segment in period.segments[dimension].values():
                    assert sum(segment.rating_shares) == pytest.approx(1)
    assert sum(window.n_ratings for window in baseline.windows) <= baseline.whole.n_ratings
    json.dumps(to_document(baseline), allow_nan=False)


def test_ids_with_wide_gaps_count_the_same() -> None:
    """Film ids with wide gaps change only the ids."""
    wide = replace(LOG, movie_ids=LOG.movie_ids * 10**12)
    movies = [replace(movie, movie_id=movie.movie_id * 10**12) for movie in MOVIES]
    baseline, plain = baseline_of(wide, movies), baseline_of(LOG, MOVIES)
    assert baseline == replace(plain, head_movie_ids=(10 * 10**12,))


def test_ratings_dated_after_now_are_in_no_window() -> None:
    """One rating of a century later would leave every window empty; without a now each rating counts."""
    day_30 = int((START - datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=30)).total_seconds() * 1e6)
    rogue = log_of(
        (1, 10, 5.0, 0), (1, 11, 4.0, 1), (2, 10, 0.5, 2), (1, 12, 3.0, 13), (3, 10, 4.5, 15), (2, 11, 2.0, 20),
        (3, 11, 4.5, 36_500),
    )  # fmt: skip
    assert [window.n_ratings for window in baseline_of(rogue, MOVIES, now=day_30).windows] == [1, 2]
    assert sum(window.n_ratings for window in baseline_of(rogue, MOVIES, max_windows=2).windows) == 1
    assert baseline_of(rogue, MOVIES, now=0).whole.n_ratings == 7

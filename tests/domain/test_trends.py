"""Trends, and lists that mix them with the scores of a model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cineclub.domain.ratings.crowd import HALF_LIVES_DAYS, CrowdCounts
from cineclub.domain.recommend.ranking import rank_movies
from cineclub.domain.recommend.trends import LEAST_LIKES, Trend, fresh_trend, likes_of_days, mix, trending_ids

NOBODY = np.empty(0, np.int64)
FINITE = st.floats(-(2.0**100), 2.0**100, width=32)
TWO_SCORES = st.integers(1, 300).flatmap(
    lambda n: st.tuples(arrays(np.float32, n, elements=FINITE), arrays(np.float32, n, elements=FINITE))
)
SUMS = st.integers(1, 20).flatmap(
    lambda n: arrays(np.float64, (len(HALF_LIVES_DAYS), n), elements=st.floats(0, 1e6)).map(
        lambda sums: np.sort(sums, axis=0)
    )
)


def crowd_of(movie_ids: list[int], likes: list[float]) -> CrowdCounts:
    """Return counts that are the same for every half-life."""
    sums = np.tile(np.array(likes), (len(HALF_LIVES_DAYS), 1))
    return CrowdCounts(np.array(movie_ids), sums, 0, 0, 0)


def trend_of(scores: np.ndarray) -> Trend:
    """Return a trend in which each film above 0 is popular now."""
    return Trend(scores, scores > 0)


@given(SUMS, st.sampled_from(HALF_LIVES_DAYS))
def test_the_half_lives_that_are_counted_are_exact(sums: np.ndarray, days: float) -> None:
    """The half lives that are counted are exact."""
    np.testing.assert_array_equal(likes_of_days(sums, days), sums[HALF_LIVES_DAYS.index(days)].astype(np.float32))


@given(SUMS, st.floats(0.1, 400), st.floats(0.1, 400))
def test_a_longer_half_life_never_counts_less(sums: np.ndarray, days: float, others: float) -> None:
    """A longer half life never counts less."""
    shorter, longer = likes_of_days(sums, min(days, others)), likes_of_days(sums, max(days, others))

    assert np.isfinite(shorter).all()
    assert (shorter <= longer * np.float32(1.00001)).all()


def test_between_two_half_lives_the_logarithm_of_the_likes_is_interpolated() -> None:
    """Between two half lives the logarithm of the likes is interpolated."""
    sums = np.array([[1.0], [3.0], [16.0], [64.0], [100.0], [200.0]])

    assert likes_of_days(sums, np.sqrt(7.0 * 14.0)) == pytest.approx(32.0)
    assert likes_of_days(sums, 0.5) == 1.0
    assert likes_of_days(sums, 1000.0) == 200.0


@given(TWO_SCORES, st.floats(0, 1), st.integers(1, 30))
def test_mixed_scores_list_as_many_films_and_none_without_a_number(
    both: tuple[np.ndarray, np.ndarray], fresh: float, top_n: int
) -> None:
    """Mixed scores list as many films and none without a number."""
    scores, trend = both
    mixed = mix(scores, trend_of(trend), NOBODY, fresh, top_n)
    ranked = rank_movies(mixed.scores, NOBODY, top_n)

    assert len(ranked) == min(top_n, len(both[0]))
    assert np.isfinite(mixed.scores[ranked]).all()


@given(TWO_SCORES, st.integers(1, 30))
def test_at_0_the_list_is_the_models_and_at_1_the_trend(both: tuple[np.ndarray, np.ndarray], top_n: int) -> None:
    """At 0 the list is the models and at 1 the trend."""
    scores, trend = both
    seen = np.arange(0, len(scores), 3)

    for fresh, exact in ((0.0, scores), (1.0, trend)):
        ranked = rank_movies(mix(scores, trend_of(trend), seen, fresh, top_n).scores, seen, top_n)
        np.testing.assert_array_equal(ranked, rank_movies(exact, seen, top_n))


@given(st.integers(0, 2**32), st.integers(1, 15), st.floats(0, 1), st.floats(0, 1))
def test_a_fresher_list_never_holds_less_of_the_trend(seed: int, top_n: int, first: float, other: float) -> None:
    """A fresher list never holds less of the trend."""
    rng = np.random.default_rng(seed)
    scores, trend = rng.normal(size=150).astype(np.float32), rng.gumbel(size=150).astype(np.float32)
    seen = rng.permutation(150)[:10]

    shares = [
        float(trend[rank_movies(mix(scores, trend_of(trend), seen, fresh, top_n).scores, seen, top_n)].sum())
        for fresh in sorted((first, other))
    ]

    assert shares[0] <= shares[1] + 1e-4


def test_films_that_the_trend_lifts_more_are_marked() -> None:
    """Films that the trend lifts more are marked."""
    scores = np.array([3.0, 2.0, 1.0, 0.0], np.float32)
    trend = np.array([0.0, 1.0, 2.0, 9.0], np.float32)

    assert (mix(scores, trend_of(trend), NOBODY, 0.5, 4).crowd_weights > 0).tolist() == [False, False, False, True]
    assert not mix(scores, trend_of(trend), NOBODY, 0.0, 4).crowd_weights.any()


def test_only_films_with_likes_of_these_days_are_marked() -> None:
    """A film without likes, or with the rest of an old one, is listed by its popularity and not called popular now."""
    scores, popularity = np.array([1.0, 3.0, 2.0, 0.0], np.float32), np.array([50.0, 9.0, 8.0, 7.0], np.float32)
    trend = fresh_trend(crowd_of([4, 7, 9], [5.0, LEAST_LIKES / 2, 1e-9]), np.array([4, 7, 9, 11]), popularity)

    for fresh in (0.7, 1.0):
        assert (mix(scores, trend, NOBODY, fresh, 4).crowd_weights > 0).tolist() == [True, False, False, False]
    assert mix(scores, trend, NOBODY, 1.0, 4).crowd_weights[0] == trend.scores[0]


@given(TWO_SCORES, st.floats(0, 1), st.integers(1, 30))
def test_while_the_counts_are_unknown_no_film_is_marked(
    both: tuple[np.ndarray, np.ndarray], fresh: float, top_n: int
) -> None:
    """The popularity of all time is not of these days."""
    scores, popularity = both
    trend = fresh_trend(None, np.arange(len(scores)), popularity)

    assert not mix(scores, trend, NOBODY, fresh, top_n).crowd_weights.any()


def test_equal_scores_leave_the_order_to_the_trend() -> None:
    """Equal scores leave the order to the trend."""
    scores, trend = np.ones(5, np.float32), np.arange(5, dtype=np.float32)

    assert rank_movies(mix(scores, trend_of(trend), NOBODY, 0.2, 3).scores, NOBODY, 3).tolist() == [4, 3, 2]


def test_without_counts_the_trend_is_the_popularity() -> None:
    """Without counts the trend is the popularity."""
    popularity = np.array([1.0, 2.0], np.float32)

    assert fresh_trend(None, np.array([4, 7]), popularity).scores is popularity


def test_films_without_likes_follow_by_popularity() -> None:
    """Films without likes follow by popularity."""
    trend = fresh_trend(crowd_of([7], [5.0]), np.array([4, 7, 9]), np.array([1.0, 0.5, 2.0], np.float32))

    assert np.argsort(-trend.scores).tolist() == [1, 2, 0]


def test_the_films_of_the_trend_come_most_liked_first() -> None:
    """The films of the trend come most liked first."""
    assert trending_ids(crowd_of([2, 4, 8, 9], [1.0, 3.0, 2.0, 3.0]), 3) == [4, 9, 8]

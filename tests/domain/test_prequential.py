"""Prequential evaluation: each judged rating is ranked from what was known at that moment."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_strategies import log_of, rating_logs
from test_evaluation import MOVIES, FixedScores, fitted

from cineclub.domain.evaluation.evaluate import evaluate
from cineclub.domain.evaluation.prequential import SampleSize, walk_from
from cineclub.domain.ratings.crowd import GRANULE_MICROSECONDS, CountedLikes, CrowdCounts
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.models import catalogue

MINUTE = GRANULE_MICROSECONDS // 5


@given(rating_logs(min_size=1), st.integers(0, 12), st.one_of(st.none(), st.integers(6, 14)))
def test_a_history_ends_before_the_instant_of_the_judged_rating(log: RatingLog, start: int, end: int | None) -> None:
    """Each rating of the window is judged once, in order of time, from all earlier ratings of its user."""
    split = walk_from(log, start, end)
    window = split.window
    rows = list(zip(log.user_ids.tolist(), log.movie_ids.tolist(), log.rated_at.tolist(), strict=True))
    expected = sorted((at, user, movie) for user, movie, at in rows if at >= start and (end is None or at < end))
    held_out = window.held_out
    assert sorted(zip(held_out.rated_at, held_out.user_ids, held_out.movie_ids, strict=True)) == expected
    assert (np.diff(window.moments) >= 0).all()
    assert (split.fit.rated_at < start).all()
    for row in range(len(window)):
        user, at = window.user_ids[row], window.moments[row]
        known = window.known_of(row)
        assert known.movie_ids.tolist() == [movie for other, movie, when in rows if other == user and when < at]
        assert window.n_known[row] == len(known)


def test_lists_are_judged_from_the_moment_on() -> None:
    """The liked film of a row counts at its place; dislikes have no list; people without history are a segment."""
    before = [(9, movie, 3.0, movie) for movie in (1, 2, 3, 4)]
    log = log_of([*before, (1, 1, 5.0, 0), (1, 3, 5.0, 20), (1, 4, 1.0, 30), (2, 4, 4.0, 40), (2, 2, 5.0, 50)])
    evaluation = evaluate(fitted(FixedScores([4, 3, 2, 1])), walk_from(log, 10).window, 2)
    assert evaluation.user_ids.tolist() == [1, 1, 2, 2]
    assert evaluation.movie_ids.tolist() == [3, 4, 4, 2]
    # user 1 knows film 1: 2, 3. User 2 is new: popularity, 4 first. Then film 4, which the model does not use: 3, 2.
    assert evaluation.recommended.tolist() == [[2, 3], [-1, -1], [4, 3], [3, 2]]
    np.testing.assert_allclose(evaluation.ndcg, [0.6309, np.nan, 1.0, 0.6309], atol=1e-4)
    assert evaluation.users_by_segment() == {"0": 1, "1-4": 2, "5-19": 0, "20+": 0}
    assert evaluation.n_evaluated_users == 2
    assert evaluation.metrics()["ndcg_at_2"] == pytest.approx((0.6309 + (1 + 0.6309) / 2) / 2, abs=1e-4)
    assert evaluation.metrics()["ndcg_of_likes_at_2"] == pytest.approx((0.6309 + 1 + 0.6309) / 3, abs=1e-4)


def test_a_film_is_in_lists_from_its_first_rating_on() -> None:
    """A film of the catalogue that is first rated in the window, or never, is hidden until then from every model."""
    log = log_of([(9, 1, 3.0, 1), (1, 2, 4.0, 20), (2, 2, 4.0, 20), (3, 2, 4.0, 30), (4, 3, 1.0, 30), (5, 1, 5.0, 40)])
    split = walk_from(log.within(MOVIES), 10)
    assert split.fit.catalogue is not None
    assert split.fit.catalogue.tolist() == MOVIES.tolist()
    lists = evaluate(fitted(FixedScores([1, 2, 3, 4])), split.window, 4).recommended
    assert lists[:2].tolist() == [[1, -1, -1, -1]] * 2
    assert lists[2].tolist() == [2, 1, -1, -1]
    assert lists[4].tolist() == [3, 2, 1, -1]


def test_a_trend_is_ranked_from_the_likes_before_the_moment() -> None:
    """Popular with a half-life lists what was liked before the grid line, and never what is liked later."""
    liked = [(user, movie, 5.0, user) for user in range(1, 9) for movie in (1, 2)]
    usual = [*liked, (9, 3, 1.0, 5), (9, 4, 1.0, 6)]
    log = log_of([*usual, (20, 3, 5.0, 100 * MINUTE), (21, 3, 5.0, 103 * MINUTE), (22, 3, 5.0, 106 * MINUTE)])
    ratings = RatingMatrix.from_log(log_of(usual))
    trend = catalogue.fit(
        Recipe("popular", {"half_life_days": 1.0}), ratings, np.random.default_rng(0), lambda _fraction: None
    )
    window = walk_from(log, 50 * MINUTE).window
    contexts = list(window.contexts_of(trend.movie_ids, np.arange(len(window))))
    counts = [context.counts[0, 2] for context in contexts]
    assert counts[0] == 0
    assert counts[1] == 0  # the like of three minutes before is counted from minute 105 on
    assert counts[2] == pytest.approx(2, rel=0.01)
    likes = CountedLikes.of(log)
    for context, moment in zip(contexts, window.moments.tolist(), strict=True):
        expected = CrowdCounts.of(likes, moment).aligned(trend.movie_ids)
        np.testing.assert_allclose(context.counts, expected, rtol=1e-6)
    evaluation = evaluate(trend, window, 3)
    assert evaluation.ndcg[:2].tolist() == [0.5, 0.5]  # third, by popularity over all time


def test_a_sample_keeps_every_user_and_is_the_same_again() -> None:
    """Fewer ratings of each user are judged where all together are too many; the same seed draws the same."""
    log = log_of([(user, movie, 4.0, movie) for user in range(1, 11) for movie in range(1, 21)])
    window = walk_from(log, 5).window
    sampled = window.sampled(SampleSize(100, 50, 40), np.random.default_rng(3))
    assert np.unique(sampled.user_ids, return_counts=True)[1].tolist() == [4] * 10
    assert (np.diff(sampled.moments) >= 0).all()
    again = window.sampled(SampleSize(100, 50, 40), np.random.default_rng(3))
    assert np.array_equal(sampled.rows, again.rows)
    assert not np.array_equal(sampled.rows, window.sampled(SampleSize(100, 50, 40), np.random.default_rng(4)).rows)
    assert len(np.unique(window.sampled(SampleSize(3, 50, 400), np.random.default_rng(0)).user_ids)) == 3
    assert window.sampled(SampleSize(100, 50, 1000), np.random.default_rng(0)) is window


def test_nothing_after_the_moment_moves_a_list() -> None:
    """With every later rating replaced, the evaluation of the earlier rows is the same to the last bit."""
    rng = np.random.default_rng(0)
    pairs = [(user, movie) for user in range(1, 21) for movie in range(1, 5) if rng.random() < 0.7]
    moments = rng.permutation(len(pairs)) * 20 * MINUTE
    log = log_of([(*pair, 5.0, int(moment)) for pair, moment in zip(pairs, moments, strict=True)])
    cut, start = int(np.sort(moments)[-10]), int(np.sort(moments)[-30])
    later = log.rated_at >= cut
    changed = RatingLog.from_columns(
        log.user_ids, np.where(later, 100 + np.arange(len(log)), log.movie_ids), log.ratings, log.rated_at, log.scale
    )
    ratings = RatingMatrix.from_log(log.take(log.rated_at < start))
    assert np.array_equal(ratings.movie_ids, MOVIES)
    model = catalogue.fit(
        Recipe("popular", {"half_life_days": 1.0}), ratings, np.random.default_rng(0), lambda _fraction: None
    )
    expected, actual = (evaluate(model, walk_from(of, start).window, 2).recommended[:20] for of in (log, changed))
    assert len(expected) == 20
    assert np.array_equal(expected, actual)

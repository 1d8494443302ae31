"""The rules of a month: the split into days, the events, and the evaluation with histories as they were."""

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.month.calendar import shortest_window_days, split_by_time
from benchmarks.month.events import SCENARIOS, events_of, genre_to_reverse, halved, with_reversed_taste
from benchmarks.month.hindsight import AcceptedRatings, Histories, best_version_by_day, ranks_of
from benchmarks.month.nights import Night, Nights
from benchmarks.month.plan import BROKEN_MODELS
from benchmarks.month.scores import Requests, daily_means, daily_sample, hits_of, mean_difference, ndcg_of
from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.domain.ratings.imported import RatingRows
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.models.popular import Popular

HALF_STARS = RatingScale(0.5, 5.0)


def rows_of(users: NDArray[np.int64]) -> RatingRows:
    """Return ratings of these users in order of time, each of another movie."""
    n = len(users)
    return RatingRows(
        user_ids=tuple(map(str, range(int(users.max()) + 1))),
        movie_ids=tuple(map(str, range(n))),
        user_codes=users.astype(np.int32),
        movie_codes=np.arange(n, dtype=np.int32),
        ratings=np.full(n, 4.0, np.float32),
        rated_at=np.arange(n, dtype=np.int64) * 1_000_000,
    )


def test_a_month_plays_the_newest_ratings_in_order_and_imports_the_older_ones() -> None:
    """No played rating is older than an imported one, and days are equal."""
    calendar = split_by_time(rows_of(np.arange(1000)), 3)
    assert calendar.past.tolist() == list(range(700))
    assert [len(day) for day in calendar.days] == [100, 100, 100]
    assert np.concatenate(calendar.days).tolist() == list(range(700, 1000))
    assert calendar.n_past_days == 7
    assert (np.diff(calendar.days_before) < 0).all()
    assert 0 < calendar.days_before[-1] < calendar.days_before[0] <= 7


def test_the_daily_limit_of_ratings_of_one_user() -> None:
    """Ratings beyond the limit are left out of the month, and in the past they are dated before all days."""
    calendar = split_by_time(rows_of(np.arange(1000) % 4), 3, max_daily_ratings=10)
    assert [len(day) for day in calendar.days] == [40, 40, 40]
    assert calendar.n_left_out == 180
    is_on_a_day = calendar.days_before <= calendar.n_past_days
    assert is_on_a_day.sum() == 7 * 40
    assert len(calendar.past) == 700
    assert (calendar.days_before[~is_on_a_day] <= calendar.n_past_days + 1).all()


def test_a_window_is_as_short_as_the_number_of_past_users_allows() -> None:
    """Days with enough users give windows of one day, others longer ones."""
    many, few = rows_of(np.arange(1000) % 50), rows_of(np.arange(1000) // 30)
    assert shortest_window_days(split_by_time(many, 3), many.user_codes, 40) == 1
    assert shortest_window_days(split_by_time(few, 3), few.user_codes, 6) > 1


@pytest.mark.parametrize("n_days", [0, 100])
def test_an_impossible_month_is_refused(n_days: int) -> None:
    """A month without days, or with more days than the ratings fill."""
    with pytest.raises((InvalidInput, NotEnoughData)):
        split_by_time(rows_of(np.arange(1000)), n_days)


@pytest.mark.parametrize("n_days", [3, 30])
def test_events_lie_in_the_month_and_the_broken_version_is_there_before_it_is_promoted(n_days: int) -> None:
    """Every scenario fits into three days and into thirty."""
    for scenario in SCENARIOS:
        assert all(1 <= event.day <= n_days for event in events_of(scenario, n_days))
    at = {event.kind: event.begins_at_days for event in events_of("all", n_days)}
    assert len(at) == 6
    assert at["broken_recipe"] < at["crippled_version"] < at["killed_worker"] < at["bad_ratings"] + 1
    with pytest.raises(InvalidInput, match="there are calm"):
        events_of("quake", n_days)


def test_changed_ratings_stay_on_the_scale() -> None:
    """Halved ratings are multiples of a half, and a taste reversed twice is the original."""
    ratings = np.arange(0.5, 5.5, 0.5, dtype=np.float32)
    lowered = halved(ratings, HALF_STARS)
    assert HALF_STARS.holds(lowered).all()
    assert lowered.tolist() == [0.5, 0.5, 0.5, 1.0, 1.0, 1.5, 1.5, 2.0, 2.0, 2.5]
    everything = np.ones(10, np.bool_)
    opposite = with_reversed_taste(ratings, everything, HALF_STARS)
    assert opposite.tolist() == ratings[::-1].tolist()
    assert with_reversed_taste(opposite, everything, HALF_STARS).tolist() == ratings.tolist()
    assert with_reversed_taste(ratings, ~everything, HALF_STARS).tolist() == ratings.tolist()


def test_the_genre_to_reverse_is_common_and_liked() -> None:
    """A rare genre would not be visible, and without genres no taste can be reversed."""
    assert genre_to_reverse({"A": 0.2, "B": 0.3, "C": 0.01}, {"A": 3.9, "B": 3.1, "C": 4.9}) == "A"
    with pytest.raises(InvalidInput, match="no film"):
        genre_to_reverse({}, {})


def test_lists_are_scored_by_the_rank_of_the_movie() -> None:
    """Rank 2 has the nDCG 1 / log2(3), a movie that is not listed 0; a day without requests has None."""
    ranks = np.array([1, 0, 2])
    assert hits_of(ranks).tolist() == [1.0, 0.0, 1.0]
    assert ndcg_of(ranks).round(3).tolist() == [1.0, 0.0, 0.631]
    assert daily_means(hits_of(ranks), np.array([1, 1, 3]), 3) == [0.5, None, 1.0]


def test_each_user_has_the_same_weight() -> None:
    """Ninety requests of one user weigh no more than one of another."""
    users = np.array([0] * 90 + [1, 2])
    ours, theirs = np.array([1.0] * 90 + [0.0, 0.0]), np.zeros(92)
    interval = mean_difference(ours, theirs, users, np.random.default_rng(0))
    assert interval.mean == pytest.approx(1 / 3)
    assert interval.n_users == 3
    assert interval.low < interval.mean < interval.high


def test_a_daily_sample_takes_small_days_whole() -> None:
    """A day below the limit is taken whole, and positions rise."""
    days = np.array([1, 1, 1, 1, 2])
    sample = daily_sample(days, 2, np.random.default_rng(0))
    assert len(sample) == 3
    assert sample.tolist() == sorted(sample.tolist())
    assert 4 in sample


def world() -> tuple[FittedModel, Histories]:
    """Return three movies, the third the most popular, and one user who rates movie 2, then 0, then 1."""
    columns = ([1, 1, 2], [7, 7, 7], [2, 0, 1], [1, 1, 1], [0, 0, 0], [0, 1, 2])
    requests = Requests(*(np.array(column) for column in columns))
    accepted = AcceptedRatings(
        user_codes=np.array([7, 7, 7]),
        movie_codes=np.array([2, 0, 1]),
        ratings=np.full(3, 4.0, np.float32),
        rated_at=np.arange(3),
        request_indices=np.array([0, 1, 2]),
    )
    popularity = np.array([1.0, 2.0, 3.0], np.float32)
    fitted = FittedModel(
        Recipe("popular", {}), Popular.of_all_time(popularity), np.array([10, 20, 30]), popularity, HALF_STARS
    )
    return fitted, Histories(accepted, requests, np.array([10, 20, 30]), HALF_STARS)


def test_other_models_get_the_history_of_that_moment() -> None:
    """Movies rated before a request are left out of its list, and later ratings are not known."""
    fitted, histories = world()
    assert [len(histories.before(nth)) for nth in range(3)] == [0, 1, 2]
    assert ranks_of(fitted, histories, np.arange(3)).tolist() == [1, 2, 1]


def test_a_trend_in_hindsight_follows_the_likes_before_each_request() -> None:
    """The first request knows one like, of movie 0; the second one the newer like of movie 1 too; the third is not new.

    A like counts from the next grid line on, so that the request at minute 9 knows nothing of minute 7.
    """
    minutes = np.array([5, 9, 15]) * 60_000_000
    requests = Requests(np.ones(3, int), np.full(3, 9), np.ones(3, int), np.ones(3, int), np.zeros(3, int), minutes)
    accepted = AcceptedRatings(
        user_codes=np.array([7, 8, 8]),
        movie_codes=np.array([0, 1, 2]),
        ratings=np.array([4.0, 4.0, 1.0], np.float32),
        rated_at=np.array([0, 7, 8]) * 60_000_000,
        request_indices=np.array([-1, 1, 1]),
    )
    popularity = np.array([1.0, 2.0, 3.0], np.float32)
    trend = Popular(popularity, 1.0, Context.empty(3))
    fitted = FittedModel(
        Recipe("popular", {"half_life_days": 1.0}), trend, np.array([10, 20, 30]), popularity, HALF_STARS
    )
    histories = Histories(accepted, requests, np.array([10, 20, 30]), HALF_STARS)
    assert ranks_of(fitted, histories, np.arange(3)).tolist() == [3, 3, 1]
    assert ranks_of(fitted, histories, np.array([2])).tolist() == [1]


def test_the_best_in_hindsight_was_registered_by_then() -> None:
    """A version takes no part before the first day on which it was registered."""
    ranks = {1: np.array([0, 0]), 2: np.array([1, 1])}
    best, versions = best_version_by_day(ranks, {1: 1, 2: 2}, np.array([1, 2]))
    assert best.tolist() == [0, 1]
    assert versions == {1: 1, 2: 2}


def night(
    began_at: float, seconds: float | None, models: tuple[str, ...] = ("popular",), *, killed: bool = False
) -> Night:
    """Return a night."""
    ended_at = None if seconds is None else began_at + seconds
    return Night(1, models, began_at, is_worker_killed=killed, ended_at=ended_at)


def test_a_training_is_expected_to_take_as_long_as_the_last_whole_ones() -> None:
    """Trainings with a killed worker, with the broken recipe, unfinished and older ones do not count."""
    nights = Nights("http://127.0.0.1:1", lambda: None, threading.Event())
    assert nights.usual_seconds() == 0
    nights.past += [night(0, 90), night(100, 10), night(200, 20), night(300, 15)]
    assert nights.usual_seconds() == 20
    nights.past += [night(400, 500, killed=True), night(1000, 2, BROKEN_MODELS), night(2000, None)]
    assert nights.usual_seconds() == 20

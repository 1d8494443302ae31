"""A month is cut fairly, spoilt as it says, and judged with histories as they were."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.domain.imported_ratings import RatingRows
from cineclub.domain.ratings import RatingScale
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel
from cineclub.domain.replay.calendar import cut, window_days_for
from cineclub.domain.replay.events import SCENARIOS, events_of, genre_to_turn, halved, turned_around
from cineclub.domain.replay.hindsight import Given, Histories, best_by_day, ranks_of
from cineclub.domain.replay.scores import Asked, ahead, by_day, gains_of, hits_of, sample_of
from cineclub.models.popular import Popular

HALF_STARS = RatingScale(0.5, 5.0)


def rows_of(users: NDArray[np.int64]) -> RatingRows:
    """Ratings of these people in order of time, each of another film."""
    n = len(users)
    return RatingRows(
        user_ids=tuple(map(str, range(int(users.max()) + 1))),
        movie_ids=tuple(map(str, range(n))),
        user_codes=users.astype(np.int32),
        movie_codes=np.arange(n, dtype=np.int32),
        ratings=np.full(n, 4.0, np.float32),
        rated_at=np.arange(n, dtype=np.int64) * 1_000_000,
    )


def test_a_month_takes_the_newest_ratings_in_order_and_leaves_the_others_as_its_past() -> None:
    """Nothing is played that is older than what is imported, and days are equal."""
    calendar = cut(rows_of(np.arange(1000)), 3)
    assert calendar.past.tolist() == list(range(700))
    assert [len(day) for day in calendar.days] == [100, 100, 100]
    assert np.concatenate(calendar.days).tolist() == list(range(700, 1000))
    assert calendar.n_past_days == 7
    assert (np.diff(calendar.days_before) < 0).all()
    assert 0 < calendar.days_before[-1] < calendar.days_before[0] <= 7


def test_nobody_rates_more_on_a_day_than_they_may() -> None:
    """What one person gives beyond the limit is left out of the month, and lies before the days of the past."""
    calendar = cut(rows_of(np.arange(1000) % 4), 3, most_a_day=10)
    assert [len(day) for day in calendar.days] == [40, 40, 40]
    assert calendar.n_left_out == 180
    is_on_a_day = calendar.days_before <= calendar.n_past_days
    assert is_on_a_day.sum() == 7 * 40
    assert len(calendar.past) == 700
    assert (calendar.days_before[~is_on_a_day] <= calendar.n_past_days + 1).all()


def test_a_window_is_as_short_as_the_people_of_the_past_allow() -> None:
    """Days with enough people make windows of one day, others longer ones."""
    many, few = rows_of(np.arange(1000) % 50), rows_of(np.arange(1000) // 30)
    assert window_days_for(cut(many, 3), many.user_codes, 40) == 1
    assert window_days_for(cut(few, 3), few.user_codes, 6) > 1


@pytest.mark.parametrize("n_days", [0, 100])
def test_a_month_that_cannot_be_is_refused(n_days: int) -> None:
    """No days, or days that the ratings do not fill."""
    with pytest.raises((InvalidInput, NotEnoughData)):
        cut(rows_of(np.arange(1000)), n_days)


@pytest.mark.parametrize("n_days", [3, 30])
def test_events_lie_in_the_month_and_the_broken_version_is_there_before_it_is_promoted(n_days: int) -> None:
    """Every scenario fits into three days as into thirty."""
    for scenario in SCENARIOS:
        assert all(1 <= event.day <= n_days for event in events_of(scenario, n_days))
    at = {event.kind: event.begins_at_days for event in events_of("all", n_days)}
    assert len(at) == 6
    assert at["broken_recipe"] < at["crippled_version"] < at["killed_worker"] < at["bad_ratings"] + 1
    with pytest.raises(InvalidInput, match="there are calm"):
        events_of("quake", n_days)


def test_spoilt_ratings_stay_on_the_scale() -> None:
    """Halved ratings are whole halves, and a taste turned around twice is itself."""
    ratings = np.arange(0.5, 5.5, 0.5, dtype=np.float32)
    lowered = halved(ratings, HALF_STARS)
    assert HALF_STARS.holds(lowered).all()
    assert lowered.tolist() == [0.5, 0.5, 0.5, 1.0, 1.0, 1.5, 1.5, 2.0, 2.0, 2.5]
    everything = np.ones(10, np.bool_)
    opposite = turned_around(ratings, everything, HALF_STARS)
    assert opposite.tolist() == ratings[::-1].tolist()
    assert turned_around(opposite, everything, HALF_STARS).tolist() == ratings.tolist()
    assert turned_around(ratings, ~everything, HALF_STARS).tolist() == ratings.tolist()


def test_the_genre_that_turns_is_common_and_liked() -> None:
    """A rare genre would not be seen, and without genres there is nothing to turn."""
    assert genre_to_turn({"A": 0.2, "B": 0.3, "C": 0.01}, {"A": 3.9, "B": 3.1, "C": 4.9}) == "A"
    with pytest.raises(InvalidInput, match="no film"):
        genre_to_turn({}, {})


def test_lists_are_scored_by_the_place_of_the_film() -> None:
    """A film in the second place gains 1 / log2(3), one that is not listed nothing; a day without any has None."""
    ranks = np.array([1, 0, 2])
    assert hits_of(ranks).tolist() == [1.0, 0.0, 1.0]
    assert gains_of(ranks).round(3).tolist() == [1.0, 0.0, 0.631]
    assert by_day(hits_of(ranks), np.array([1, 1, 3]), 3) == [0.5, None, 1.0]


def test_each_person_has_one_vote_however_much_they_ask() -> None:
    """Ninety questions of one person weigh no more than one of another."""
    users = np.array([0] * 90 + [1, 2])
    ours, theirs = np.array([1.0] * 90 + [0.0, 0.0]), np.zeros(92)
    found = ahead(ours, theirs, users, np.random.default_rng(0))
    assert found.mean == pytest.approx(1 / 3)
    assert found.n_users == 3
    assert found.low < found.mean < found.high


def test_a_sample_takes_of_each_day_what_there_is() -> None:
    """A small day is taken whole, and positions rise."""
    days = np.array([1, 1, 1, 1, 2])
    found = sample_of(days, 2, np.random.default_rng(0))
    assert len(found) == 3
    assert found.tolist() == sorted(found.tolist())
    assert 4 in found


def world() -> tuple[FittedModel, Histories]:
    """Three films, the third the most popular; one person who rates film 2, then 0, then 1."""
    asked = Asked(*(np.array(column) for column in ([1, 1, 2], [7, 7, 7], [2, 0, 1], [1, 1, 1], [0, 0, 0])))
    given = Given(
        user_codes=np.array([7, 7, 7]),
        movie_codes=np.array([2, 0, 1]),
        ratings=np.full(3, 4.0, np.float32),
        rated_at=np.arange(3),
        questions=np.array([0, 1, 2]),
    )
    popularity = np.array([1.0, 2.0, 3.0], np.float32)
    fitted = FittedModel(Recipe("popular", {}), Popular(popularity), np.array([10, 20, 30]), popularity, HALF_STARS)
    return fitted, Histories(given, asked, np.array([10, 20, 30]))


def test_other_models_are_asked_with_the_history_of_that_moment() -> None:
    """What was rated before a question is left out of its list, what came after is not known."""
    fitted, histories = world()
    assert [len(histories.before(nth)) for nth in range(3)] == [0, 1, 2]
    assert ranks_of(fitted, histories, np.arange(3)).tolist() == [1, 2, 1]


def test_the_best_in_hindsight_is_one_that_was_there() -> None:
    """A version counts for nothing before the first day on which it was registered."""
    ranks = {1: np.array([0, 0]), 2: np.array([1, 1])}
    best, versions = best_by_day(ranks, {1: 1, 2: 2}, np.array([1, 2]))
    assert best.tolist() == [0, 1]
    assert versions == {1: 1, 2: 2}

"""Films that were shown in earlier visits and not rated step back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY as DAY
from cineclub.domain.recommend.impressions import (
    NO_IMPRESSIONS,
    Impressions,
    ShownMovies,
    Visit,
    stepped_back,
)
from cineclub.domain.recommend.visit_cache import VisitCache

SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000
NOW = 1_700_000_000 * SECOND
MOVIES = np.arange(1, 11)


def shown(*lists: tuple[int, list[int]]) -> ShownMovies:
    """Return the films of lists, each with its time before now."""
    times = [NOW - ago for ago, movie_ids in lists for _ in movie_ids]
    return ShownMovies(
        np.array(times, np.int64), np.array([movie_id for _, movie_ids in lists for movie_id in movie_ids], np.int64)
    )


def discounts(*lists: tuple[int, list[int]], step_back: float = 0.5) -> list[float]:
    """Return the discounts of the films 1, 2 and 3 at a request now."""
    return Visit.at(NOW, shown(*lists), step_back).impressions.of(np.array([1, 2, 3])).tolist()


def visits(n: int, ago: int, *movie_ids: int) -> list[tuple[int, list[int]]]:
    """Return the lists of n visits, two hours apart, the last one so long before now."""
    return [(ago + 2 * HOUR * nth, list(movie_ids)) for nth in range(n)]


def test_a_film_of_several_visits_steps_back_and_others_do_not() -> None:
    """A few visits move nothing, more do, and this visit does not count."""
    assert discounts(*visits(3, 2 * HOUR, 1)) == [1.0, 1.0, 1.0]
    assert discounts(*visits(4, 2 * HOUR, 1), (10 * SECOND, [2]))[0] == pytest.approx(0.5, abs=0.05)
    assert discounts(*visits(4, 2 * HOUR, 1), (10 * SECOND, [2]))[1:] == [1.0, 1.0]


def test_a_page_loaded_again_and_again_counts_once() -> None:
    """A hundred answers within a minute are one impression."""
    often = [(3 * HOUR - nth * SECOND, [1]) for nth in range(100)]

    assert discounts(*often, *visits(4, 5 * HOUR, 1)) == discounts((3 * HOUR, [1]), *visits(4, 5 * HOUR, 1))


def test_each_visit_counts() -> None:
    """Each visit beyond the first few halves the utility at a strength of a half."""
    assert discounts(*visits(6, 2 * HOUR, 1))[0] == pytest.approx(0.125, abs=0.03)


def test_a_film_returns_within_the_remembered_days() -> None:
    """The discount falls evenly with the age of the visits."""
    ages = [discounts(*visits(12, days * DAY, 1))[0] for days in (1, 4, 7, 10, 14, 20)]

    assert ages[0] < 0.05
    assert ages == sorted(ages)
    assert ages[-2:] == [1.0, 1.0]


def test_a_visit_goes_on_while_answers_come_within_an_hour() -> None:
    """A visit goes on while answers come within an hour."""
    row = [(50 * MINUTE * nth, [1]) for nth in range(1, 6)]

    visit = Visit.at(NOW, shown(*row), 0.5)

    assert visit.impressions is NO_IMPRESSIONS
    assert visit.started_at == NOW - 250 * MINUTE
    assert visit.goes_on(NOW, NOW + 59 * MINUTE)
    assert not visit.goes_on(NOW, NOW + HOUR)


def test_a_visit_lasts_a_day_at_most() -> None:
    """A visit lasts a day at most."""
    row = [(30 * MINUTE * nth, [1]) for nth in range(1, 400)]

    assert len(Visit.at(NOW, shown(*row), 0.5).impressions) == 1


def test_lists_of_a_clock_ahead_count_as_now() -> None:
    """Lists of a clock ahead count as now."""
    assert discounts((-30 * MINUTE, [1])) == [1.0, 1.0, 1.0]


def test_films_that_were_rated_do_not_step_back() -> None:
    """Films that were rated do not step back."""
    impressions = Impressions(np.array([2, 5]), np.array([0.5, 0.25]))

    assert impressions.without(np.array([5, 6])).of(np.array([2, 5])).tolist() == [0.5, 1.0]
    assert impressions.without(np.array([6])) is impressions


@given(arrays(np.float64, st.integers(0, 120), elements=st.floats(0, 1)))
def test_the_order_is_a_permutation(of_contenders: np.ndarray) -> None:
    """The order is a permutation."""
    assert sorted(stepped_back(of_contenders).tolist()) == list(range(len(of_contenders)))


@given(st.integers(1, 100))
def test_equal_discounts_keep_the_order(n_contenders: int) -> None:
    """Equal discounts keep the order."""
    assert stepped_back(np.full(n_contenders, 0.7)).tolist() == list(range(n_contenders))


@given(st.integers(0, 99), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_film_steps_back_farther_the_more_it_is_discounted(place: int, first: float, other: float) -> None:
    """A film steps back farther the more it is discounted."""
    places = []
    for discount in sorted((first, other), reverse=True):
        of_contenders = np.ones(100)
        of_contenders[place] = discount
        places.append(stepped_back(of_contenders).tolist().index(place))

    assert place <= places[0] <= places[1]


def test_a_strength_of_1_puts_every_shown_film_last() -> None:
    """A strength of 1 puts every shown film last."""
    of_contenders = Visit.at(NOW, shown(*visits(4, 2 * HOUR, 1, 2, 3)), 1.0).impressions.of(MOVIES)

    assert MOVIES[stepped_back(of_contenders)].tolist() == [4, 5, 6, 7, 8, 9, 10, 1, 2, 3]


class TestVisitCache:
    """The visits in memory."""

    def test_within_a_visit_the_very_same_films_step_back(self) -> None:
        """Within a visit the very same films step back."""
        cache = VisitCache(0.5)
        assert cache.current("ann", NOW) is None
        first = cache.begin("ann", NOW, shown(*visits(5, 2 * HOUR, 1)), cache.n_erased)

        cache.responded("ann", NOW + 40 * MINUTE)

        assert cache.current("ann", NOW + 90 * MINUTE) is first
        assert cache.current("ann", NOW + 101 * MINUTE) is None
        assert cache.last_known("ann") is first

    def test_without_strength_nothing_is_read(self) -> None:
        """Without strength nothing is read."""
        assert VisitCache(0.0).current("ann", NOW) is NO_IMPRESSIONS

    def test_a_person_without_an_account_has_no_visits(self) -> None:
        """A person without an account has no visits."""
        assert VisitCache(0.5).current(None, NOW) is NO_IMPRESSIONS

    def test_an_erased_user_is_dropped_also_during_a_read(self) -> None:
        """An erased user is dropped also during a read."""
        cache = VisitCache(0.5)
        cache.begin("ann", NOW, shown(*visits(5, 2 * HOUR, 1)), cache.n_erased)
        cache.forget("ann")
        assert cache.last_known("ann") is NO_IMPRESSIONS

        before = cache.n_erased
        cache.forget("ann")
        cache.begin("ann", NOW, shown(*visits(5, 2 * HOUR, 1)), before)
        assert len(cache) == 0

    def test_the_users_seen_longest_ago_are_dropped(self) -> None:
        """The users seen longest ago are dropped."""
        cache = VisitCache(0.5, max_users=2)
        for user in ("ann", "ben", "cyd"):
            cache.begin(user, NOW, ShownMovies.none(), 0)
            cache.responded("ann", NOW)

        assert [cache.current(user, NOW) is None for user in ("ann", "ben", "cyd")] == [False, True, False]

    def test_the_films_of_all_together_are_bounded(self) -> None:
        """The films of all together are bounded."""
        cache = VisitCache(0.5, max_movies=5)
        for user in ("ann", "ben"):
            cache.begin(user, NOW, shown(*visits(5, 2 * HOUR, 1, 2, 3)), 0)

        assert len(cache) == 1

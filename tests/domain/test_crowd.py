"""The crowd's decayed counts, against sums over all likes one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_strategies import log_of

from cineclub.domain.ratings.crowd import (
    FULL_WEIGHT_RATINGS,
    GRANULE_MICROSECONDS,
    HALF_LIVES_DAYS,
    STANDSTILL_MICROSECONDS,
    CountedLikes,
    CrowdCounts,
    CrowdWindow,
    granule_of,
    start_of_recent,
)
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY

DAY = MICROSECONDS_PER_DAY
MOVIES = np.arange(1, 7)


@st.composite
def timed_logs(draw: st.DrawFn) -> RatingLog:
    """Draw a log over some weeks, with instants shared by several ratings, and long pauses."""
    pairs = draw(st.sets(st.tuples(st.integers(1, 5), st.integers(1, 6)), max_size=25))
    steps = st.sampled_from([0, 1, GRANULE_MICROSECONDS // 2, GRANULE_MICROSECONDS, DAY // 3, 2 * DAY, 20 * DAY])
    rows, moment = [], 1_700_000_000_000_000
    for user, movie in sorted(pairs):
        moment += draw(steps)
        rows.append((user, movie, draw(st.sampled_from([1.0, 4.0, 5.0])), moment))
    return log_of(rows)


def counted_one_by_one(log: RatingLog, moment: int) -> dict[int, np.ndarray]:
    """Return the counts of each liked film, as the definition in words states them."""
    granule = moment - moment % GRANULE_MICROSECONDS
    rows = list(zip(log.user_ids.tolist(), log.movie_ids.tolist(), log.ratings, log.rated_at.tolist(), strict=True))
    likes = [row for row in rows if row[2] >= 4 and row[3] < granule]
    newest = max((row[3] for row in likes), default=granule)
    clock = min(granule, newest + STANDSTILL_MICROSECONDS)
    counts: dict[int, np.ndarray] = {}
    for user, movie, _, at in likes:
        n_of_day = sum(1 for other in rows if other[0] == user and other[3] // DAY == at // DAY and other[3] <= at)
        weight = min(1.0, FULL_WEIGHT_RATINGS / n_of_day)
        decayed = [weight * 2 ** (-(clock - at) / (days * DAY)) for days in HALF_LIVES_DAYS]
        counts[movie] = counts.get(movie, np.zeros(len(HALF_LIVES_DAYS))) + np.array(decayed)
    return counts


@given(timed_logs(), st.integers(0, 60 * 24))
def test_counts_are_the_sums_of_decayed_likes(log: RatingLog, hours: int) -> None:
    """At any moment each movie's counts are the decayed weights of the likes before the grid line."""
    moment = 1_700_000_000_000_000 + hours * DAY // 24
    counts = CrowdCounts.of(CountedLikes.of(log), moment)
    expected = counted_one_by_one(log, moment)
    assert counts.movie_ids.tolist() == sorted(expected)
    for position, movie in enumerate(counts.movie_ids.tolist()):
        np.testing.assert_allclose(counts.sums[:, position], expected[movie], rtol=1e-9)


@given(timed_logs(), st.lists(st.integers(0, 90 * 24), min_size=1, max_size=8), st.integers(0, 60))
def test_a_walk_gives_the_counts_of_each_moment(log: RatingLog, hours: list[int], start_day: int) -> None:
    """Counts that advance from one moment to the next are those that are computed anew."""
    start = 1_700_000_000_000_000 + start_day * DAY
    moments = start + np.sort(np.array(hours)) * (DAY // 24)
    walked = CrowdWindow.of(log, start, None).sums_at(moments, MOVIES)
    for moment, (granule, sums) in zip(moments.tolist(), walked, strict=True):
        expected = CrowdCounts.of(CountedLikes.of(log), moment)
        assert granule == expected.moment == granule_of(moment)
        np.testing.assert_allclose(sums, expected.aligned(MOVIES), rtol=1e-9, atol=1e-15)


@given(timed_logs(), st.integers(0, 90))
def test_no_count_depends_on_a_later_rating(log: RatingLog, day: int) -> None:
    """Without the ratings from the grid line on, the counts as of then are the same to the last bit."""
    moment = 1_700_000_000_000_000 + day * DAY
    known = log.take(log.rated_at < granule_of(moment))
    counts, alone = (CrowdCounts.of(CountedLikes.of(of), moment) for of in (log, known))
    assert np.array_equal(counts.sums, alone.sums)
    assert np.array_equal(counts.movie_ids, alone.movie_ids)


@given(timed_logs(), st.integers(0, 90 * 24), st.integers(0, 4))
def test_two_parts_are_the_counts_of_the_whole(log: RatingLog, hours: int, days: int) -> None:
    """Older counts that are advanced, with the likes since then, are the counts of all likes, whatever the clock."""
    moment = 1_700_000_000_000_000 + hours * DAY // 24
    start, likes = start_of_recent(moment - days * DAY), CountedLikes.of(log)
    older = CrowdCounts.of(likes, start)
    since = CrowdCounts.of(likes.between(start, None), moment)
    whole, expected = older.with_recent(since, 3), CrowdCounts.of(likes, moment)
    assert whole.movie_ids.tolist() == expected.movie_ids.tolist()
    assert (whole.clock, whole.moment, whole.newest_liked_at) == (
        expected.clock,
        expected.moment,
        expected.newest_liked_at,
    )
    np.testing.assert_allclose(whole.sums, expected.sums, rtol=1e-9)
    assert whole.epoch == expected.epoch + 3


def test_no_day_is_split_between_older_and_recent_ratings() -> None:
    """The recent part begins with a UTC day, one to three days before any moment."""
    for moment in (0, 1, DAY - 1, DAY, 1_700_000_000_000_000):
        start = start_of_recent(moment)
        assert start % DAY == 0
        assert 2 * DAY <= moment - start < 3 * DAY


def test_one_persons_burst_is_no_trend() -> None:
    """5,000 films liked by one person in an instant weigh ten likes together, and no film is ahead of any other one."""
    burst = [(1, movie, 5.0, 1000 * DAY) for movie in range(1, 5001)]
    counts = CrowdCounts.of(CountedLikes.of(log_of([*burst, (2, 9000, 5.0, 1000 * DAY)])), 1000 * DAY + DAY // 24)
    assert counts.sums[0, :-1].sum() == pytest.approx(FULL_WEIGHT_RATINGS * counts.sums[0, -1])
    assert counts.movie_ids[counts.sums[0].argmax()] == 9000


def test_the_clock_stands_still_after_an_outage() -> None:
    """Years after the newest like the counts are those of a week after it, finite and in their order."""
    likes = CountedLikes.of(log_of([(1, 1, 5.0, 100 * DAY), (2, 1, 5.0, 100 * DAY), (3, 2, 5.0, 100 * DAY)]))
    late, soon = CrowdCounts.of(likes, 5000 * DAY), CrowdCounts.of(likes, 107 * DAY)
    assert np.array_equal(late.sums, soon.sums)
    assert (late.sums[:, 0] == 2 * late.sums[:, 1]).all()
    assert (late.sums > 0).all()


def test_likes_of_a_wrong_clock_do_not_end_the_period() -> None:
    """One of a thousand likes, dated years ahead, is not the end of the ratings; a tenth of them is."""
    usual = [(user, 1, 5.0, 100 * DAY + user) for user in range(1, 1001)]
    assert CountedLikes.of(log_of([*usual, (2000, 1, 5.0, 9999 * DAY)])).plausible_end() == 100 * DAY + 1000
    late = [(user, 1, 5.0, 9999 * DAY) for user in range(2000, 2100)]
    assert CountedLikes.of(log_of([*usual, *late])).plausible_end() == 9999 * DAY
    assert CountedLikes.of(log_of([])).plausible_end() == 0


@pytest.mark.parametrize("days_ahead", [2, 5, 10, 400])
def test_a_like_of_a_clock_a_few_days_ahead_does_not_end_the_period(days_ahead: int) -> None:
    """Among likes of every hour one that is dated days ahead is left out, so that the trends do not decay."""
    hourly = [(user, 1, 5.0, 100 * DAY + user * DAY // 24) for user in range(1, 1001)]
    end = hourly[-1][-1]
    assert CountedLikes.of(log_of([*hourly, (2000, 2, 5.0, end + days_ahead * DAY)])).plausible_end() == end
    next_hours = end + 20 * DAY // 24
    assert CountedLikes.of(log_of([*hourly, (2000, 2, 5.0, next_hours)])).plausible_end() == next_hours


@pytest.mark.parametrize(("days_apart", "days_later", "moved_days"), [(2, 20, 20), (2, 31, 0), (0.1, 3, 0)])
def test_the_pace_of_the_likes_says_which_gap_is_a_wrong_clock(
    days_apart: float, days_later: int, moved_days: int
) -> None:
    """Where likes are days apart, one of weeks later ends the period; after more than 30 days none does."""
    usual = [(user, 1, 5.0, 100 * DAY + int(user * days_apart * DAY)) for user in range(1, 101)]
    end = usual[-1][-1]
    likes = CountedLikes.of(log_of([*usual, (2000, 2, 5.0, end + days_later * DAY)]))
    assert likes.plausible_end() == end + moved_days * DAY

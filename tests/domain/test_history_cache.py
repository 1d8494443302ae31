"""The bounded cache of histories."""

import numpy as np
import pytest

from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.history_cache import HistoryCache
from cineclub.domain.recommend.rating_changes import RatingChange


def history_of(n_ratings: int) -> UserRatings:
    """Return a history of this length."""
    ids = np.arange(n_ratings, dtype=np.int64)
    return UserRatings(ids, np.ones(n_ratings, np.float32), ids)


def test_whoever_was_seen_longest_ago_is_forgotten_first() -> None:
    """The cache keeps the most recently seen users."""
    cache = HistoryCache(max_users=2)
    for user_id in ("a", "b", "a", "c"):
        cache.remember(user_id, history_of(1), cache.begin_read())
    assert cache.last_known("b") is None
    assert cache.last_known("a") is not None
    assert len(cache) == 2


def test_long_histories_take_the_room_of_many() -> None:
    """The number of ratings is bounded too, and a replaced history is counted once."""
    cache = HistoryCache(max_ratings=10)
    for _ in range(5):
        cache.remember("a", history_of(4), cache.begin_read())
    cache.remember("b", history_of(6), cache.begin_read())
    assert len(cache) == 2
    cache.remember("c", history_of(7), cache.begin_read())
    assert (cache.last_known("a"), cache.last_known("b")) == (None, None)
    cache.remember("d", history_of(11), cache.begin_read())
    assert len(cache) == 0


def test_a_changed_history_is_the_last_known_one_and_not_current() -> None:
    """Changed histories are not current, and serve only while PostgreSQL is unavailable."""
    cache = HistoryCache()
    for change in (lambda: cache.invalidate("a"), cache.invalidate_all, cache.distrust):
        cache.trust()
        history = history_of(2)
        cache.remember("a", history, cache.begin_read())
        assert cache.current("a") is cache.last_known("a") is history
        change()
        assert cache.current("a") is None
        assert cache.last_known("a") is history


def test_without_current_histories_the_last_known_are_kept() -> None:
    """With CINECLUB_HISTORY_CACHE=off last known histories are still kept, for an outage of PostgreSQL."""
    cache = HistoryCache(keeps_current=False)
    cache.trust()
    cache.remember("a", history_of(1), cache.begin_read())
    assert cache.current("a") is None
    assert cache.last_known("a") is not None


def test_nothing_of_an_erased_user_stays_or_comes_back() -> None:
    """A read that began before an erasure is not cached, for any user."""
    cache = HistoryCache()
    cache.trust()
    cache.remember("a", history_of(1), cache.begin_read())
    read = cache.begin_read()
    cache.erase("a")
    assert (cache.last_known("a"), len(cache)) == (None, 0)
    cache.remember("a", history_of(1), read)
    assert (cache.current("a"), cache.last_known("a")) == (None, None)


READ_LATE = UserRatings(np.array([0, 9]), np.array([1, 4], np.float32), np.array([0, 5]))
"""The history of one rating with the one that is written."""


def write(cache: HistoryCache, *changes: RatingChange) -> None:
    """Acknowledge a write of these changes."""
    with cache.writing({change.user_id for change in changes}) as written:
        written.changes = changes


def known(cache: HistoryCache, user_id: str) -> list[tuple[int, float]]:
    """Return the movies and ratings of the last known history, in its order."""
    user_ratings = cache.last_known(user_id) or UserRatings.none()
    return list(zip(user_ratings.movie_ids.tolist(), user_ratings.ratings.tolist(), strict=True))


def test_a_write_is_known_at_once() -> None:
    """Put, changed and deleted ratings are in the last known history in canonical order, of unknown users too."""
    cache = HistoryCache()
    cache.remember("a", history_of(2), cache.begin_read())
    write(cache, RatingChange("a", 9, 4.0, 1), RatingChange("b", 5, 3.0, 7))
    assert known(cache, "a") == [(0, 1.0), (1, 1.0), (9, 4.0)]
    write(cache, RatingChange("a", 1, None), RatingChange("a", 0, 2.0, 8))
    assert known(cache, "a") == [(9, 4.0), (0, 2.0)]
    assert known(cache, "b") == [(5, 3.0)]
    write(cache, RatingChange("b", 5, None))
    assert known(cache, "b") == []


def test_a_read_that_began_before_a_write_does_not_lose_it() -> None:
    """Of reads that began before and after a write, in whatever order they end, the write is known."""
    for is_early_last in (True, False):
        cache = HistoryCache()
        early = cache.begin_read()
        write(cache, RatingChange("a", 9, 4.0, 5))
        late = cache.begin_read()
        reads = [(history_of(1), early), (READ_LATE, late)]
        for user_ratings, read in reversed(reads) if is_early_last else reads:
            cache.remember("a", user_ratings, read)
            assert (9, 4.0) in known(cache, "a")
        write(cache, RatingChange("a", 9, None))
        assert known(cache, "a") == [(0, 1.0)]


def test_a_failed_write_changes_nothing_and_is_not_current() -> None:
    """A write that fails is not in the last known history, which is not current any more."""
    cache = HistoryCache()
    cache.trust()
    cache.remember("a", history_of(1), cache.begin_read())
    with pytest.raises(ZeroDivisionError), cache.writing(("a",)):
        raise ZeroDivisionError
    assert cache.current("a") is None
    assert known(cache, "a") == [(0, 1.0)]


def test_a_write_of_a_user_who_is_erased_meanwhile_is_not_kept() -> None:
    """An erasure between the commit and the end of a write leaves nothing of the user; others are kept."""
    cache = HistoryCache()
    with cache.writing(("a", "b")) as written:
        cache.erase("a")
        written.changes = (RatingChange("a", 1, 4.0), RatingChange("b", 2, 4.0))
    assert (cache.last_known("a"), known(cache, "b")) == (None, [(2, 4.0)])


def test_writes_are_bounded_like_reads() -> None:
    """Histories that writes began or lengthened count as others do."""
    cache = HistoryCache(max_users=3, max_ratings=8)
    for user in "abcde":
        write(cache, RatingChange(user, 1, 4.0))
    assert len(cache) == 3
    write(cache, *(RatingChange("e", movie, 4.0) for movie in range(8)))
    assert (len(cache), len(known(cache, "e"))) == (1, 8)


def test_changed_histories_are_stale_until_they_are_read_again() -> None:
    """A change of one user makes that one stale, a change of all or a regained trust everybody; others stay current."""
    cache = HistoryCache()
    for user in "ab":
        cache.remember(user, history_of(1), cache.begin_read())
    assert cache.stale_users(9) == []
    cache.trust()
    assert cache.stale_users(9) == ["a", "b"]
    for user in "ab":
        cache.remember(user, history_of(1), cache.begin_read())
    early = cache.begin_read()
    cache.invalidate("b")
    cache.invalidate("unknown")
    assert (cache.stale_users(9), cache.current("a") is None) == (["b"], False)
    cache.remember("b", history_of(1), early)
    assert cache.stale_users(9) == ["b"]
    cache.remember("b", history_of(1), cache.begin_read())
    assert cache.stale_users(9) == []
    cache.invalidate_all()
    assert cache.stale_users(1) == ["a"]
    cache.distrust()
    assert cache.stale_users(9) == []


def test_changes_of_others_do_not_spoil_a_read() -> None:
    """A history stays current whoever else rates during its read, also after more changes than are remembered."""
    cache = HistoryCache(max_users=2)
    cache.trust()
    read = cache.begin_read()
    cache.invalidate("b")
    cache.remember("a", history_of(1), read)
    assert cache.current("a") is not None
    cache.invalidate("a")
    read = cache.begin_read()
    for user in "cdef":
        cache.invalidate(user)
    cache.remember("a", history_of(1), read)
    assert cache.current("a") is None


def test_without_notices_no_history_is_current() -> None:
    """Where nobody gives notice of changes, writes of this process are known all the same."""
    cache = HistoryCache(has_notices=False)
    cache.trust()
    cache.remember("a", history_of(1), cache.begin_read())
    assert (cache.current("a"), cache.stale_users(9)) == (None, [])

"""The bounded memory of recent histories."""

import numpy as np

from cineclub.domain.ratings import UserRatings
from cineclub.domain.recent_histories import RecentHistories


def history_of(n_ratings: int) -> UserRatings:
    """Return a history of this length."""
    ids = np.arange(n_ratings, dtype=np.int64)
    return UserRatings(ids, np.ones(n_ratings, np.float32), ids)


def test_whoever_was_seen_longest_ago_is_forgotten_first() -> None:
    """The memory keeps the users seen last."""
    recent = RecentHistories(max_users=2)
    for user_id in ("a", "b", "a", "c"):
        recent.remember(user_id, history_of(1))
    assert recent.recall("b") is None
    assert recent.recall("a") is not None
    assert len(recent) == 2


def test_long_histories_take_the_room_of_many() -> None:
    """The number of ratings is bounded too, and a renewed history is counted once."""
    recent = RecentHistories(max_ratings=10)
    for _ in range(5):
        recent.remember("a", history_of(4))
    recent.remember("b", history_of(6))
    assert len(recent) == 2
    recent.remember("c", history_of(7))
    assert (recent.recall("a"), recent.recall("b")) == (None, None)
    recent.remember("d", history_of(11))
    assert len(recent) == 0

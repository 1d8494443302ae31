"""A bounded memory of the histories read last: what answers are made from while PostgreSQL is away."""

from collections import OrderedDict

from cineclub.domain.ratings import UserRatings

MAX_USERS = 10_000
MAX_RATINGS = 2_000_000


class RecentHistories:
    """The ratings of the users seen last; whoever was seen longest ago is forgotten first.

    Bounded by users and by ratings (20 bytes each), so a few people with very long histories cannot fill the memory.
    """

    def __init__(self, max_users: int = MAX_USERS, max_ratings: int = MAX_RATINGS) -> None:
        """Start empty."""
        self._by_user: OrderedDict[str, UserRatings] = OrderedDict()
        self._n_ratings = 0
        self._max_users = max_users
        self._max_ratings = max_ratings

    def remember(self, user_id: str, user_ratings: UserRatings) -> None:
        """Keep what a user has rated by now, and forget others where there is no more room."""
        known = self._by_user.pop(user_id, None)
        self._n_ratings += len(user_ratings) - (len(known) if known is not None else 0)
        self._by_user[user_id] = user_ratings
        while len(self._by_user) > self._max_users or self._n_ratings > self._max_ratings:
            _, forgotten = self._by_user.popitem(last=False)
            self._n_ratings -= len(forgotten)

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user."""
        known = self._by_user.pop(user_id, None)
        self._n_ratings -= len(known) if known is not None else 0

    def recall(self, user_id: str) -> UserRatings | None:
        """Return what the user had rated when last seen; None for someone not remembered."""
        known = self._by_user.get(user_id)
        if known is not None:
            self._by_user.move_to_end(user_id)
        return known

    def clear(self) -> None:
        """Keep nothing of anybody."""
        self._by_user.clear()
        self._n_ratings = 0

    def __len__(self) -> int:
        """Return the number of users remembered."""
        return len(self._by_user)

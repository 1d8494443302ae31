"""The one cache of histories: current ones in place of a read, and the last known ones while PostgreSQL is away."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.rating_changes import RatingChange, with_changes

MAX_USERS = 10_000
MAX_RATINGS = 2_000_000
NEVER = -1


@dataclass(frozen=True, slots=True)
class HistoryRead:
    """The state of the cache when a read began: whether notices came, how many so far, how many users were erased."""

    was_trusted: bool
    n_changes: int
    n_erased: int


@dataclass(slots=True)
class HistoryWrite:
    """A write of this process: its users, without those erased meanwhile, and its changes once they are committed."""

    user_ids: set[str]
    changes: Sequence[RatingChange] = ()


@dataclass(slots=True)
class _KnownHistory:
    """The last known history of a user.

    Attributes:
        user_ratings: the history as it was read last, with the unread changes.
        read_at: the number of changes when its read began; ``NEVER`` for one that was not read.
        unread: changes of this process that were committed after the read began, by movie, with their numbers.
    """

    user_ratings: UserRatings
    read_at: int = NEVER
    unread: dict[int, tuple[int, RatingChange]] = field(default_factory=dict)

    def note(self, number: int, change: RatingChange) -> None:
        """Add a committed change."""
        self.unread[change.movie_id] = (number, change)

    def merge(self) -> None:
        """Apply the unread changes."""
        self.user_ratings = with_changes(self.user_ratings, (change for _, change in self.unread.values()))


class HistoryCache:
    """The histories of the users seen last, each either current or only the last known.

    A history is current if every change is noticed (``trust``) and none of this user was noticed during its read:
    PostgreSQL may have read it before a commit whose notice is already here. A change makes it the last known history,
    which serves while PostgreSQL is away; ``stale_users`` are read again in the background. Between a commit and its
    notice, about a millisecond, the history before the commit counts as current, and for some seconds if the
    connection died without a sign.

    A write of this process (``writing``) is part of the last known history when it returns, whether or not the history
    was read before and whether or not PostgreSQL still answers then.

    Bounded by users and by ratings (20 bytes each), so that a few very long histories cannot fill the memory; the least
    recently used are dropped first. ``cachetools`` bounds a cache by one measure, not by two.

    Attributes:
        n_erased: the number of erased users so far; values computed from a history during an erasure must not be kept.
        on_stale: called when histories are to be read again.
    """

    def __init__(
        self,
        *,
        keeps_current: bool = True,
        has_notices: bool = True,
        max_users: int = MAX_USERS,
        max_ratings: int = MAX_RATINGS,
    ) -> None:
        """Start empty and not trusted.

        Args:
            keeps_current: current histories replace a read; without, every history is only the last known.
            has_notices: changes are noticed; without, the cache is never trusted.
            max_users: the bound of users.
            max_ratings: the bound of ratings.
        """
        self._by_user: OrderedDict[str, _KnownHistory] = OrderedDict()
        self._current_users: set[str] = set()
        self._stale_users: dict[str, None] = {}
        self._changed_at: OrderedDict[str, int] = OrderedDict()
        self._all_changed_at = 0
        self._writes: list[HistoryWrite] = []
        self._keeps_current = keeps_current
        self._has_notices = has_notices
        self._max_users = max_users
        self._max_ratings = max_ratings
        self._n_ratings = 0
        self._is_trusted = False
        self._n_changes = 0
        self.n_erased = 0
        self.on_stale: Callable[[], None] = lambda: None

    def current(self, user_id: str) -> UserRatings | None:
        """Return the history of a user if PostgreSQL holds the same, always as the same object; else None."""
        return self.last_known(user_id) if self._keeps_current and user_id in self._current_users else None

    def last_known(self, user_id: str) -> UserRatings | None:
        """Return the history of a user as it was read last, with later writes of this process; None if unknown."""
        known = self._by_user.get(user_id)
        if known is None:
            return None
        self._by_user.move_to_end(user_id)
        return known.user_ratings

    def stale_users(self, limit: int) -> list[str]:
        """Return users whose history has changed since its read, earliest change first; none while not trusted."""
        return list(islice(self._stale_users, limit)) if self._is_trusted else []

    def last_unchanged(self, user_id: str) -> UserRatings | None:
        """Return the history of a user as it was read last; None where a change was noticed since, or none is known."""
        known = self._by_user.get(user_id)
        is_unchanged = known is not None and known.read_at >= self._last_change_of(user_id)
        return self.last_known(user_id) if is_unchanged else None

    def begin_read(self) -> HistoryRead:
        """Return the state of the cache before a read, for ``remember``."""
        return HistoryRead(self._is_trusted, self._n_changes, self.n_erased)

    def remember(self, user_id: str, user_ratings: UserRatings, read: HistoryRead) -> None:
        """Keep the history that was read, unless a user was erased meanwhile or a later read is known.

        Writes of this process that were committed after the read began are added to it.
        """
        former = self._by_user.get(user_id)
        is_late = former is not None and former.read_at > read.n_changes
        if read.n_erased != self.n_erased or user_id in self._current_users or is_late:
            return
        known = _KnownHistory(user_ratings, read.n_changes)
        if former is not None:
            known.unread = {movie: noted for movie, noted in former.unread.items() if noted[0] > read.n_changes}
            known.merge()
        self._keep(user_id, known)
        if read.was_trusted and self._last_change_of(user_id) <= read.n_changes and user_id in self._by_user:
            self._current_users.add(user_id)
            self._stale_users.pop(user_id, None)

    @contextmanager
    def writing(self, user_ids: Collection[str]) -> Iterator[HistoryWrite]:
        """Yield a write of these users; its changes, if it does not fail, are known when the context ends.

        The histories are not current afterwards, after an error neither: a connection that breaks at the commit leaves
        open whether it took place.
        """
        write = HistoryWrite(set(user_ids))
        self._writes.append(write)
        try:
            yield write
            self._acknowledge(write)
        finally:
            self._writes = [other for other in self._writes if other is not write]
            for user_id in write.user_ids:
                self.invalidate(user_id)

    @property
    def is_trusted(self) -> bool:
        """Whether every change is noticed."""
        return self._is_trusted

    def trust(self) -> None:
        """Count histories that are read from now on as current: every change will be noticed."""
        if not self._has_notices or self._is_trusted:
            return
        self._is_trusted = True
        self._note_stale(self._by_user)

    def distrust(self) -> None:
        """Count no history as current, now and until trusted again: changes may be missed."""
        self._is_trusted = False
        self.invalidate_all()

    def invalidate(self, user_id: str) -> None:
        """Count the history of a user whose ratings changed as the last known only."""
        self._n_changes += 1
        self._current_users.discard(user_id)
        self._changed_at[user_id] = self._n_changes
        self._changed_at.move_to_end(user_id)
        if len(self._changed_at) > self._max_users:
            _, self._all_changed_at = self._changed_at.popitem(last=False)
        if user_id in self._by_user:
            self._note_stale((user_id,))

    def invalidate_all(self) -> None:
        """Count every history as the last known only."""
        self._n_changes += 1
        self._all_changed_at = self._n_changes
        self._changed_at.clear()
        self._current_users.clear()
        self._note_stale(self._by_user)

    def erase(self, user_id: str) -> None:
        """Drop a user who is erased, and the histories that are being read at this moment."""
        self.n_erased += 1
        for write in self._writes:
            write.user_ids.discard(user_id)
        self._drop(user_id)
        self._changed_at.pop(user_id, None)

    def _acknowledge(self, write: HistoryWrite) -> None:
        """Add the committed changes of a write to the last known histories."""
        self._n_changes += 1
        changed: dict[str, _KnownHistory] = {}
        for change in write.changes:
            if change.user_id in write.user_ids:
                known = changed.get(change.user_id) or self._by_user.get(change.user_id)
                changed[change.user_id] = known = known or _KnownHistory(UserRatings.none())
                known.note(self._n_changes, change)
        for user_id, known in changed.items():
            n_before = len(known.user_ratings) if user_id in self._by_user else 0
            known.merge()
            self._n_ratings += len(known.user_ratings) - n_before
            self._by_user[user_id] = known
            self._by_user.move_to_end(user_id)
        self._drop_oldest()

    def _keep(self, user_id: str, known: _KnownHistory) -> None:
        """Replace the history of a user, and drop others where there is no room."""
        is_stale = user_id in self._stale_users
        self._drop(user_id)
        self._by_user[user_id] = known
        self._n_ratings += len(known.user_ratings)
        if is_stale:
            self._stale_users[user_id] = None
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Drop the least recently used users until the others find room."""
        while len(self._by_user) > self._max_users or self._n_ratings > self._max_ratings:
            self._drop(next(iter(self._by_user)))

    def _note_stale(self, user_ids: Collection[str]) -> None:
        """Note users to be read again, while changes are noticed; a stale history is never current."""
        if self._is_trusted:
            self._stale_users |= dict.fromkeys(user_id for user_id in user_ids if user_id not in self._current_users)
            if self._stale_users:
                self.on_stale()
        else:
            self._stale_users.clear()

    def _last_change_of(self, user_id: str) -> int:
        """Return the number of the last change that may have been one of this user."""
        return max(self._changed_at.get(user_id, 0), self._all_changed_at)

    def _drop(self, user_id: str) -> None:
        """Drop a user."""
        known = self._by_user.pop(user_id, None)
        self._n_ratings -= 0 if known is None else len(known.user_ratings)
        self._current_users.discard(user_id)
        self._stale_users.pop(user_id, None)

    def __len__(self) -> int:
        """Return the number of users in the cache."""
        return len(self._by_user)

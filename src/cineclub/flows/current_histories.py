"""Histories from memory for as long as it is certain that they are what PostgreSQL holds."""

from collections.abc import AsyncIterator, Mapping, Sequence

from cineclub.domain.ratings import UserRatings
from cineclub.domain.recent_histories import RecentHistories
from cineclub.ports import HistoryReader, PopularMovie


class CurrentHistories:
    """Implements the port ``HistoryReader`` over another, and ``HistoryMemory``.

    A history is kept only if no change of any kind was told of while it was read: PostgreSQL may have read it before a
    commit whose notice is already here. Between a commit and its notice, about a millisecond, the history before the
    commit may still be answered, and for some seconds if the line to PostgreSQL has died without a sign; whoever writes
    through this process forgets at once.
    """

    def __init__(self, reader: HistoryReader, *, is_keeping: bool = True) -> None:
        """Take where histories are read; nothing is kept until the memory may be trusted, or never."""
        self._reader = reader
        self._is_keeping = is_keeping
        self._kept = RecentHistories()
        self._is_trusted = False
        self._n_changes = 0

    async def ratings_of(self, user_id: str) -> UserRatings:
        """Return everything the user with this external id has rated, the same object while nothing changes.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        kept = self._kept.recall(user_id)
        if kept is not None:
            return kept
        was_trusted, n_changes = self._is_trusted, self._n_changes
        found = await self._reader.ratings_of(user_id)
        is_current = was_trusted and n_changes == self._n_changes
        if is_current and self._kept.recall(user_id) is None:  # whoever asked later may have been answered earlier
            self._kept.remember(user_id, found)
        return found

    async def ratings_of_many(self, user_ids: Sequence[str]) -> Mapping[str, UserRatings]:
        """Return the same for many users, by external id; those who have rated nothing are left out.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        return await self._reader.ratings_of_many(user_ids)

    def users(self) -> AsyncIterator[list[str]]:
        """Yield the external ids of all users, some hundreds at a time.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        return self._reader.users()

    async def popular(self, limit: int) -> list[PopularMovie]:
        """Return the most popular films by damped popularity."""
        return await self._reader.popular(limit)

    def trust(self) -> None:
        """Keep histories that are asked for from now on: every change will be told."""
        self._is_trusted = self._is_keeping

    def distrust(self) -> None:
        """Keep nothing, now and until trusted again: changes may be missed."""
        self._is_trusted = False
        self.forget_all()

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user whose ratings changed."""
        self._n_changes += 1
        self._kept.forget(user_id)

    def forget_all(self) -> None:
        """Keep nothing of anybody."""
        self._n_changes += 1
        self._kept.clear()

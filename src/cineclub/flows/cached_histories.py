"""Histories from the cache while they are current, else from PostgreSQL; changed ones are read again."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.history_cache import HistoryCache
from cineclub.domain.recommend.impressions import ShownMovies
from cineclub.domain.recommend.records import PopularMovie
from cineclub.ports import HistoryReader
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask

USERS_AT_ONCE = 50
"""Few enough that unpacking their histories holds up no request."""

RETRY_SECONDS = 1.0


class CachedHistories:
    """Histories of another ``HistoryReader`` behind a cache; raises what that raises."""

    def __init__(self, reader: HistoryReader, cache: HistoryCache) -> None:
        """Take the reader of PostgreSQL, and the cache, which others invalidate."""
        self._reader = reader
        self._cache = cache

    async def ratings_of(self, user_id: str) -> UserRatings:
        """Return all ratings of the user with this external id, the same object while nothing changes."""
        user_ratings = self._cache.current(user_id)
        if user_ratings is None:
            read = self._cache.begin_read()
            user_ratings = await self._reader.ratings_of(user_id)
            self._cache.remember(user_id, user_ratings, read)
        return user_ratings

    async def ratings_of_many(self, user_ids: Sequence[str]) -> Mapping[str, UserRatings]:
        """Return the same for many users, by external id, always from PostgreSQL; users without ratings are missing."""
        return await self._reader.ratings_of_many(user_ids)

    async def shown_to(self, user_id: str) -> ShownMovies:
        """Return the films that a user was shown lately, always from PostgreSQL."""
        return await self._reader.shown_to(user_id)

    def users(self) -> AsyncIterator[list[str]]:
        """Yield the external ids of all users, some hundreds at a time."""
        return self._reader.users()

    async def popular(self, limit: int, also: Sequence[int] = ()) -> list[PopularMovie]:
        """Return the most popular movies by damped popularity, and others by internal id."""
        return await self._reader.popular(limit, also)


class HistoryRefresher:
    """Reads histories again as soon as a change is noticed, so that an outage of PostgreSQL finds them up to date."""

    def __init__(self, reader: HistoryReader, cache: HistoryCache) -> None:
        """Take the reader of PostgreSQL, and the cache, which reports stale histories from now on."""
        self._reader = reader
        self._cache = cache
        self._has_stale = asyncio.Event()
        self._task = PeriodicTask("histories", self.refresh, Intervals(0.0, after_failure=RETRY_SECONDS))
        cache.on_stale = self._has_stale.set

    async def start(self) -> None:
        """Start to refresh in the background."""
        await self._task.start()

    async def stop(self) -> None:
        """Stop, in the middle of a read too."""
        await self._task.stop()

    async def refresh(self) -> None:
        """Wait until histories are stale, and read them again, some users at a time.

        Raises:
            StorageUnavailable: PostgreSQL does not answer; they are read again when its notices are back.
        """
        await self._has_stale.wait()
        self._has_stale.clear()
        while user_ids := self._cache.stale_users(USERS_AT_ONCE):
            read = self._cache.begin_read()
            histories = await self._reader.ratings_of_many(user_ids)
            for user_id in user_ids:
                self._cache.remember(user_id, histories.get(user_id, UserRatings.none()), read)
            await asyncio.sleep(0)

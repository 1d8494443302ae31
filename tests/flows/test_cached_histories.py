"""The history cache holds what PostgreSQL holds."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np
import pytest

from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.history_cache import HistoryCache
from cineclub.domain.recommend.impressions import ShownMovies
from cineclub.domain.recommend.records import PopularMovie
from cineclub.flows.cached_histories import CachedHistories

pytestmark = pytest.mark.anyio


class SlowReader:
    """A reader whose results the test sets, so that the order of events is fixed."""

    def __init__(self) -> None:
        """Start without reads."""
        self.reads: list[asyncio.Future[UserRatings]] = []

    async def ratings_of(self, user_id: str) -> UserRatings:  # noqa: ARG002 - one user is enough
        """Wait for the test to set the result."""
        pending: asyncio.Future[UserRatings] = asyncio.get_running_loop().create_future()
        self.reads.append(pending)
        return await pending

    async def ratings_of_many(self, user_ids: Sequence[str]) -> Mapping[str, UserRatings]:
        """Return nothing."""
        return dict.fromkeys(user_ids[:0], UserRatings.none())

    async def users(self) -> AsyncIterator[list[str]]:
        """Yield nobody."""
        yield []

    async def shown_to(self, _user_id: str) -> ShownMovies:
        """Return nothing."""
        return ShownMovies.none()

    async def popular(self, _limit: int, _also: Sequence[int] = ()) -> list[PopularMovie]:
        """Return nothing."""
        return []


def rating_of(value: float) -> UserRatings:
    """Return a history of one rating."""
    return UserRatings(np.array([1]), np.array([value], np.float32), np.array([0]))


async def read(histories: CachedHistories, reader: SlowReader, history: UserRatings) -> UserRatings:
    """Read a history once; the reader returns this one if the cache has none."""
    n_reads = len(reader.reads)
    task = asyncio.create_task(histories.ratings_of("u"))
    await asyncio.sleep(0)
    if len(reader.reads) > n_reads:
        reader.reads[-1].set_result(history)
    return await task


async def test_nothing_is_kept_before_notices_are_trusted() -> None:
    """Without trusted notices every history is read again."""
    reader = SlowReader()
    cache = HistoryCache()
    histories = CachedHistories(reader, cache)
    await read(histories, reader, rating_of(1))
    assert (await read(histories, reader, rating_of(2))).ratings[0] == 2


async def test_a_kept_history_is_the_same_until_it_changes() -> None:
    """A cached history is reused until its user or everybody changes or the connection is lost."""
    reader = SlowReader()
    cache = HistoryCache()
    histories = CachedHistories(reader, cache)
    cache.trust()
    first = await read(histories, reader, rating_of(1))
    assert await read(histories, reader, rating_of(2)) is first
    for value, change in enumerate((lambda: cache.invalidate("u"), cache.invalidate_all, cache.distrust), start=2):
        change()
        cache.trust()
        assert (await read(histories, reader, rating_of(value))).ratings[0] == value


async def test_what_was_read_before_a_change_is_not_kept() -> None:
    """A history read before the notice of its change is returned once and not cached."""
    reader = SlowReader()
    cache = HistoryCache()
    histories = CachedHistories(reader, cache)
    cache.trust()
    early = asyncio.create_task(histories.ratings_of("u"))
    await asyncio.sleep(0)
    cache.invalidate("u")
    reader.reads[-1].set_result(rating_of(1))
    assert (await early).ratings[0] == 1
    assert (await read(histories, reader, rating_of(2))).ratings[0] == 2


async def test_what_was_read_before_the_memory_was_trusted_is_not_kept() -> None:
    """A history read before the cache was trusted is not cached, since a change may have been missed."""
    reader = SlowReader()
    cache = HistoryCache()
    histories = CachedHistories(reader, cache)
    early = asyncio.create_task(histories.ratings_of("u"))
    await asyncio.sleep(0)
    cache.trust()
    reader.reads[-1].set_result(rating_of(1))
    await early
    assert (await read(histories, reader, rating_of(2))).ratings[0] == 2


async def test_a_read_that_began_earlier_does_not_replace_a_later_one() -> None:
    """Of two overlapping reads of one user the later one is cached."""
    reader = SlowReader()
    cache = HistoryCache()
    histories = CachedHistories(reader, cache)
    cache.trust()
    early, late = (asyncio.create_task(histories.ratings_of("u")) for _ in range(2))
    await asyncio.sleep(0)
    reader.reads[1].set_result(rating_of(2))
    await late
    reader.reads[0].set_result(rating_of(1))
    await early
    assert (await read(histories, reader, rating_of(3))).ratings[0] == 2

"""The time-bounded cache: each value computed once, old values kept while the next one fails."""

import asyncio

import pytest

from cineclub.domain.errors import StorageUnavailable
from cineclub.runtime.fresh_cache import FRESH_SECONDS, MAX_KEYS, FreshCache

pytestmark = pytest.mark.anyio


class Counter:
    """Counts its calls, and fails while PostgreSQL is away; ``seconds`` is its clock."""

    def __init__(self) -> None:
        """Start without calls."""
        self.n_calls = 0
        self.is_away = False
        self.seconds = 0.0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def count(self, key: str) -> str:
        """Return the key with the number of the call, once released."""
        self.n_calls += 1
        number = self.n_calls
        await self.may_end.wait()
        if self.is_away:
            message = "away"
            raise StorageUnavailable(message)
        return f"{key}{number}"

    def cache(self) -> FreshCache[str, str]:
        """Return a cache of the counts."""
        return FreshCache(self.count, "counts", lambda: self.seconds)


async def test_a_value_is_computed_again_after_a_minute() -> None:
    """A value is computed again after a minute, by key, and not before."""
    counter = Counter()
    cache = counter.cache()
    assert [await cache.get(key) for key in ("a", "b", "a")] == ["a1", "b2", "a1"]
    counter.seconds = FRESH_SECONDS
    assert await cache.get("a") == "a1"
    counter.seconds += 0.1
    assert await cache.get("a") == "a3"


async def test_readers_at_the_same_time_wait_for_one_computation() -> None:
    """Ten readers of one key cost one computation."""
    counter = Counter()
    cache = counter.cache()
    counter.may_end.clear()
    readers = [asyncio.create_task(cache.get("a")) for _ in range(10)]
    await asyncio.sleep(0)
    counter.may_end.set()
    assert set(await asyncio.gather(*readers)) == {"a1"}


async def test_the_last_value_outlives_a_failure() -> None:
    """A failure is raised and not cached; the last value stays available."""
    counter = Counter()
    cache = counter.cache()
    assert cache.last("a") is None
    await cache.get("a")
    counter.seconds, counter.is_away = 61.0, True
    with pytest.raises(StorageUnavailable):
        await cache.get("a")
    assert cache.last("a") == "a1"
    counter.is_away = False
    assert await cache.get("a") == "a3"


async def test_an_old_value_is_returned_at_once_and_renewed_beside(caplog: pytest.LogCaptureFixture) -> None:
    """Only the first reader waits; a failed renewal is logged and tried again."""
    counter = Counter()
    cache = counter.cache()
    assert await cache.get_at_once("a") == "a1"
    counter.seconds, counter.is_away = 61.0, True
    assert await cache.get_at_once("a") == "a1"
    await asyncio.sleep(0.01)
    assert "counts_not_renewed cause=away" in caplog.text
    counter.is_away = False
    assert [await cache.get_at_once("a") for _ in range(3)] == ["a1"] * 3
    await asyncio.sleep(0.01)
    assert await cache.get_at_once("a") == "a3"


async def test_the_first_reader_gets_the_failure_and_a_cancelled_one_stops_nobody() -> None:
    """The first reader gets the failure, and a cancelled reader does not stop the others."""
    counter = Counter()
    cache = counter.cache()
    counter.is_away = True
    with pytest.raises(StorageUnavailable):
        await cache.get_at_once("a")
    counter.is_away = False
    counter.may_end.clear()
    first, second = (asyncio.create_task(cache.get_at_once("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    counter.may_end.set()
    assert await second == "a2"


async def test_an_empty_value_is_computed_each_time() -> None:
    """An empty value is not cached, since it may be filled at any moment."""
    values: list[list[int]] = [[], [1]]

    async def pop(_: None) -> list[int]:
        return values.pop(0)

    cache = FreshCache(pop)
    assert [await cache.get_at_once(None) for _ in range(3)] == [[], [1], [1]]


async def test_the_oldest_of_many_keys_is_dropped() -> None:
    """The number of keys is bounded; the oldest is dropped."""
    cache = Counter().cache()
    for number in range(MAX_KEYS + 1):
        await cache.get(str(number))
    assert cache.last("0") is None
    assert cache.last("1") is not None

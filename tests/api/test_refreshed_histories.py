"""Changed histories are read again as soon as PostgreSQL gives notice of them."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
import pytest
from small_service import N_USERS

from cineclub.adapters.postgres.histories import PostgresHistories
from cineclub.adapters.postgres.movies import PostgresMovies
from cineclub.adapters.postgres.rating_notices import RatingNotices
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.bootstrap import data_files
from cineclub.domain.recommend.history_cache import HistoryCache
from cineclub.flows.cached_histories import CachedHistories, HistoryRefresher
from cineclub.settings import Settings
from waiting import until

pytestmark = pytest.mark.anyio

RATE = "INSERT INTO cineclub.ratings VALUES (%s, 7, 1, now()) ON CONFLICT (user_id, movie_id) DO UPDATE SET rating = 1"


@dataclass(frozen=True)
class Memory:
    """A cache with its readers, as a process of the API has them."""

    cache: HistoryCache
    histories: CachedHistories

    def rating_of(self, user_id: str, movie_id: int = 7) -> float | None:
        """Return a rating of the last known history; None where it has none."""
        known = self.cache.last_known(user_id)
        if known is None or movie_id not in known.movie_ids:
            return None
        return float(known.ratings[np.flatnonzero(known.movie_ids == movie_id)[0]])


@pytest.fixture(params=[True, False])
async def memory(filled_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    """A cache that is noticed of changes, with current histories and without."""
    pool, cache = ServingPool(filled_url), HistoryCache(keeps_current=request.param)
    reader = PostgresHistories(pool, PostgresMovies(pool, None))
    services = (pool, RatingNotices(filled_url, pool, cache, cache.erase), HistoryRefresher(reader, cache))
    async with contextlib.AsyncExitStack() as stack:
        for service in services:
            await service.start()
            stack.push_async_callback(service.stop)
        yield Memory(cache, CachedHistories(reader, cache))


async def test_a_rating_of_another_program_is_known_without_a_read(memory: Memory, filled_url: str) -> None:
    """What another program wrote is in the last known history, though nobody asked for this user again."""
    await until(lambda: memory.cache.begin_read().was_trusted)
    await memory.histories.ratings_of("3")
    with psycopg.connect(filled_url, autocommit=True) as connection:
        connection.execute(RATE, [3])
        await until(lambda: memory.rating_of("3") == 1)
        connection.execute("DELETE FROM cineclub.ratings WHERE user_id = 3 AND movie_id = 7")
        await until(lambda: memory.rating_of("3") is None)
        assert memory.cache.last_known("3") is not None


async def test_after_an_import_every_known_history_is_read_again(
    memory: Memory, filled_url: str, home: Path, tmp_path: Path
) -> None:
    """One notice for everybody refreshes all histories in memory, more than are read at once."""
    await until(lambda: memory.cache.begin_read().was_trusted)
    users = [str(user) for user in range(1, N_USERS + 1)]
    for user in users:
        await memory.histories.ratings_of(user)
    file = tmp_path / "ratings.csv"
    file.write_text("userId,movieId,rating,timestamp\n" + "".join(f"{user},1007,1.5,1700000000\n" for user in users))
    source, settings = data_files.rating_source(file, None, None), Settings(home=home, database_url=filled_url)
    data_files.import_ratings(settings, source, home / "rejects.csv", strict=True, progress=lambda *_: None)
    await until(lambda: all(memory.rating_of(user) == 1.5 for user in users))
    assert not memory.cache.stale_users(1)

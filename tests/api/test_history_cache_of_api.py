"""The history cache of the real application under concurrent writes."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, N_MOVIES, N_USERS, Service, eventually, running

pytestmark = pytest.mark.anyio

UPSERT = """
INSERT INTO cineclub.ratings VALUES (%(user)s, %(film)s, %(rating)s, now())
ON CONFLICT (user_id, movie_id) DO UPDATE SET rating = excluded.rating
"""
N_WRITERS, N_WRITES, N_ROUNDS = 4, 60, 5


async def is_kept(service: Service, user_id: str) -> bool:
    """Return whether a second read is served from the cache."""
    histories = service.parts.histories
    return await histories.ratings_of(user_id) is await histories.ratings_of(user_id)


@pytest.fixture
async def keeping(trained_url: str, home: Path) -> AsyncIterator[Service]:
    """The application once its history cache is trusted."""
    async with running(trained_url, home) as service:
        await eventually(lambda: is_kept(service, "1"))
        yield service


def write_at_random(database_url: str, seed: int) -> None:
    """Change ratings of a few users by every kind of statement, each in its own transaction, some rolled back."""
    rng = random.Random(seed)  # noqa: S311 - a test's
    with psycopg.connect(database_url) as connection:
        for _ in range(N_WRITES):
            at = {"user": rng.randint(1, 8), "film": rng.randint(1, N_MOVIES), "rating": rng.randint(1, 10) / 2}
            statement = rng.choice(
                [
                    UPSERT,
                    "DELETE FROM cineclub.ratings WHERE user_id = %(user)s AND movie_id = %(film)s",
                    "UPDATE cineclub.ratings SET rating = %(rating)s WHERE user_id = %(user)s AND movie_id < %(film)s",
                ]
            )
            try:
                connection.execute(statement.encode(), at)
            except psycopg.errors.DeadlockDetected:
                connection.rollback()
                continue
            (connection.rollback if rng.random() < 0.1 else connection.commit)()


async def read_until(service: Service, is_over: asyncio.Event) -> None:
    """Read the users' histories until stopped."""
    while not is_over.is_set():
        for user in range(1, 9):
            await service.parts.histories.ratings_of(str(user))
        await asyncio.sleep(0)


async def test_memory_and_database_agree_after_concurrent_writes(keeping: Service, trained_url: str) -> None:
    """Four writers change eight users who are read continuously; no stale history stays in the cache."""
    for round_ in range(N_ROUNDS):
        is_over = asyncio.Event()
        readers = [asyncio.create_task(read_until(keeping, is_over)) for _ in range(3)]
        seeds = range(round_ * N_WRITERS, (round_ + 1) * N_WRITERS)
        await asyncio.gather(*(asyncio.to_thread(write_at_random, trained_url, seed) for seed in seeds))
        is_over.set()
        await asyncio.gather(*readers)
        await eventually(lambda: all_agree(keeping, trained_url))


async def all_agree(service: Service, database_url: str) -> bool:
    """Return whether every history is cached and equals the database."""
    for user in range(1, 9):
        known = await service.parts.histories.ratings_of(str(user))
        with psycopg.connect(database_url) as connection:
            rows = connection.execute(
                "SELECT movie_id, rating FROM cineclub.ratings WHERE user_id = %s ORDER BY movie_id", [user]
            ).fetchall()
        held = sorted(zip(known.movie_ids.tolist(), known.ratings.tolist(), strict=True))
        if held != rows or not await is_kept(service, str(user)):
            return False
    return True


async def test_the_next_response_knows_a_rating_that_came_over_http(keeping: Service) -> None:
    """A read after a write through the API never gets the older history."""
    for number in range(30):
        movie_id = FIRST_EXTERNAL_ID + number % N_MOVIES
        rating = {"user_id": "new", "movie_id": movie_id, "rating": 0.5 + number % 10 / 2}
        assert (await keeping.client.post("/ratings/", json=rating)).status_code == 200
        known = await keeping.parts.histories.ratings_of("new")
        assert (known.movie_ids[-1], known.ratings[-1]) == (number % N_MOVIES + 1, rating["rating"])
        await keeping.parts.histories.ratings_of("new")
        assert (await keeping.client.delete(f"/ratings/new/{movie_id}")).status_code == 204
        assert len(await keeping.parts.histories.ratings_of("new")) == 0


async def test_an_erased_user_is_in_no_memory(keeping: Service) -> None:
    """Erasing a user removes the history from the cache before the response."""
    assert await is_kept(keeping, "3")
    assert (await keeping.client.delete("/users/3")).status_code in (200, 202)
    assert len(await keeping.parts.histories.ratings_of("3")) == 0


async def test_without_the_cache_every_history_is_read(trained_url: str, home: Path) -> None:
    """CINECLUB_HISTORY_CACHE=off reads from PostgreSQL each time."""
    async with running(trained_url, home, history_cache=False) as service:
        for user in range(1, N_USERS):
            assert not await is_kept(service, str(user))


async def test_many_reads_at_once_each_get_their_own_history(trained_url: str, home: Path) -> None:
    """Batched reads do not mix users up, and unknown users have no history."""
    async with running(trained_url, home, history_cache=False) as service:
        ids = [str(number) for number in range(1, N_USERS + 20)]
        together = await asyncio.gather(*(service.parts.histories.ratings_of(user_id) for user_id in [*ids, *ids]))
        alone = [await service.parts.histories.ratings_of(user_id) for user_id in ids]
    for read_together, read_alone in zip(together, [*alone, *alone], strict=True):
        assert read_together.movie_ids.tolist() == read_alone.movie_ids.tolist()
        assert read_together.ratings.tolist() == read_alone.ratings.tolist()

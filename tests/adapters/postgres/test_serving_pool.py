"""The connections of the request path: a statement that takes too long is given up, here and in PostgreSQL."""

import asyncio
import time

import psycopg
import pytest

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.errors import StorageUnavailable

SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'"


async def give_up_and_ask_again(database_url: str) -> float:
    """Return after how many seconds a statement of a minute was given up, once others are answered again."""
    pool = ServingPool(database_url)
    await pool.start()
    began = time.monotonic()
    with pytest.raises(StorageUnavailable):
        async with pool.connection(0.3) as connection:
            await connection.execute("SELECT pg_sleep(60)")
    took = time.monotonic() - began
    await heal(pool)
    async with asyncio.timeout(5):
        while await n_sleeping(pool):  # noqa: ASYNC110 - what is waited for knows of no event
            await asyncio.sleep(0.02)
    await pool.stop()
    return took


async def heal(pool: ServingPool) -> None:
    """Wait until PostgreSQL is asked again."""
    async with asyncio.timeout(5):
        while not await pool.is_reachable():  # noqa: ASYNC110 - what is waited for knows of no event
            await asyncio.sleep(0.02)


async def n_sleeping(pool: ServingPool) -> int:
    """Return how many of those statements run in PostgreSQL."""
    async with pool.connection() as connection:
        row = await (await connection.execute(SLEEPING)).fetchone()
    return 0 if row is None else int(row["count"])


def test_a_statement_that_takes_too_long_is_given_up_in_time(database_url: str) -> None:
    """Others are answered at once afterwards, and PostgreSQL does not go on with it."""
    assert asyncio.run(give_up_and_ask_again(database_url)) < 1.0


def test_the_pool_is_used_up_no_further_by_what_was_given_up(database_url: str) -> None:
    """Twenty in turn leave as many connections as there may be."""

    async def give_up_often() -> None:
        pool = ServingPool(database_url)
        await pool.start()
        for _ in range(20):
            await heal(pool)
            with pytest.raises(StorageUnavailable):
                async with pool.connection(0.02) as connection:
                    await connection.execute("SELECT pg_sleep(60)")
        await heal(pool)
        await asyncio.gather(*(read(pool) for _ in range(8)))
        await pool.stop()

    async def read(pool: ServingPool) -> None:
        async with pool.connection() as connection:
            await connection.execute("SELECT pg_sleep(0.1)")

    asyncio.run(give_up_often())
    with psycopg.connect(database_url) as connection:
        assert connection.execute(SLEEPING).fetchall() == [(0,)]

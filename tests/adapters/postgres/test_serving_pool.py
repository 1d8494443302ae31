"""The pool of the request path tells a slow statement and a busy PostgreSQL from one that is away."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cineclub.adapters.postgres import serving_pool
from cineclub.adapters.postgres.serving_pool import MAX_CONNECTIONS, ServingPool
from cineclub.domain.errors import StorageOverloaded, StorageTooSlow

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServingPool]:
    """An open pool."""
    monkeypatch.setattr(serving_pool, "WAIT_SECONDS", 3.0)  # a busy machine takes its time for the probe
    opened = ServingPool(database_url)
    await opened.start()
    yield opened
    await opened.stop()


async def sleep_there(pool: ServingPool, seconds: float, limit_seconds: float) -> None:
    """Let PostgreSQL sleep."""
    async with pool.connection(limit_seconds) as connection:
        await connection.execute("SELECT pg_sleep(%s)", (seconds,))


async def test_a_statement_over_its_limit_fails_alone(pool: ServingPool) -> None:
    """The slow statement is cut, and others go on."""
    with pytest.raises(StorageTooSlow):
        await sleep_there(pool, 60, 4)
    assert not pool.usage().is_away
    await sleep_there(pool, 0, 5)


async def test_more_statements_than_connections_are_no_outage(pool: ServingPool) -> None:
    """Who finds no free connection is told so, while PostgreSQL answers."""
    outcomes = await asyncio.gather(
        *(sleep_there(pool, 7, 60) for _ in range(MAX_CONNECTIONS + 2)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {type(None), StorageOverloaded}
    assert not pool.usage().is_away

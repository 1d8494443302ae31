"""The connections of the request path: few, asynchronous, and quick to say that PostgreSQL is away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import monotonic

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from cineclub.adapters.postgres.sessions import LACKING, Row
from cineclub.domain.errors import StorageUnavailable

MAX_CONNECTIONS = 8
WAIT_SECONDS = 1.0
AWAY_SECONDS = 0.5
STOP_SECONDS = 2.0


class ServingPool:
    """A pool that opens without waiting, heals by itself, and fails at once for a moment after it has failed."""

    def __init__(self, database_url: str) -> None:
        """Take the address; nothing is opened yet."""
        self._database_url = database_url
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]] | None = None
        self._away_until = float("-inf")
        self._check: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the pool without waiting for PostgreSQL."""
        self._pool = AsyncConnectionPool(
            self._database_url,
            connection_class=psycopg.AsyncConnection[Row],
            kwargs={"autocommit": True, "row_factory": dict_row, "connect_timeout": 2},
            min_size=1,
            max_size=MAX_CONNECTIONS,
            timeout=WAIT_SECONDS,
            reconnect_timeout=WAIT_SECONDS,
            open=False,
        )
        await self._pool.open(wait=False)

    async def stop(self) -> None:
        """Close every connection."""
        if self._check is not None:
            self._check.cancel()
        if self._pool is not None:
            await self._pool.close(timeout=STOP_SECONDS)

    async def is_reachable(self) -> bool:
        """Say whether PostgreSQL answers now."""
        try:
            async with self.connection() as connection:
                await connection.execute("SELECT 1")
        except StorageUnavailable:
            return False
        return True

    @contextlib.asynccontextmanager
    async def connection(self, limit_seconds: float = 2.0) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        """Give a connection for a few statements that may take ``limit_seconds`` together.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or did not a moment ago.
        """
        if self._pool is None or monotonic() < self._away_until:
            message = "PostgreSQL does not answer: run `cineclub doctor`, then try again"
            raise StorageUnavailable(message)
        try:
            async with asyncio.timeout(limit_seconds), self._pool.connection() as connection:
                yield connection
        except LACKING as error:
            message = f"the database lacks what cineclub needs ({str(error).splitlines()[0]}): run `cineclub doctor`"
            raise StorageUnavailable(message) from error
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
            self._note_away()
            message = "PostgreSQL does not answer: run `cineclub doctor`, then try again"
            raise StorageUnavailable(message) from error

    def _note_away(self) -> None:
        """Fail at once for a moment, and throw broken connections away meanwhile."""
        self._away_until = monotonic() + AWAY_SECONDS
        if self._pool is not None and (self._check is None or self._check.done()):
            self._check = asyncio.create_task(_discard_broken(self._pool), name="pool check")


async def _discard_broken(pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]]) -> None:
    """Replace the idle connections that do not answer any more."""
    with contextlib.suppress(psycopg.Error, OSError):
        await pool.check()

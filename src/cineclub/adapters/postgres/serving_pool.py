"""The connections of the request path: few, asynchronous, and quick to say that PostgreSQL is away.

Whoever meets an outage first may wait a second for a new connection. From then on everybody is told at once, and one
task alone tries until PostgreSQL answers.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from cineclub.adapters.postgres.sessions import LACKING, Row
from cineclub.domain.errors import StorageUnavailable
from cineclub.ports import PoolUsage

MAX_CONNECTIONS = 8
WAIT_SECONDS = 1.0
LOOK_SECONDS = 0.25
STOP_SECONDS = 2.0
CONNECT_SECONDS = 2
LOOKING_SECONDS = 5.0


class ServingPool:
    """A pool that opens without waiting, fails at once after it has failed, and heals by itself."""

    def __init__(self, database_url: str) -> None:
        """Take the address; nothing is opened yet."""
        self._database_url = database_url
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]] | None = None
        self._healing: asyncio.Task[None] | None = None
        self._cancelling: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the pool without waiting for PostgreSQL."""
        self._pool = AsyncConnectionPool(
            self._database_url,
            connection_class=psycopg.AsyncConnection[Row],
            kwargs={"autocommit": True, "row_factory": dict_row, "connect_timeout": CONNECT_SECONDS},
            min_size=1,
            max_size=MAX_CONNECTIONS,
            timeout=WAIT_SECONDS,
            reconnect_timeout=WAIT_SECONDS,
            open=False,
        )
        await self._pool.open(wait=False)

    async def stop(self) -> None:
        """Close every connection."""
        if self._healing is not None:
            self._healing.cancel()
            await asyncio.gather(self._healing, return_exceptions=True)
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

    def usage(self) -> PoolUsage:
        """Return how the connections are used now, and how they were since this was last asked."""
        stats = self._pool.pop_stats() if self._pool is not None else {}
        n_open = stats.get("pool_size", 0)
        return PoolUsage(
            is_away=self._is_away,
            n_open=n_open,
            n_in_use=n_open - stats.get("pool_available", 0),
            n_waiting=stats.get("requests_waiting", 0),
            n_most=MAX_CONNECTIONS,
            n_lent=stats.get("requests_num", 0),
            waited_seconds=stats.get("requests_wait_ms", 0) / 1000,
        )

    @contextlib.asynccontextmanager
    async def connection(self, limit_seconds: float = 2.0) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        """Give a connection for a few statements that may take ``limit_seconds`` together.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or did not a moment ago.
        """
        if self._pool is None or self._is_away:
            message = "PostgreSQL does not answer: run `cineclub doctor`, then try again"
            raise StorageUnavailable(message)
        try:
            async with self._pool.connection() as connection, self._cut_after(limit_seconds, connection):
                yield connection
        except LACKING as error:
            message = f"the database lacks what cineclub needs ({str(error).splitlines()[0]}): run `cineclub doctor`"
            raise StorageUnavailable(message) from error
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
            self._note_away()
            message = "PostgreSQL does not answer: run `cineclub doctor`, then try again"
            raise StorageUnavailable(message) from error

    @property
    def _is_away(self) -> bool:
        """Whether PostgreSQL failed and has not answered since."""
        return self._healing is not None and not self._healing.done()

    def _note_away(self) -> None:
        """Let everybody fail at once until PostgreSQL answers again."""
        if self._pool is not None and not self._is_away:
            self._healing = asyncio.create_task(self._heal(self._pool), name="pool healing")

    async def _heal(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]]) -> None:
        """Return once PostgreSQL answers, with new connections in place of those from before."""
        while True:
            if await self._answers():
                await pool.drain()
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _answers(self) -> bool:
        """Say whether PostgreSQL answers over a connection of its own."""
        try:
            async with (
                asyncio.timeout(LOOKING_SECONDS),
                await psycopg.AsyncConnection.connect(
                    self._database_url, autocommit=True, connect_timeout=CONNECT_SECONDS
                ) as connection,
            ):
                await connection.execute("SELECT 1")
        except (psycopg.Error, OSError, TimeoutError):
            return False
        return True

    @contextlib.asynccontextmanager
    async def _cut_after(self, seconds: float, connection: psycopg.AsyncConnection[Row]) -> AsyncIterator[None]:
        """Cut a connection whose statements take longer, which ends the wait for them at once.

        A statement that is only cancelled would be waited for until a hanging PostgreSQL has confirmed that.
        """
        timer = asyncio.get_running_loop().call_later(seconds, self._cut, connection)
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self, connection: psycopg.AsyncConnection[Row]) -> None:
        """Let PostgreSQL drop the statement if it listens, and whoever waits for it fail now."""
        cancelling = asyncio.create_task(_cancel(connection), name="statement cancelling")
        self._cancelling.add(cancelling)
        cancelling.add_done_callback(self._cancelling.discard)
        with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


async def _cancel(connection: psycopg.AsyncConnection[Row]) -> None:
    """Ask PostgreSQL to drop what runs over a connection."""
    with contextlib.suppress(psycopg.Error, OSError):
        await connection.cancel_safe(timeout=CONNECT_SECONDS)

"""The connection pool of the request path: small, asynchronous, and quick to fail in an outage of PostgreSQL.

The first request of an outage may wait a second for a new connection. From then on all requests fail at once, and one
task alone retries until PostgreSQL answers. Only a lost connection is an outage: a statement that PostgreSQL refuses or
ends fails for its own request, with an error of its own (``failures``).
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from cineclub.adapters.postgres.failures import UNREACHABLE, is_lost, statement_failed, storage_error
from cineclub.adapters.postgres.sessions import Row
from cineclub.domain.errors import (
    StatementFailed,
    StorageContended,
    StorageMismatch,
    StorageOverloaded,
    StorageTooSlow,
    StorageUnavailable,
)
from cineclub.runtime.pool_usage import PoolUsage

MAX_CONNECTIONS = 8
WAIT_SECONDS = 1.0
RETRY_SECONDS = 0.25
STOP_SECONDS = 2.0
CONNECT_SECONDS = 2
PROBE_SECONDS = 5.0
LOST_PROBE_SECONDS = 0.25
"""How long a lost connection waits for a sign that PostgreSQL still answers."""

PREPARE_AFTER = 5
"""The number of executions after which a connection prepares a statement, as psycopg does by itself."""

ConnectionPool = AsyncConnectionPool[psycopg.AsyncConnection[Row]]
Value = TypeVar("Value")


class ServingPool:
    """A pool that opens without waiting, fails fast during an outage, and recovers by itself.

    No statement over it may need a session: behind a pooler the next statement runs in another one.
    """

    def __init__(self, database_url: str, direct_url: str | None = None) -> None:
        """Take the addresses; nothing is opened yet.

        Args:
            database_url: the address of the requests.
            direct_url: the address of PostgreSQL itself where the other is a pooler's, which passes each transaction to
                another session: no statement is prepared then. None where both are the same.
        """
        self._database_url = database_url
        self._prepare_after = PREPARE_AFTER if direct_url is None else None
        self._direct_url = direct_url or database_url
        self._pool: ConnectionPool | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._probe: asyncio.Task[bool] | None = None
        self._replacement: asyncio.Task[bool] | None = None
        self._answered_at = float("-inf")
        self._cancelling: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the pool without waiting for PostgreSQL."""
        self._pool = AsyncConnectionPool(
            self._database_url,
            connection_class=psycopg.AsyncConnection[Row],
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "connect_timeout": CONNECT_SECONDS,
                "prepare_threshold": self._prepare_after,
            },
            min_size=1,
            max_size=MAX_CONNECTIONS,
            timeout=WAIT_SECONDS,
            reconnect_timeout=WAIT_SECONDS,
            open=False,
        )
        await self._pool.open(wait=False)

    async def stop(self) -> None:
        """Close every connection."""
        for task in (self._recovery, self._probe, self._replacement):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close(timeout=STOP_SECONDS)

    async def is_reachable(self) -> bool:
        """Return whether PostgreSQL answers now."""
        try:
            async with self.connection() as connection:
                await connection.execute("SELECT 1")
        except StatementFailed:
            return True
        except StorageUnavailable:
            return False
        return True

    def usage(self) -> PoolUsage:
        """Return the usage of the connections now, and since the last call."""
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

    @property
    def direct_url(self) -> str:
        """The address of PostgreSQL itself, for a session that is not shared."""
        return self._direct_url

    @contextlib.asynccontextmanager
    async def connection(self, limit_seconds: float = 2.0) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        """Yield a connection for a few statements that may take ``limit_seconds`` together.

        Raises:
            StatementFailed: PostgreSQL answers, but refused a statement, ended it, or was too slow.
            StorageUnavailable: PostgreSQL does not answer, or its outage is not over.
        """
        if self._pool is None or self._is_away:
            raise StorageUnavailable(UNREACHABLE)
        try:
            async with self._lent(self._pool) as connection, self._cut_after(limit_seconds, connection):
                yield connection
        except TimeoutError as error:
            self._note_away()
            raise StorageUnavailable(UNREACHABLE) from error
        except psycopg.Error as error:
            if (failure := storage_error(error)) is None:
                raise
            if isinstance(error, psycopg.errors.FeatureNotSupported):
                await self._pool.drain()  # the statement was prepared for a view that was replaced since
            if is_lost(failure):
                await self._replace_connections(self._pool)
            raise failure from error

    async def retried(self, work: Callable[[], Awaitable[Value]]) -> Value:
        """Return the value of work; it is done again once after a deadlock, a changed view or a lost connection."""
        try:
            return await work()
        except (StorageContended, StorageMismatch):
            return await work()
        except StatementFailed:
            raise
        except StorageUnavailable:
            if self._is_away:
                raise
            return await work()

    @contextlib.asynccontextmanager
    async def _lent(self, pool: ConnectionPool) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        """Yield a connection of the pool; where none becomes free, tell a busy PostgreSQL from one that hangs.

        Raises:
            StorageOverloaded: PostgreSQL answered a probe during the wait.
            TimeoutError: it did not.
        """
        async with contextlib.AsyncExitStack() as stack:
            with self._probed_early(WAIT_SECONDS) as has_answered:
                try:
                    connection = await stack.enter_async_context(pool.connection())
                except PoolTimeout as error:
                    if not has_answered():
                        raise TimeoutError from error
                    cause = f"all {MAX_CONNECTIONS} connections of this process are in use"
                    raise statement_failed(StorageOverloaded, cause) from error
            yield connection

    @property
    def _is_away(self) -> bool:
        """Whether PostgreSQL failed and has not answered since then."""
        return self._recovery is not None and not self._recovery.done()

    async def _replace_connections(self, pool: ConnectionPool) -> None:
        """Replace all connections after one was lost, as more may be; without a sign of PostgreSQL it is away.

        All who lost a connection share one replacement.
        """
        if self._replacement is None or self._replacement.done():
            self._replacement = asyncio.create_task(self._replaced(pool), name="pool replacement")
        done, _ = await asyncio.wait([self._replacement], timeout=LOST_PROBE_SECONDS)
        if not any(not task.cancelled() and task.result() for task in done):
            self._note_away()

    async def _replaced(self, pool: ConnectionPool) -> bool:
        """Return whether PostgreSQL answers; then every connection is new."""
        has_answered = await self._responds()
        if has_answered:
            await pool.drain()
        return has_answered

    def _note_away(self) -> None:
        """Fail all requests at once until PostgreSQL answers again."""
        if self._pool is not None and not self._is_away:
            self._recovery = asyncio.create_task(self._recover(self._pool), name="pool recovery")

    async def _recover(self, pool: ConnectionPool) -> None:
        """Return once PostgreSQL answers, with new connections in place of the broken ones."""
        while True:
            if await self._replaced(pool):
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _begin_probe(self) -> None:
        """Probe PostgreSQL in the background, once at a time."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._responds(), name="pool probe")

    async def _responds(self) -> bool:
        """Return whether PostgreSQL answers over a connection of its own, be it that it has no room for one."""
        try:
            async with (
                asyncio.timeout(PROBE_SECONDS),
                await psycopg.AsyncConnection.connect(
                    self._database_url, autocommit=True, connect_timeout=CONNECT_SECONDS, prepare_threshold=None
                ) as connection,
            ):
                await connection.execute("SELECT 1")
        except (psycopg.Error, OSError, TimeoutError) as error:
            if not isinstance(storage_error(error), StatementFailed):
                return False
        self._answered_at = asyncio.get_running_loop().time()
        return True

    @contextlib.contextmanager
    def _probed_early(self, seconds: float) -> Iterator[Callable[[], bool]]:
        """Probe PostgreSQL once a quarter of the time is over; yield whether it has answered since then."""
        loop = asyncio.get_running_loop()
        probed_at = loop.time() + seconds / 4
        timer = loop.call_at(probed_at, self._begin_probe)
        try:
            yield lambda: self._answered_at >= probed_at
        finally:
            timer.cancel()

    @contextlib.asynccontextmanager
    async def _cut_after(self, seconds: float, connection: psycopg.AsyncConnection[Row]) -> AsyncIterator[None]:
        """Cut a connection whose statements take longer, which ends the wait for them at once.

        A cancel alone would not end the wait until a hanging PostgreSQL has confirmed it.

        Raises:
            StorageTooSlow: the connection was cut while PostgreSQL answered a probe.
            TimeoutError: it was cut while PostgreSQL did not.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        timer = loop.call_at(ends_at, self._cut, connection)
        with self._probed_early(seconds) as has_answered:
            try:
                yield
            except psycopg.Error as error:
                failure = storage_error(error)
                if failure is None or not is_lost(failure) or loop.time() < ends_at:
                    raise
                if not has_answered():
                    raise TimeoutError from error
                raise statement_failed(StorageTooSlow, f"more than {seconds:g} s") from error
            finally:
                timer.cancel()

    def _cut(self, connection: psycopg.AsyncConnection[Row]) -> None:
        """Cancel the statement if PostgreSQL responds, and fail the request that waits for it now."""
        cancelling = asyncio.create_task(_cancel(connection), name="statement cancelling")
        self._cancelling.add(cancelling)
        cancelling.add_done_callback(self._cancelling.discard)
        with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


async def _cancel(connection: psycopg.AsyncConnection[Row]) -> None:
    """Cancel the statement that runs over a connection."""
    with contextlib.suppress(psycopg.Error, OSError):
        await connection.cancel_safe(timeout=CONNECT_SECONDS)

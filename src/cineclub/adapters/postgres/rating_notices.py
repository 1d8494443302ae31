"""PostgreSQL tells at each commit whose ratings changed, and shows every moment that it still does."""

import asyncio
import logging
import secrets
from collections.abc import Callable

import psycopg

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.errors import StorageUnavailable
from cineclub.ports import HistoryMemory

log = logging.getLogger(__name__)

RATINGS, ERASED, PULSE = "cineclub_ratings", "cineclub_erased", "cineclub_pulse"
PULSE_SECONDS = 2.0
NAME = "cineclub notices"
PAUSE_SECONDS = 1.0
LISTEN_SECONDS = 5.0
ERASED_MEANWHILE = "SELECT user_id FROM cineclub.erased_lately"
"""Who was erased while nobody listened; an id stays there for a day."""

CONNECT_SECONDS = 2


class RatingNotices:
    """Passes on whose ratings changed, and says when changes may be missed.

    A memory of histories is trusted only while a pulse, sent on another connection, comes back on the listening one: a
    connection pool between us and PostgreSQL that swallows notices is found out, and a line that died without a sign
    within two pulses, about four seconds.
    """

    def __init__(
        self, database_url: str, pool: ServingPool, memory: HistoryMemory, on_erased: Callable[[str], None]
    ) -> None:
        """Take the address to listen at, where pulses are sent, what is told, and who hears of erased users."""
        self._database_url = database_url
        self._pool = pool
        self._memory = memory
        self._on_erased = on_erased
        self._awaited: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._is_heard = False

    async def start(self) -> None:
        """Begin to listen in the background."""
        self._is_stopping = False
        self._task = asyncio.create_task(self._listen(), name="rating notices")

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._is_stopping = True  # a query that is cancelled may end as a database error instead
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _listen(self) -> None:
        """Listen for as long as the service lives, with a pause after each failure."""
        while not self._is_stopping:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._database_url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name=NAME
                ) as connection:
                    await self._pass_on(connection)
            except (psycopg.Error, OSError, TimeoutError, StorageUnavailable) as error:
                self._note_lost(error)
            except Exception:
                log.exception("rating_notices_failed")
            finally:
                self._is_heard = False
                self._memory.distrust()
            await asyncio.sleep(PAUSE_SECONDS)

    def _note_lost(self, error: Exception) -> None:
        """Log the end of a line over which pulses came; whatever else goes wrong is tried again every second."""
        level = logging.WARNING if self._is_heard else logging.DEBUG
        log.log(level, "rating_notices_lost cause=%s", type(error).__name__)

    async def _pass_on(self, connection: psycopg.AsyncConnection) -> None:
        """Tell of every change until a pulse does not come back.

        Raises:
            TimeoutError: it did not.
            StorageUnavailable: it could not be sent.
        """
        async with asyncio.timeout(LISTEN_SECONDS):
            for channel in (RATINGS, ERASED, PULSE):
                await connection.execute(f"LISTEN {channel}".encode())
            for (user_id,) in await (await connection.execute(ERASED_MEANWHILE)).fetchall():
                self._on_erased(user_id)
        while True:
            pulse = asyncio.create_task(self._send_pulse(), name="rating notices pulse")
            try:
                async for notice in connection.notifies(timeout=PULSE_SECONDS):
                    self._hear(notice)
            except BaseException:
                pulse.cancel()
                raise
            await pulse
            if self._awaited is not None:
                raise TimeoutError

    async def _send_pulse(self) -> None:
        """Send a pulse that nobody else sends."""
        self._awaited = secrets.token_hex(8)
        async with self._pool.connection(PULSE_SECONDS / 2) as connection:
            await connection.execute("SELECT pg_notify(%s, %s)", (PULSE, self._awaited))

    def _hear(self, notice: psycopg.Notify) -> None:
        """Take one notice: one user's ratings, many users', an erased user, or a pulse of ours."""
        if notice.channel == RATINGS:
            if notice.payload:
                self._memory.forget(notice.payload)
            else:
                self._memory.forget_all()
        elif notice.channel == ERASED:
            self._on_erased(notice.payload)
        elif notice.payload == self._awaited:
            self._awaited = None
            self._memory.trust()
            if not self._is_heard:
                self._is_heard = True
                log.info("rating_notices_heard")

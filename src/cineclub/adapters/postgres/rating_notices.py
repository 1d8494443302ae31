"""Notices of changed ratings and movies: LISTEN/NOTIFY at each commit, with a pulse that proves that they arrive."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence

import psycopg

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.recommend.history_cache import HistoryCache
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask

log = logging.getLogger(__name__)

RATINGS, ERASED, MOVIES, PULSE = "cineclub_ratings", "cineclub_erased", "cineclub_movies", "cineclub_pulse"
PULSE_SECONDS = 2.0
NAME = "cineclub notices"
RECONNECT_SECONDS = 1.0
LISTEN_SECONDS = 5.0
ERASED_MEANWHILE = "SELECT user_id FROM cineclub.erased_lately"
"""The users who were erased lately, perhaps while no service listened; an id stays there for a day."""

CONNECT_SECONDS = 2


class RatingNotices:
    """Invalidates cached histories whose ratings changed, and disables the cache while notices may be missed.

    The cache is trusted only while a pulse, sent over another connection, arrives on the listening one. This detects a
    connection pool in front of PostgreSQL that drops notices, and a dead connection within two pulses (four seconds).
    """

    def __init__(
        self,
        database_url: str,
        pool: ServingPool,
        cache: HistoryCache,
        on_erased: Callable[[str], None],
        on_many: Callable[[], None] = lambda: None,
        on_movies: Callable[[Sequence[int] | None], None] = lambda _movie_ids: None,
    ) -> None:
        """Take what listens, and who is told.

        Args:
            database_url: the address to listen at.
            pool: sends pulses.
            cache: is told of every change.
            on_erased: called with each erased user.
            on_many: called when the ratings of many users changed at once, as by an import.
            on_movies: called with the internal ids of changed movies; with None for many, or if some may be missed.
        """
        self._database_url = database_url
        self._pool = pool
        self._cache = cache
        self._on_erased = on_erased
        self._on_many = on_many
        self._on_movies = on_movies
        self._expected_pulse: str | None = None
        self._is_receiving = False
        self._listening = PeriodicTask("rating_notices", self._listen, Intervals(RECONNECT_SECONDS))

    async def start(self) -> None:
        """Start to listen in the background."""
        await self._listening.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._listening.stop()

    async def _listen(self) -> None:
        """Listen over one connection until it is lost."""
        try:
            async with await psycopg.AsyncConnection.connect(
                self._database_url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name=NAME
            ) as connection:
                await self._pass_on(connection)
        except (psycopg.Error, OSError, TimeoutError, StorageUnavailable) as error:
            level = logging.WARNING if self._is_receiving else logging.DEBUG  # a warning once for each outage
            log.log(level, "rating_notices_lost cause=%s", type(error).__name__)
        finally:
            self._is_receiving = False
            self._cache.distrust()

    async def _pass_on(self, connection: psycopg.AsyncConnection) -> None:
        """Pass on every change until a pulse does not arrive, or cannot be sent.

        Raises:
            TimeoutError: it did not arrive.
            StorageUnavailable: it could not be sent.
        """
        async with asyncio.timeout(LISTEN_SECONDS):
            for channel in (RATINGS, ERASED, MOVIES, PULSE):
                await connection.execute(f"LISTEN {channel}".encode())
            for (user_id,) in await (await connection.execute(ERASED_MEANWHILE)).fetchall():
                self._on_erased(user_id)
        self._on_movies(None)
        while True:
            pulse = asyncio.create_task(self._send_pulse(), name="rating notices pulse")
            try:
                async for notice in connection.notifies(timeout=PULSE_SECONDS):
                    self._receive(notice)
            except BaseException:
                pulse.cancel()
                raise
            await pulse
            if self._expected_pulse is not None:
                raise TimeoutError

    async def _send_pulse(self) -> None:
        """Send a pulse with a payload of its own."""
        self._expected_pulse = secrets.token_hex(8)
        async with self._pool.connection(PULSE_SECONDS / 2) as connection:
            await connection.execute("SELECT pg_notify(%s, %s)", (PULSE, self._expected_pulse))

    def _receive(self, notice: psycopg.Notify) -> None:
        """Handle one notice: one user's ratings, many users', an erased user, changed movies, or an own pulse."""
        if notice.channel == RATINGS:
            if notice.payload:
                self._cache.invalidate(notice.payload)
            else:
                self._cache.invalidate_all()
                self._on_many()
        elif notice.channel == ERASED:
            self._on_erased(notice.payload)
        elif notice.channel == MOVIES:
            self._on_movies([int(movie_id) for movie_id in notice.payload.split(",")] if notice.payload else None)
        elif notice.payload == self._expected_pulse:
            self._expected_pulse = None
            self._cache.trust()
            if not self._is_receiving:
                self._is_receiving = True
                log.info("rating_notices_heard")

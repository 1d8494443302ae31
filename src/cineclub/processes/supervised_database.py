"""The database of a service: the embedded server is waited for, and restarted when it is gone."""

import logging
import time
from typing import TYPE_CHECKING, Self

from cineclub.bootstrap import storage
from cineclub.domain.errors import StorageUnavailable
from cineclub.runtime.child_processes import POLL_SECONDS, RestartBackoff, StopRequest
from cineclub.settings import Settings

if TYPE_CHECKING:
    from cineclub.adapters.postgres.embedded import EmbeddedServer

log = logging.getLogger(__name__)

DATABASE_POLL_SECONDS = 1.0
PREDECESSOR_SECONDS = 30.0
SECONDS_BETWEEN_EQUAL_MESSAGES = 60.0


class SupervisedDatabase:
    """The database for as long as the block runs; the embedded server is restarted after growing pauses.

    It can go although this process lives: if another command started it and has ended, if the disk is full, or if the
    system ran out of memory. What it cannot do then is no reason to end the service, which answers from memory.
    """

    def __init__(self, requested: Settings) -> None:
        """Connect to nothing yet."""
        self.settings = requested
        self._requested = requested
        self._server: EmbeddedServer | None = None
        self._is_ready = False
        self._backoff = RestartBackoff()
        self._checked_at_seconds = 0.0
        self._logged: tuple[str, float] = ("", float("-inf"))

    def __enter__(self) -> Self:
        """Start or join nothing yet: ``is_ready_before`` does that."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server if this process started it."""
        if self._server is not None:
            self._server.stop()

    def is_ready_before(self, stop: StopRequest) -> bool:
        """Start or join the database, wait while it recovers, and apply migrations; False if a stop came first.

        Raises:
            StorageUnavailable: it does not start.
        """
        address = self._requested.database_url
        if address is not None:
            self.settings = storage.migrated(self._requested, address.get_secret_value())
            return not stop.is_made
        self._server = storage.embedded_server(self._requested)
        self._backoff.note_start()
        self._server.start(PREDECESSOR_SECONDS)
        while not self._server.is_ready():
            if stop.is_made:
                return False
            time.sleep(POLL_SECONDS)
        self._is_ready = True
        self.settings = storage.migrated(self._requested, self._server.url)
        return not stop.is_made

    def restart_if_dead(self) -> None:
        """Check the embedded server each second; its address stays the same when it is restarted."""
        is_due = time.monotonic() - self._checked_at_seconds > DATABASE_POLL_SECONDS
        if self._server is None or not is_due:
            return
        self._checked_at_seconds = time.monotonic()
        try:
            self._check(self._server)
        except StorageUnavailable as error:
            self._log_once(f"database_away cause={error}")

    def _check(self, server: "EmbeddedServer") -> None:
        """Start the server if it is gone and its restart is due, and note when it is back.

        Raises:
            StorageUnavailable: it does not start; the next check is after a longer pause.
        """
        if not server.is_running:
            self._is_ready = False
            self._log_once(f"database_away cause={server.failure()}")
            if self._backoff.is_due():
                self._backoff.note_start()
                server.start()
        elif not self._is_ready and server.is_ready():
            self._is_ready = True
            self._log_once("database_back")

    def _log_once(self, message: str) -> None:
        """Log a message, but the same one once a minute."""
        last, logged_at_seconds = self._logged
        if message != last or time.monotonic() - logged_at_seconds > SECONDS_BETWEEN_EQUAL_MESSAGES:
            self._logged = message, time.monotonic()
            log.warning("%s", message)

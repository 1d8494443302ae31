"""A worker's lease of one training: a session lock that ends with the worker, and a heartbeat."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from cineclub.adapters.postgres.sessions import Row, connect, named_queries
from cineclub.adapters.postgres.training_rows import progress_document
from cineclub.domain.documents import to_document
from cineclub.domain.errors import LeaseLost, TrainingCancelled
from cineclub.domain.training.records import StepProgress, Training
from cineclub.runtime.periodic_tasks import PeriodicThread
from cineclub.runtime.redaction import redacted

SQL = named_queries("jobs.sql")
SECONDS_BETWEEN_REPORTS = 0.25
BEATS_PER_TIMEOUT = 6
LONGEST_INTERVAL_SECONDS = 1.0
"""The longest interval between two heartbeats, so that a cancel is noticed soon."""
SECONDS_BETWEEN_TRIES = 0.5


class TrainingLease:
    """The lease of one training, held by one worker.

    Every write names the holder, so a worker that was considered dead writes nothing once another has taken over: then
    its methods raise LeaseLost. A broken connection is reopened until the heartbeat times out.
    """

    def __init__(
        self,
        database_url: str,
        connection: psycopg.Connection[Row],
        holder: str,
        training: Training,
        heartbeat_timeout_seconds: float,
        max_attempts: int,
    ) -> None:
        """Keep the session that holds the lock, and start the heartbeat."""
        self.training = training
        self._database_url = database_url
        self._connection = connection
        self._holder = holder
        self._timeout_seconds = heartbeat_timeout_seconds
        self._max_attempts = max_attempts
        self._is_lost = False
        self._is_cancelled = False
        self._on_cancel: Callable[[], None] | None = None
        self._confirmed_at = time.monotonic()
        self._reported_at = float("-inf")
        self._reported: tuple[str, str | None] | None = None
        self._lock = threading.RLock()
        interval_seconds = min(LONGEST_INTERVAL_SECONDS, heartbeat_timeout_seconds / BEATS_PER_TIMEOUT)
        self._heartbeat = PeriodicThread("heartbeat", self._beat_while_held, interval_seconds)
        self._heartbeat.start()

    def report(self, progress: StepProgress) -> None:
        """Write the progress and the heartbeat, a few times a second at most and whenever the step changes.

        Raises:
            TrainingCancelled: a cancel was requested.
        """
        place = (progress.step, progress.candidate)
        is_due = time.monotonic() - self._reported_at >= SECONDS_BETWEEN_REPORTS
        if is_due or place != self._reported:
            self._reported_at, self._reported = time.monotonic(), place
            self._beat(progress)
        self.check()

    def when_cancelled(self, react: Callable[[], None]) -> None:
        """Set a function that is called once, in any thread, when a heartbeat reads that a cancel was requested."""
        self._on_cancel = react

    def finish(self, report: Mapping[str, Any]) -> None:
        """Record success."""
        self._end("end", status="succeeded", error=None, report=Jsonb(to_document(report)))

    def fail(self, error: str) -> None:
        """Record failure with its cause in one sentence."""
        self._end("end", status="failed", error=redacted(error), report=None)

    def interrupt(self, error: str) -> None:
        """Queue the training again after an outage; record failure after too many attempts."""
        self._end("interrupted", error=redacted(error), max_attempts=self._max_attempts)

    def acknowledge_cancel(self) -> None:
        """Record that the training was cancelled, and the version that it had promoted before."""
        self._end("end_cancelled")

    def put_back(self) -> None:
        """Queue the training again because this worker stops; the attempt does not count."""
        self._end("put_back")

    def close(self) -> None:
        """Release the lock, however the training ended; may be called again."""
        self._heartbeat.stop()
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def _beat_while_held(self) -> None:
        """Write a heartbeat while the training computes without reporting; none once the lease is lost."""
        if not self._is_lost:
            self._beat(None)

    def _beat(self, progress: StepProgress | None) -> None:
        """Write a heartbeat; note whether the lease is still held, and whether a cancel was requested."""
        row = self._execute("beat", progress=Jsonb(progress_document(progress)) if progress else None)
        if row is not None and row["cancel_requested"]:
            self._is_cancelled = True
            with self._lock:
                react, self._on_cancel = self._on_cancel, None
            if react is not None:
                react()

    def check(self) -> None:
        """Check what the last heartbeat read.

        Raises:
            LeaseLost: another worker has taken the training over.
            TrainingCancelled: a cancel was requested.
        """
        if self._is_lost:
            message = f"another worker has taken training {self.training.training_id} over: this one stops"
            raise LeaseLost(message)
        if self._is_cancelled:
            message = f"training {self.training.training_id} was cancelled: nothing was promoted"
            raise TrainingCancelled(message)

    def _end(self, query: str, **values: Any) -> None:
        """Write the end of the training, retried until the lease times out, and release the lock."""
        try:
            while self._execute(query, **values) is None and not self._is_lost:
                time.sleep(SECONDS_BETWEEN_TRIES)
            self._is_cancelled = False
            self.check()
        finally:
            self.close()

    def _execute(self, query: str, **values: Any) -> Row | None:
        """Return the row that was written; None if the lease is lost, or PostgreSQL does not answer."""
        named = {"training_id": self.training.training_id, "worker": self._holder, **values}
        with self._lock:
            try:
                row = self._connection.execute(SQL[query], named).fetchone()
            except psycopg.Error:  # lost, or refused as by a read-only database
                self._connect_again()
                return None
            self._is_lost = self._is_lost or row is None
            self._confirmed_at = time.monotonic()
            return row

    def _connect_again(self) -> None:
        """Reopen the session and take the lock again; the lease is lost once the heartbeat has timed out."""
        if time.monotonic() - self._confirmed_at > self._timeout_seconds:
            self._is_lost = True
        with contextlib.suppress(psycopg.Error):
            self._connection.close()
            self._connection = connect(self._database_url)
            self._connection.execute(SQL["take_lease"], {"worker": self._holder})

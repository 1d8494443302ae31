"""A worker's hold on one training: a session lock that ends with the worker, and a heartbeat beside it."""

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
from cineclub.ports import StepProgress, Training

SQL = named_queries("jobs.sql")
SECONDS_BETWEEN_REPORTS = 0.25
BEATS_PER_TIMEOUT = 6
LONGEST_PAUSE_SECONDS = 1.0
"""Between two heartbeats at most, so that a cancel is seen soon after it was asked for."""
SECONDS_BETWEEN_TRIES = 0.5
CONNECTION_LOST = (psycopg.OperationalError, psycopg.InterfaceError)


class HeldLease:
    """Implements the port ``TrainingLease``.

    Every write names the holder, so a worker that was taken for dead writes nothing once another has taken over. A
    connection that breaks is opened again for as long as the heartbeat would have been believed.
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
        self._believed_at = time.monotonic()
        self._reported_at = float("-inf")
        self._reported: tuple[str, str | None] | None = None
        self._one_at_a_time = threading.RLock()
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True)
        self._heart.start()

    def report(self, progress: StepProgress) -> None:
        """Write the progress and the heartbeat, a few times a second at most and whenever the step changes.

        Raises:
            TrainingCancelled: a person asked to stop.
            LeaseLost: another worker has taken over.
        """
        place = (progress.step, progress.candidate)
        is_due = time.monotonic() - self._reported_at >= SECONDS_BETWEEN_REPORTS
        if is_due or place != self._reported:
            self._reported_at, self._reported = time.monotonic(), place
            self._beat(progress)
        self._check()

    def when_cancelled(self, react: Callable[[], None]) -> None:
        """Have this called once, from any thread, when a heartbeat learns that a person asked to stop."""
        self._on_cancel = react

    def finish(self, report: Mapping[str, Any]) -> None:
        """Record success.

        Raises:
            LeaseLost: another worker has taken over.
        """
        self._end("end", status="succeeded", error=None, report=Jsonb(to_document(report)))

    def fail(self, error: str) -> None:
        """Record failure with its cause in one sentence.

        Raises:
            LeaseLost: another worker has taken over.
        """
        self._end("end", status="failed", error=error, report=None)

    def interrupt(self, error: str) -> None:
        """Queue the training again, because what it needs went away; record failure where it was tried often enough.

        Raises:
            LeaseLost: another worker has taken over.
        """
        self._end("interrupted", error=error, max_attempts=self._max_attempts)

    def acknowledge_cancel(self) -> None:
        """Record that the training stopped because a person asked for it, and what it had promoted before that.

        Raises:
            LeaseLost: another worker has taken over.
        """
        self._end("end_cancelled")

    def put_back(self) -> None:
        """Queue the training again, because this worker stops; the attempt does not count.

        Raises:
            LeaseLost: another worker has taken over.
        """
        self._end("put_back")

    def close(self) -> None:
        """Let go of the lock, whatever became of the training."""
        self._ended.set()
        self._heart.join()
        with contextlib.suppress(*CONNECTION_LOST):
            self._connection.close()

    def _keep_beating(self) -> None:
        """Write heartbeats while the training computes without reporting."""
        pause_seconds = min(LONGEST_PAUSE_SECONDS, self._timeout_seconds / BEATS_PER_TIMEOUT)
        while not self._ended.wait(pause_seconds) and not self._is_lost:
            self._beat(None)

    def _beat(self, progress: StepProgress | None) -> None:
        """Write a heartbeat; note whether the training is still ours, and whether it is to stop."""
        row = self._execute("beat", progress=Jsonb(progress_document(progress)) if progress else None)
        if row is not None and row["cancel_requested"]:
            self._is_cancelled = True
            with self._one_at_a_time:
                react, self._on_cancel = self._on_cancel, None
            if react is not None:
                react()

    def _check(self) -> None:
        """Stop a training that is no longer ours or no longer wanted."""
        if self._is_lost:
            message = f"another worker has taken training {self.training.training_id} over: this one stops"
            raise LeaseLost(message)
        if self._is_cancelled:
            message = f"training {self.training.training_id} was cancelled: nothing was promoted"
            raise TrainingCancelled(message)

    def _end(self, query: str, **values: Any) -> None:
        """Write the end of the training, waiting for PostgreSQL for as long as the lease can last, and let go."""
        try:
            while self._execute(query, **values) is None and not self._is_lost:
                time.sleep(SECONDS_BETWEEN_TRIES)
            self._is_cancelled = False
            self._check()
        finally:
            self.close()

    def _execute(self, query: str, **values: Any) -> Row | None:
        """Return the row that was written; None where nothing is ours any more, or PostgreSQL is away just now."""
        named = {"training_id": self.training.training_id, "worker": self._holder, **values}
        with self._one_at_a_time:
            try:
                row = self._connection.execute(SQL[query], named).fetchone()
            except CONNECTION_LOST:
                self._connect_again()
                return None
            self._is_lost = self._is_lost or row is None
            self._believed_at = time.monotonic()
            return row

    def _connect_again(self) -> None:
        """Open the session again and take the lock back; give up when others must take this worker for dead."""
        if time.monotonic() - self._believed_at > self._timeout_seconds:
            self._is_lost = True
        with contextlib.suppress(*CONNECTION_LOST):
            self._connection.close()
            self._connection = connect(self._database_url)
            self._connection.execute(SQL["take_lease"], {"worker": self._holder})

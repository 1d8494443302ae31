"""Trainings that nobody asks for: when a schedule is due, and when enough new ratings have come."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg

from cineclub.adapters.postgres.jobs import CHANNEL
from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, Row, named_queries, session
from cineclub.domain.schedule import newest_due

SQL = named_queries("triggers.sql")
SECONDS_BETWEEN_COUNTS = 60.0
"""Counting tens of millions of ratings takes seconds."""


class TrainingTriggers:
    """Starts what is due, once over all workers of the database."""

    def __init__(
        self,
        database_url: str,
        schedule: str | None,
        retrain_after_ratings: int | None,
        count_ratings: Callable[[], int],
        seconds_between_counts: float = SECONDS_BETWEEN_COUNTS,
    ) -> None:
        """Start by these settings; each of them may be off."""
        self._database_url = database_url
        self._schedule = schedule
        self._retrain_after_ratings = retrain_after_ratings
        self._count_ratings = count_ratings
        self._seconds_between_counts = seconds_between_counts
        self._counted_at = float("-inf")

    def start_due(self) -> str | None:
        """Queue the training that is due, and return its id; None if none is, or one is under way.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        return self._start_scheduled() or self._start_for_new_ratings()

    def _start_scheduled(self) -> str | None:
        """Start for the newest due time that has passed; those before it are made up for by the same training."""
        if self._schedule is None:
            return None
        with self._alone() as connection:
            now: datetime = connection.execute(SQL["now"]).fetchall()[0]["now"]
            connection.execute(SQL["first_seen"], {"line": self._schedule, "now": now})
            found = connection.execute(SQL["done_until"], {"line": self._schedule}).fetchall()[0]
            due_at = newest_due(self._schedule, now.astimezone(UTC))
            if due_at is None or due_at <= found["done_until"]:
                return None
            training_id = _start(connection, "schedule", f"due at {due_at:%Y-%m-%d %H:%M} UTC")
            if training_id is not None:
                connection.execute(SQL["done"], {"line": self._schedule, "due_at": due_at})
            return training_id

    def _start_for_new_ratings(self) -> str | None:
        """Start when there are enough more ratings than the newest training knew of; look once a minute."""
        wanted = self._retrain_after_ratings
        if wanted is None or time.monotonic() - self._counted_at < self._seconds_between_counts:
            return None
        self._counted_at = time.monotonic()
        if self._is_under_way():
            return None
        n_ratings = self._count_ratings()
        with self._alone() as connection:
            known = connection.execute(SQL["n_ratings_known"]).fetchone()
            n_new = n_ratings - (known["n_ratings"] if known else 0)
            return _start(connection, "new_ratings", f"{n_new} new ratings", n_ratings) if n_new >= wanted else None

    def _is_under_way(self) -> bool:
        """Say whether nothing could be started anyway."""
        with session(self._database_url) as connection:
            return bool(connection.execute(SQL["is_under_way"]).fetchall()[0]["is_under_way"])

    @contextlib.contextmanager
    def _alone(self) -> Iterator[psycopg.Connection[Row]]:
        """Give a transaction that no other worker's look at triggers runs beside."""
        with session(self._database_url) as connection, connection.transaction():
            connection.execute(SQL["one_at_a_time"], {"family": ADVISORY_FAMILY, "triggers": AdvisoryLock.TRIGGERS})
            yield connection


def _start(connection: psycopg.Connection[Row], trigger: str, reason: str, n_ratings: int | None = None) -> str | None:
    """Queue a training and return its id; None while one is under way."""
    asked = {"training_id": uuid.uuid4(), "trigger": trigger, "reason": reason, "n_ratings": n_ratings}
    row = connection.execute(SQL["start"], asked).fetchone()
    if row is None:
        return None
    connection.execute(f"NOTIFY {CHANNEL}")
    return str(row["id"])

"""Automatic trainings: by a schedule, and after a number of new ratings."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg

from cineclub.adapters.postgres.jobs import CHANNEL
from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, Row, named_queries, session
from cineclub.domain.training.schedule import newest_due

SQL = named_queries("triggers.sql")
SECONDS_BETWEEN_COUNTS = 60.0
"""Counting tens of millions of ratings takes seconds."""


class TrainingTriggers:
    """Starts trainings that are due, once among all workers of the database.

    Its methods raise StorageUnavailable while PostgreSQL does not answer.
    """

    def __init__(
        self,
        database_url: str,
        schedule: str | None,
        retrain_after_ratings: int | None,
        count_ratings: Callable[[], int],
        seconds_between_counts: float = SECONDS_BETWEEN_COUNTS,
    ) -> None:
        """Take schedule and number of new ratings; None disables either."""
        self._database_url = database_url
        self._schedule = schedule
        self._retrain_after_ratings = retrain_after_ratings
        self._count_ratings = count_ratings
        self._seconds_between_counts = seconds_between_counts
        self._counted_at = float("-inf")

    def start_due(self) -> str | None:
        """Queue the training that is due, and return its id; None if none is, or one is under way."""
        return self._start_scheduled() or self._start_for_new_ratings()

    def start_owed(self, reason: str) -> str | None:
        """Queue a training without the erased users, and return its id; None if none is due, or one is under way.

        It is due if even the newest training may have read the ratings of an erased user.
        """
        with self._alone() as connection:
            is_owed = connection.execute(SQL["is_owed"]).fetchall()[0]["is_owed"]
            return _start(connection, "request", reason) if is_owed else None

    def _start_scheduled(self) -> str | None:
        """Start a training for the newest due time that has passed; it covers the earlier ones too."""
        if self._schedule is None:
            return None
        with self._alone() as connection:
            now: datetime = connection.execute(SQL["now"]).fetchall()[0]["now"]
            connection.execute(SQL["first_seen"], {"line": self._schedule, "now": now})
            done = connection.execute(SQL["done_until"], {"line": self._schedule}).fetchall()[0]
            due_at = newest_due(self._schedule, now.astimezone(UTC))
            if due_at is None or due_at <= done["done_until"]:
                return None
            training_id = _start(connection, "schedule", f"due at {due_at:%Y-%m-%d %H:%M} UTC")
            if training_id is not None:
                connection.execute(SQL["done"], {"line": self._schedule, "due_at": due_at})
            return training_id

    def _start_for_new_ratings(self) -> str | None:
        """Start a training if there are enough ratings that the newest one did not read; counted once a minute."""
        wanted = self._retrain_after_ratings
        if wanted is None or time.monotonic() - self._counted_at < self._seconds_between_counts:
            return None
        self._counted_at = time.monotonic()
        with session(self._database_url) as connection:
            if connection.execute(SQL["is_under_way"]).fetchall()[0]["is_under_way"]:
                return None
        n_ratings = self._count_ratings()
        with self._alone() as connection:
            known = connection.execute(SQL["n_ratings_known"]).fetchone()
            n_new = n_ratings - (known["n_ratings"] if known else 0)
            return _start(connection, "new_ratings", f"{n_new} new ratings", n_ratings) if n_new >= wanted else None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[psycopg.Connection[Row]]:
        """Yield a transaction that runs in one worker at a time."""
        with session(self._database_url) as connection, connection.transaction():
            connection.execute(SQL["one_at_a_time"], {"family": ADVISORY_FAMILY, "triggers": AdvisoryLock.TRIGGERS})
            yield connection


def _start(connection: psycopg.Connection[Row], trigger: str, reason: str, n_ratings: int | None = None) -> str | None:
    """Queue a training and return its id; None while one is under way."""
    params = {"training_id": uuid.uuid4(), "trigger": trigger, "reason": reason, "n_ratings": n_ratings}
    row = connection.execute(SQL["start"], params).fetchone()
    if row is None:
        return None
    connection.execute(f"NOTIFY {CHANNEL}")
    return str(row["id"])

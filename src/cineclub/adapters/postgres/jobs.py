"""The durable queue of trainings: exactly one under way, held by a worker for as long as that worker lives."""

import contextlib
import time
import uuid
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from cineclub.adapters.postgres.lease import HeldLease
from cineclub.adapters.postgres.sessions import (
    ADVISORY_FAMILY,
    AdvisoryLock,
    Row,
    connect,
    named_queries,
    session,
    storage_errors,
)
from cineclub.adapters.postgres.training_rows import training_of
from cineclub.domain.errors import Conflict, NotFound, TrainingUnderWay
from cineclub.ports import Training

SQL = named_queries("jobs.sql")
CHANNEL = "cineclub_trainings"
MAX_START_TRIES = 5


class PostgresTrainingJobs:
    """The queue as those who ask for trainings see it."""

    def __init__(self, database_url: str) -> None:
        """Use this database; each call opens one short connection."""
        self._database_url = database_url

    def start(self, options: Mapping[str, Any], reason: str | None) -> Training:
        """Queue a training.

        Raises:
            TrainingUnderWay: one is queued or running.
            StorageUnavailable: PostgreSQL does not answer.
        """
        asked = {"training_id": uuid.uuid4(), "options": Jsonb(dict(options)), "reason": reason}
        with session(self._database_url) as connection:
            for _ in range(MAX_START_TRIES):
                if row := connection.execute(SQL["start"], asked).fetchone():
                    connection.execute(f"NOTIFY {CHANNEL}")
                    return training_of(row)
                if running := connection.execute(SQL["under_way"]).fetchone():
                    raise TrainingUnderWay(str(running["id"]))
        message = "trainings start and end too quickly to queue another: try again"
        raise Conflict(message)

    def get(self, training_id: str) -> Training:
        """Return one training.

        Raises:
            NotFound: no such training.
            StorageUnavailable: PostgreSQL does not answer.
        """
        return training_of(self._row("get", training_id))

    def recent(self, limit: int) -> list[Training]:
        """Return the newest trainings, newest first."""
        with session(self._database_url) as connection:
            return [training_of(row) for row in connection.execute(SQL["recent"], {"limit": limit})]

    def cancel(self, training_id: str) -> Training:
        """Cancel a queued training at once, ask a running one to stop; a finished one stays as it is.

        Raises:
            NotFound: no such training.
            StorageUnavailable: PostgreSQL does not answer.
        """
        return training_of(self._row("cancel", training_id))

    def is_worker_alive(self) -> bool:
        """Say whether a worker process is there to run what is queued."""
        asked = {"family": ADVISORY_FAMILY, "presence": AdvisoryLock.PRESENCE}
        with session(self._database_url) as connection:
            row = connection.execute(SQL["is_worker_alive"], asked).fetchone()
        return row is not None and bool(row["is_alive"])

    def _row(self, query: str, training_id: str) -> Row:
        """Return the one row that a query about one training gives."""
        with contextlib.suppress(ValueError), session(self._database_url) as connection:
            if row := connection.execute(SQL[query], {"training_id": uuid.UUID(training_id)}).fetchone():
                return row
        message = f"there is no training {training_id}: GET /training/ lists them"
        raise NotFound(message)


class TrainingQueue:
    """The queue as a worker sees it."""

    def __init__(self, database_url: str, holder: str, heartbeat_timeout_seconds: float, max_attempts: int) -> None:
        """Claim for ``holder``, a name that no other process has or had (see ``worker_name``)."""
        self._database_url = database_url
        self._holder = holder
        self._heartbeat_timeout_seconds = heartbeat_timeout_seconds
        self._max_attempts = max_attempts

    def claim(self) -> HeldLease | None:
        """Return a hold on the training that waits, or on one whose worker has died; None if there is neither.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        with storage_errors():
            connection = connect(self._database_url)
            try:
                row = self._claimed(connection)
            except BaseException:
                connection.close()
                raise
            if row is None:
                connection.close()
                return None
        return HeldLease(
            self._database_url,
            connection,
            self._holder,
            training_of(row),
            self._heartbeat_timeout_seconds,
            self._max_attempts,
        )

    def _claimed(self, connection: psycopg.Connection[Row]) -> Row | None:
        """Return the training's row once it is this worker's; the lease is taken before anybody can see that."""
        with connection.transaction():
            asked = {"timeout_seconds": self._heartbeat_timeout_seconds}
            row = connection.execute(SQL["claimable"], asked).fetchone()
            if row is None or (row["status"] == "running" and not row["is_dead"]):
                return None
            if row["is_dead"] and self._is_buried(connection, row):
                return None
            held = connection.execute(SQL["take_lease"], {"worker": self._holder}).fetchone()
            if held is None or not held["is_held"]:
                return None
            return connection.execute(SQL["run"], {"training_id": row["id"], "worker": self._holder}).fetchone()

    def _is_buried(self, connection: psycopg.Connection[Row], row: Row) -> bool:
        """Say whether a dead training was ended: somebody had cancelled it, or it has died too often."""
        if row["cancel_requested"]:
            end = {"status": "cancelled", "error": None}
        elif row["attempt"] >= self._max_attempts:
            step = (row["progress"] or {}).get("step", "its first step")
            error = (
                f"the worker died {row['attempt']} times, last in {step}: look into the worker's log and at free memory"
            )
            end = {"status": "failed", "error": error}
        else:
            return False
        connection.execute(SQL["bury"], {"training_id": row["id"], **end})
        return True


class WorkerPresence:
    """What tells others that a worker is there, and wakes it when there is work."""

    def __init__(self, database_url: str) -> None:
        """Use this database; ``wait_for_work`` connects."""
        self._database_url = database_url
        self._connection: psycopg.Connection[Row] | None = None

    def wait_for_work(self, timeout_seconds: float) -> None:
        """Return when a training was queued or the time is over; hold the presence lock meanwhile and after."""
        try:
            connection = self._present()
            for _ in connection.notifies(timeout=timeout_seconds, stop_after=1):
                return
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self.close()
            time.sleep(timeout_seconds)

    def close(self) -> None:
        """Leave."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _present(self) -> psycopg.Connection[Row]:
        """Return the connection that holds the presence lock and listens."""
        if self._connection is None:
            connection = connect(self._database_url)
            connection.execute(SQL["be_present"], {"family": ADVISORY_FAMILY, "presence": AdvisoryLock.PRESENCE})
            connection.execute(f"LISTEN {CHANNEL}")
            self._connection = connection
        return self._connection

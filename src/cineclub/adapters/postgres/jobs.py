"""The durable queue of trainings: at most one under way, held by a worker for as long as that worker lives."""

import contextlib
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from cineclub.adapters.postgres.lease import TrainingLease
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
from cineclub.domain.training.records import Training

log = logging.getLogger(__name__)

SQL = named_queries("jobs.sql")
CHANNEL = "cineclub_trainings"
PRESENCE = {"family": ADVISORY_FAMILY, "presence": AdvisoryLock.PRESENCE}
MAX_START_TRIES = 5


class PostgresTrainingJobs:
    """The queue as clients see it: start, follow and cancel trainings.

    Its methods raise StorageUnavailable while PostgreSQL does not answer.
    """

    def __init__(self, database_url: str) -> None:
        """Use this database; each call opens one short connection."""
        self._database_url = database_url

    def start(self, options: Mapping[str, Any], reason: str | None) -> Training:
        """Queue a training.

        Raises:
            TrainingUnderWay: one is queued or running.
        """
        params = {"training_id": uuid.uuid4(), "options": Jsonb(dict(options)), "reason": reason}
        with session(self._database_url) as connection:
            for _ in range(MAX_START_TRIES):
                if row := connection.execute(SQL["start"], params).fetchone():
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
        """
        return training_of(self._row("cancel", training_id))

    def is_worker_alive(self) -> bool:
        """Return whether a worker process is alive."""
        with session(self._database_url) as connection:
            row = connection.execute(SQL["is_worker_alive"], PRESENCE).fetchone()
        return row is not None and bool(row["is_alive"])

    def _row(self, query: str, training_id: str) -> Row:
        """Return the row of a query about one training; NotFound without one."""
        with contextlib.suppress(ValueError), session(self._database_url) as connection:
            if row := connection.execute(SQL[query], {"training_id": uuid.UUID(training_id)}).fetchone():
                return row
        message = f"there is no training {training_id}: GET /training/ lists them"
        raise NotFound(message)


@contextlib.contextmanager
def without_workers(database_url: str) -> Iterator[None]:
    """Keep workers out of a database for as long as the block runs: those that start meanwhile wait until it ends.

    Raises:
        Conflict: a worker is alive, or another such block runs.
        StorageUnavailable: PostgreSQL does not answer.
    """
    with session(database_url) as connection:
        connection.execute(SQL["stay"])
        if not connection.execute(SQL["be_alone"], PRESENCE).fetchall()[0]["is_alone"]:
            message = (
                "cineclub is running on this database, or another restore is: stop `cineclub serve` and every worker, "
                "then restore"
            )
            raise Conflict(message)
        yield


class TrainingQueue:
    """The queue as a worker sees it; raises StorageUnavailable while PostgreSQL does not answer."""

    def __init__(self, database_url: str, holder: str, heartbeat_timeout_seconds: float, max_attempts: int) -> None:
        """Claim for ``holder``, a name that no other process has or had (see ``worker_name``)."""
        self._database_url = database_url
        self._holder = holder
        self._heartbeat_timeout_seconds = heartbeat_timeout_seconds
        self._max_attempts = max_attempts

    def claim(self) -> TrainingLease | None:
        """Return the lease of the queued training, or of one whose worker has died; None if there is neither."""
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
        return TrainingLease(
            self._database_url,
            connection,
            self._holder,
            training_of(row),
            self._heartbeat_timeout_seconds,
            self._max_attempts,
        )

    def _claimed(self, connection: psycopg.Connection[Row]) -> Row | None:
        """Return the claimed training's row; the lease is taken before others can see the claim."""
        with connection.transaction():
            params = {"timeout_seconds": self._heartbeat_timeout_seconds}
            row = connection.execute(SQL["claimable"], params).fetchone()
            if row is None or (row["status"] == "running" and not row["is_dead"]):
                return None
            if row["is_dead"] and self._end_hopeless(connection, row):
                return None
            lease = connection.execute(SQL["take_lease"], {"worker": self._holder}).fetchone()
            if lease is None or not lease["is_held"]:
                return None
            connection.execute(SQL["after_erasures"])
            return connection.execute(SQL["run"], {"training_id": row["id"], "worker": self._holder}).fetchone()

    def _end_hopeless(self, connection: psycopg.Connection[Row], row: Row) -> bool:
        """End a dead training that was cancelled or has no attempt left, and return whether it was ended."""
        if row["cancel_requested"]:
            end = {"status": "cancelled", "error": None}
        elif row["attempt"] >= self._max_attempts:
            step = (row["progress"] or {}).get("step", "its first step")
            error = f"the worker died {row['attempt']} times, last in {step}: check its log and the free memory"
            end = {"status": "failed", "error": error}
        else:
            return False
        connection.execute(SQL["bury"], {"training_id": row["id"], **end})
        return True


class WorkerPresence:
    """The session lock of a living worker; also wakes the worker when there is work."""

    def __init__(self, database_url: str) -> None:
        """Use this database; ``wait_for_work`` connects."""
        self._database_url = database_url
        self._connection: psycopg.Connection[Row] | None = None

    def wait_for_work(self, timeout_seconds: float) -> None:
        """Return when a training is queued or the time is over; holds the presence lock meanwhile and after."""
        try:
            connection = self._present()
            for _ in connection.notifies(timeout=timeout_seconds, stop_after=1):
                return
        except psycopg.Error:  # lost, or refused as by a standby, which takes no LISTEN
            self.close()
            time.sleep(timeout_seconds)

    def close(self) -> None:
        """Release the presence lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _present(self) -> psycopg.Connection[Row]:
        """Return the connection that holds the presence lock and listens."""
        if self._connection is None:
            connection = connect(self._database_url)
            connection.execute(SQL["stay"])
            if not connection.execute(SQL["be_present"], PRESENCE).fetchall()[0]["is_present"]:
                log.warning("a restore runs on this database: the worker waits until it ends")
                connection.execute(SQL["be_present_later"], PRESENCE)
            connection.execute(f"LISTEN {CHANNEL}")
            self._connection = connection
        return self._connection

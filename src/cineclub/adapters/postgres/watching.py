"""What the tables say of all trainings as a whole, for those who watch."""

from typing import Any

import psycopg

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, Row, named_queries
from cineclub.ports import EndedTrainings, TrainingFacts

SQL = named_queries("watching.sql")
JOBS_SQL = named_queries("jobs.sql")
PRESENCE = {"family": ADVISORY_FAMILY, "presence": AdvisoryLock.PRESENCE}


class PostgresTrainingFacts:
    """Implements the port ``TrainingFactsReader``."""

    def __init__(self, pool: ServingPool) -> None:
        """Use the pool of the request path, one connection at a time."""
        self._pool = pool

    async def read(self) -> TrainingFacts:
        """Return what is known now.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection() as connection:
            [alive] = await _rows(connection, JOBS_SQL["is_worker_alive"], PRESENCE)
            [under_way] = await _rows(connection, SQL["under_way"])
            ended = await _rows(connection, SQL["ended"])
            versions = await _rows(connection, SQL["versions"])
            served = await _rows(connection, SQL["served"])
            newest = await _rows(connection, SQL["newest_steps"])
        return TrainingFacts(
            known_at=under_way["known_at"],
            is_worker_alive=alive["is_alive"],
            n_queued=under_way["n_queued"],
            n_running=under_way["n_running"],
            heartbeat_age_seconds=under_way["heartbeat_age_seconds"],
            ended=tuple(EndedTrainings(**row) for row in ended),
            n_versions={row["verdict"]: row["n_versions"] for row in versions},
            is_served_rejected=any(row["is_rejected"] for row in served),
            step_seconds=(newest[0]["step_seconds"] or {}) if newest else {},
        )


async def _rows(connection: psycopg.AsyncConnection[Row], query: str, asked: dict[str, Any] | None = None) -> list[Row]:
    """Return the rows of a query."""
    return await (await connection.execute(query, asked)).fetchall()

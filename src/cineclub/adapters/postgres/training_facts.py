"""Facts of all trainings together, for /metrics; StorageUnavailable is raised while PostgreSQL does not answer."""

from typing import Any

import psycopg

from cineclub.adapters.postgres.jobs import PRESENCE
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.domain.training.records import EndedTrainings, TrainingFacts

SQL = named_queries("training_facts.sql")
JOBS_SQL = named_queries("jobs.sql")


async def read_training_facts(pool: ServingPool) -> TrainingFacts:
    """Return the facts of all trainings, read over one connection of the request path."""
    async with pool.connection() as connection:
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


async def _rows(
    connection: psycopg.AsyncConnection[Row], query: str, params: dict[str, Any] | None = None
) -> list[Row]:
    """Return the rows of a query."""
    return await (await connection.execute(query, params)).fetchall()

"""What became of logged answers, counted inside PostgreSQL in one statement; and the end of old answers."""

from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.outcomes import POPULAR_PART, Outcomes, StrategyOutcomes

SQL = named_queries("outcomes.sql")
DELETE_OLD = tuple(named_queries(name)["delete_old"] for name in ("outcomes.sql", "comparisons.sql", "drift_store.sql"))
CHECK_YEARS = 2
"""So long checks of drift stay that asked what the settings ask or that something followed from; the longest cool-down
that a setting allows is a year."""

COUNTING_LIMIT_SECONDS = 60.0
DELETING_LIMIT_SECONDS = 30.0
SPARE_SECONDS = 10.0
"""PostgreSQL gives up first: a count that takes too long must not look like a database that is away."""


class PostgresOutcomes:
    """Implements the port ``OutcomeStore`` on our own tables, or on the owner's views in ``external_schema``."""

    def __init__(self, pool: ServingPool, external_schema: str | None = None) -> None:
        """Use the pool of the request path, one connection at a time."""
        self._pool = pool
        self._query = _query(external_schema)

    async def count(self, since: datetime, until: datetime, window_days: float) -> Outcomes:
        """Return what became of the answers from ``since`` to ``until``, by the ratings given until then.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not within a minute.
        """
        named: dict[str, datetime | float] = {
            "since": since,
            "until": until,
            "window_seconds": 86_400 * window_days,
            "popular_part": POPULAR_PART,
        }
        rows = await counted_rows(self._pool, self._query, named)
        found = tuple(_strategy_of(row) for row in rows if row["n_answers"] is not None)
        return Outcomes(since, until, window_days, rows[0]["n_movies"], found)

    async def delete_before(self, before: datetime, limit: int) -> int:
        """Delete at most ``limit`` of the answers from before a time, of the compared ones, and of checks of drift.

        Return how many rows that were.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        asked = {"before": before, "limit": limit, "check_years": CHECK_YEARS}
        async with self._pool.connection(DELETING_LIMIT_SECONDS) as connection:
            await connection.execute(SQL["forget_erased"])
            return sum([(await connection.execute(query, asked)).rowcount for query in DELETE_OLD])


async def counted_rows(pool: ServingPool, query: sql.Composed, named: dict[str, Any]) -> list[Row]:
    """Return the rows of a count that may take a minute.

    Raises:
        StorageUnavailable: PostgreSQL does not answer, or not within a minute.
    """
    limit = {"milliseconds": str(round(1000 * COUNTING_LIMIT_SECONDS))}
    async with pool.connection(COUNTING_LIMIT_SECONDS + SPARE_SECONDS) as connection:
        try:
            async with connection.transaction():
                await connection.execute(SQL["limit_time"], limit)
                return await (await connection.execute(query, named)).fetchall()
        except psycopg.errors.QueryCanceled as error:
            message = f"counting outcomes took more than {COUNTING_LIMIT_SECONDS:.0f} s: ask for fewer days"
            raise StorageUnavailable(message) from error


def given_ratings(schema: str | None) -> sql.Composed:
    """Return the query of the ratings of a period, in our own tables or in the owner's views."""
    if schema is None:
        return sql.SQL(SQL["given_internal"]).format()
    return sql.SQL(SQL["given_external"]).format(schema=sql.Identifier(schema))


def _query(schema: str | None) -> sql.Composed:
    """Return the count on our own tables, or on the owner's views."""
    if schema is None:
        counted = sql.SQL(SQL["counted_internal"]).format()
    else:
        counted = sql.SQL(SQL["counted_external"]).format(schema=sql.Identifier(schema))
    return sql.SQL(SQL["outcomes"]).format(given=given_ratings(schema), counted=counted)


def _strategy_of(row: Row) -> StrategyOutcomes:
    """Return the counts of a row."""
    return StrategyOutcomes(**{name: row[name] for name in StrategyOutcomes.__dataclass_fields__})

"""Outcomes of logged responses, counted in PostgreSQL in one statement; and the deletion of old rows."""

from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.domain.errors import StorageTooSlow
from cineclub.domain.recommend.outcomes import POPULAR_PART, Outcomes, StrategyOutcomes

SQL = named_queries("outcomes.sql")
DELETE_OLD = tuple(named_queries(name)["delete_old"] for name in ("outcomes.sql", "comparisons.sql", "drift_store.sql"))
CHECK_YEARS = 2
"""The time that drift checks with the settings or with consequences stay; the longest cool-down is a year."""

COUNTING_LIMIT_SECONDS = 60.0
DELETING_LIMIT_SECONDS = 30.0
SPARE_SECONDS = 10.0
"""The statement times out first: a count that takes too long must not look like an outage of PostgreSQL."""


class PostgresOutcomes:
    """Counts outcomes in cineclub's own tables, or in the owner's views in ``external_schema``.

    Its methods raise StorageUnavailable while PostgreSQL does not answer, or not within a minute.
    """

    def __init__(self, pool: ServingPool, external_schema: str | None = None) -> None:
        """Use the pool of the request path, one connection at a time."""
        self._pool = pool
        sources = {"given": given_ratings(external_schema), "counted": _source_query("counted", external_schema)}
        self._query = sql.SQL(SQL["outcomes"]).format(**sources)

    async def count(self, since: datetime, until: datetime, window_days: float) -> Outcomes:
        """Return the outcomes of the responses from ``since`` to ``until``, by the ratings given until then."""
        params: dict[str, datetime | float] = {
            "since": since,
            "until": until,
            "window_seconds": 86_400 * window_days,
            "popular_part": POPULAR_PART,
        }
        rows = await counted_rows(self._pool, self._query, params)
        names = StrategyOutcomes.__dataclass_fields__
        counts = [{name: row[name] for name in names} for row in rows if row["n_answers"] is not None]
        strategies = tuple(StrategyOutcomes(**columns) for columns in counts)
        return Outcomes(since, until, window_days, rows[0]["n_movies"], strategies)

    async def delete_before(self, before: datetime, limit: int) -> int:
        """Delete at most ``limit`` each of the responses, comparisons and drift checks from before a time.

        Return the number of deleted rows.
        """
        params = {"before": before, "limit": limit, "check_years": CHECK_YEARS}
        async with self._pool.connection(DELETING_LIMIT_SECONDS) as connection:
            await connection.execute(SQL["forget_erased"])
            return sum([(await connection.execute(query, params)).rowcount for query in DELETE_OLD])


async def counted_rows(pool: ServingPool, query: sql.Composed, params: dict[str, Any]) -> list[Row]:
    """Return the rows of a count that may take a minute.

    Raises:
        StorageUnavailable: PostgreSQL does not answer, or not within a minute.
    """
    limit = {"milliseconds": str(round(1000 * COUNTING_LIMIT_SECONDS))}
    async with pool.connection(COUNTING_LIMIT_SECONDS + SPARE_SECONDS) as connection:
        try:
            async with connection.transaction():
                await connection.execute(SQL["limit_time"], limit)
                return await (await connection.execute(query, params)).fetchall()
        except psycopg.errors.QueryCanceled as error:
            message = f"counting outcomes took more than {COUNTING_LIMIT_SECONDS:.0f} s: ask for fewer days"
            raise StorageTooSlow(message) from error


def given_ratings(schema: str | None) -> sql.Composed:
    """Return the query of the ratings of a period, in our own tables or in the owner's views."""
    return _source_query("given", schema)


def _source_query(name: str, schema: str | None) -> sql.Composed:
    """Return a query on our own tables, or on the owner's views."""
    if schema is None:
        return sql.SQL(SQL[f"{name}_internal"]).format()
    return sql.SQL(SQL[f"{name}_external"]).format(schema=sql.Identifier(schema))

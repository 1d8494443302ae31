"""Compared responses, stored and counted inside PostgreSQL, and the checks of probations."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import sql

from cineclub.adapters.postgres.outcomes import counted_rows, given_ratings
from cineclub.adapters.postgres.promotions import promotion_of
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import named_queries, session
from cineclub.adapters.postgres.versions import known_version_of
from cineclub.domain.promotion.online_comparison import PairOutcomes, PersonOutcomes
from cineclub.domain.promotion.online_records import ComparedResponse, ProbationCheck, Standing
from cineclub.domain.ratings.log import RELEVANT_FRACTION_OF_SCALE

SQL = named_queries("comparisons.sql")
PROMOTIONS_SQL = named_queries("promotions.sql")
VERSIONS_SQL = named_queries("versions.sql")
WRITE_LIMIT_SECONDS = 10.0
PROMOTIONS_READ = 200


class PostgresComparisons:
    """Comparisons in PostgreSQL; ratings are our own, or those of the owner's views.

    Its methods raise StorageUnavailable while PostgreSQL does not answer, or does not count within a minute.
    """

    def __init__(self, pool: ServingPool, external_schema: str | None = None) -> None:
        """Use the pool of the request path, one connection at a time."""
        self._pool = pool
        self._query = sql.SQL(SQL["pairs"]).format(given=given_ratings(external_schema))

    async def standing(self) -> Standing:
        """Return the promotions, newest first, and the challenger."""
        page = {"limit": PROMOTIONS_READ, "before": None}
        async with self._pool.connection() as connection:
            history = await (await connection.execute(PROMOTIONS_SQL["history"], page)).fetchall()
            challenger = await (await connection.execute(VERSIONS_SQL["challenger"])).fetchone()
        return Standing([promotion_of(row) for row in history], known_version_of(challenger) if challenger else None)

    async def write(self, responses: Sequence[ComparedResponse]) -> None:
        """Store compared responses, in one transaction."""
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection, connection.transaction():
            await connection.cursor().executemany(SQL["write"], [_columns(response) for response in responses])

    async def count(self, since: datetime, until: datetime, window_days: float) -> tuple[PairOutcomes, ...]:
        """Return the outcomes of the responses compared from ``since`` to ``until``, and the ratings until then."""
        params: dict[str, Any] = {
            "since": since,
            "until": until,
            "window_seconds": 86_400 * window_days,
            "liked_part": RELEVANT_FRACTION_OF_SCALE,
        }
        rows = await counted_rows(self._pool, self._query, params)
        people = [tuple(PersonOutcomes(*counts) for counts in row["people"]) for row in rows]
        return tuple(PairOutcomes(**{**row, "people": group}) for row, group in zip(rows, people, strict=True))

    async def checks(self, limit: int) -> list[ProbationCheck]:
        """Return the checks of probations, newest first."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(SQL["checks"], {"limit": limit})).fetchall()
        return [ProbationCheck(**row) for row in rows]

    async def record_check(self, check: ProbationCheck) -> bool:
        """Store a check, and return whether it was the first of its number."""
        async with self._pool.connection() as connection:
            return (await connection.execute(SQL["record_check"], asdict(check))).rowcount > 0


def recent_checks(database_url: str, limit: int) -> list[ProbationCheck]:
    """Return the checks of probations, newest first; blocks; raises StorageUnavailable in an outage of PostgreSQL."""
    with session(database_url) as connection:
        return [ProbationCheck(**row) for row in connection.execute(SQL["checks"], {"limit": limit})]


def _columns(response: ComparedResponse) -> dict[str, Any]:
    """Return a compared response as query parameters."""
    ids = {"recommendation_id": UUID(response.recommendation_id)}
    movies = {"served_movie_ids": list(response.served_movie_ids), "other_movie_ids": list(response.other_movie_ids)}
    return asdict(response) | ids | movies

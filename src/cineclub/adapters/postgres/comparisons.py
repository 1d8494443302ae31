"""Answers that two versions were asked for: kept, counted inside PostgreSQL, and the looks at probations."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import sql

from cineclub.adapters.postgres.outcomes import counted_rows, given_ratings
from cineclub.adapters.postgres.promotions import promotion_of
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries, session
from cineclub.adapters.postgres.versions import known_version_of
from cineclub.domain.live_comparison import PairOutcomes, PersonOutcomes
from cineclub.domain.ratings import RELEVANT_FRACTION_OF_SCALE
from cineclub.ports import ComparedAnswer, ProbationLook, Standing

SQL = named_queries("comparisons.sql")
PROMOTIONS_SQL = named_queries("promotions.sql")
VERSIONS_SQL = named_queries("versions.sql")
WRITE_LIMIT_SECONDS = 10.0
PROMOTIONS_READ = 200


class PostgresComparisons:
    """Implements the port ``ComparisonStore``; ratings are our own, or those of the owner's views."""

    def __init__(self, pool: ServingPool, external_schema: str | None = None) -> None:
        """Use the pool of the request path, one connection at a time."""
        self._pool = pool
        self._query = sql.SQL(SQL["pairs"]).format(given=given_ratings(external_schema))

    async def standing(self) -> Standing:
        """Return what served, newest first, and the version that might serve next.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        asked = {"limit": PROMOTIONS_READ, "before": None}
        async with self._pool.connection() as connection:
            history = await (await connection.execute(PROMOTIONS_SQL["history"], asked)).fetchall()
            challenger = await (await connection.execute(VERSIONS_SQL["challenger"])).fetchone()
        return Standing([promotion_of(row) for row in history], known_version_of(challenger) if challenger else None)

    async def write(self, answers: Sequence[ComparedAnswer]) -> None:
        """Keep compared answers, in one transaction.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection, connection.transaction():
            await connection.cursor().executemany(SQL["write"], [_columns(one) for one in answers])

    async def count(self, since: datetime, until: datetime, window_days: float) -> tuple[PairOutcomes, ...]:
        """Return what became of the answers compared from ``since`` to ``until``, by the ratings given until then.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not within a minute.
        """
        named: dict[str, Any] = {
            "since": since,
            "until": until,
            "window_seconds": 86_400 * window_days,
            "liked_part": RELEVANT_FRACTION_OF_SCALE,
        }
        return tuple(_pair_of(row) for row in await counted_rows(self._pool, self._query, named))

    async def looks(self, limit: int) -> list[ProbationLook]:
        """Return the looks at probations, newest first.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(SQL["looks"], {"limit": limit})).fetchall()
        return [ProbationLook(**row) for row in rows]

    async def record_look(self, look: ProbationLook) -> bool:
        """Keep a look, and say whether it was the first of its number.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection() as connection:
            return (await connection.execute(SQL["record_look"], asdict(look))).rowcount > 0


def recent_looks(database_url: str, limit: int) -> list[ProbationLook]:
    """Return the looks at probations, newest first; blocks.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
    """
    with session(database_url) as connection:
        return [ProbationLook(**row) for row in connection.execute(SQL["looks"], {"limit": limit})]


def _columns(one: ComparedAnswer) -> dict[str, Any]:
    """Return a compared answer as query parameters."""
    ids = {"recommendation_id": UUID(one.recommendation_id)}
    films = {"served_movie_ids": list(one.served_movie_ids), "other_movie_ids": list(one.other_movie_ids)}
    return asdict(one) | ids | films


def _pair_of(row: Row) -> PairOutcomes:
    """Return the outcomes of a row."""
    people = tuple(PersonOutcomes(*counts) for counts in row["people"])
    return PairOutcomes(**{**row, "people": people})

"""The newest promotion, read over the pool of the request path."""

from cineclub.adapters.postgres.promotions import current_async
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import named_queries
from cineclub.domain.promotion.records import ProductionState

SQL = named_queries("histories.sql")
VERSIONS_SQL = named_queries("versions.sql")
INTEGER_TYPES = {"smallint", "integer", "bigint"}


class PostgresProduction:
    """Implements ``ProductionReader``; raises StorageUnavailable while PostgreSQL does not answer."""

    def __init__(self, pool: ServingPool, external_schema: str | None = None) -> None:
        """Use the pool; ``external_schema`` is the schema of the owner's views, None for our own tables."""
        self._pool = pool
        self._schema = external_schema

    async def read(self) -> ProductionState:
        """Return the newest promotion, the type of movie ids, and the counts of refused promotions."""
        async with self._pool.connection() as connection:
            promotion = await current_async(connection)
            counts = await connection.execute(VERSIONS_SQL["refusal_counts"])
            n_refusals = {row["asked_by"]: row["n_refusals"] for row in await counts.fetchall()}
            if self._schema is None:
                row = await (await connection.execute(SQL["movie_ids_are_integers"])).fetchone()
                return ProductionState(promotion, bool(row and row["movie_ids_are_integers"]), n_refusals)
            column = {"view": f'"{self._schema}".movies', "column": "movie_id"}
            row = await (await connection.execute(SQL["column_type"], column)).fetchone()
            return ProductionState(promotion, bool(row and row["type"] in INTEGER_TYPES), n_refusals)

"""What one user has rated by now, in one query; and the popular list for as long as there is no model."""

from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np
import psycopg
from psycopg import sql

from cineclub.adapters.postgres.films import PostgresFilms
from cineclub.adapters.postgres.popular_list import PopularList
from cineclub.adapters.postgres.reads_together import ReadsTogether
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.domain.ratings import UserRatings
from cineclub.ports import PopularMovie

SQL = named_queries("histories.sql")
RATING = np.dtype([("movie_id", ">i8"), ("rating", ">f4"), ("rated_at", ">i8")])
MANY_LIMIT_SECONDS = 30.0
USERS_AT_ONCE = 500
MICROSECONDS_1970_TO_2000 = 946_684_800_000_000
Query = sql.SQL | sql.Composed


class PostgresHistories:
    """Implements the port ``HistoryReader`` on our own tables, or on the owner's views in ``external_schema``."""

    def __init__(self, pool: ServingPool, films: PostgresFilms, external_schema: str | None = None) -> None:
        """Use the pool of the request path, and the films that are counted for the popular list."""
        self._pool = pool
        self._schema = external_schema
        self._external_query: Query | None = None
        self._reads = ReadsTogether(self._packed_of)
        self._popular = PopularList(films.count_ratings, films.texts_of)

    async def ratings_of(self, user_id: str) -> UserRatings:
        """Return everything the user with this external id has rated; nothing for an unknown user.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        if self._schema is None:
            return _unpacked(await self._reads.read(user_id))
        try:
            return _unpacked(await self._external_packed_of(user_id))
        except psycopg.DataError:  # an id that the owner's type cannot hold is nobody's
            return UserRatings.none()

    async def ratings_of_many(self, user_ids: Sequence[str]) -> dict[str, UserRatings]:
        """Return the same for many users, by external id; those who have rated nothing are left out.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        if self._schema is not None:  # one by one: an id that the owner's type cannot hold must not spoil the others
            found = {user_id: await self.ratings_of(user_id) for user_id in user_ids}
            return {user_id: ratings for user_id, ratings in found.items() if len(ratings)}
        async with self._pool.connection(MANY_LIMIT_SECONDS) as connection:
            cursor = await connection.cursor(binary=True).execute(SQL["histories"], {"user_ids": list(user_ids)})
            return {row["user_id"]: _unpacked(row["packed"]) for row in await cursor.fetchall()}

    async def users(self) -> AsyncIterator[list[str]]:
        """Yield the external ids of all users, some hundreds at a time.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        after: int | str = 0 if self._schema is None else ""
        query: Query = sql.SQL(SQL["users_internal"])
        if self._schema is not None:
            query = sql.SQL(SQL["users_external"]).format(schema=sql.Identifier(self._schema))
        while True:
            async with self._pool.connection(MANY_LIMIT_SECONDS) as connection:
                cursor = await connection.execute(query, {"after": after, "limit": USERS_AT_ONCE})
                rows = await cursor.fetchall()
            if not rows:
                return
            after = rows[-1]["place"]
            yield [row["user_id"] for row in rows]

    async def popular(self, limit: int) -> list[PopularMovie]:
        """Return the most popular films by damped popularity, counted at most about a minute ago.

        Raises:
            StorageUnavailable: PostgreSQL does not answer and nothing was counted before.
        """
        return await self._popular.best(limit)

    def forget(self, user_id: str) -> None:
        """Do nothing: whatever is asked is read anew."""

    @property
    def has_popular_in_memory(self) -> bool:
        """Say whether a popular list can be given without PostgreSQL."""
        return self._popular.is_filled

    async def _packed_of(self, user_ids: Sequence[str]) -> Mapping[str, bytes]:
        """Return the packed histories of users by external id; without those who have rated nothing."""
        async with self._pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            if len(user_ids) == 1:
                row = await (await cursor.execute(SQL["history_internal"], {"user_id": user_ids[0]})).fetchone()
                return {user_ids[0]: row["packed"]} if row and row["packed"] else {}
            await cursor.execute(SQL["histories_internal"], {"user_ids": user_ids})
            return {row["user_id"]: row["packed"] for row in await cursor.fetchall() if row["packed"]}

    async def _external_packed_of(self, user_id: str) -> bytes | None:
        """Return the packed history of a user of the owner's views; one by one, as one id may not fit their type."""
        async with self._pool.connection() as connection:
            query = self._external_query or await self._external_history_query(connection)
            cursor = await connection.cursor(binary=True).execute(query, {"user_id": user_id})
            row = await cursor.fetchone()
        return row["packed"] if row else None

    async def _external_history_query(self, connection: psycopg.AsyncConnection[Row]) -> Query:
        """Return the query on the owner's views, after asking once for the type of their user ids."""
        column = {"view": f'"{self._schema}".ratings', "column": "user_id"}
        row = await (await connection.execute(SQL["column_type"], column)).fetchone()
        if row is None:
            message = f"the view {self._schema}.ratings has no column user_id"
            raise psycopg.errors.UndefinedColumn(message)
        types = {"schema": sql.Identifier(self._schema or ""), "user_id_type": sql.SQL(row["type"])}
        self._external_query = sql.SQL(SQL["history_external"]).format(**types)
        return self._external_query


def _unpacked(packed: bytes | None) -> UserRatings:
    """Return the ratings of a packed history in canonical order."""
    if not packed:
        return UserRatings.none()
    rows = np.frombuffer(packed, RATING)
    rows = rows[np.lexsort((rows["movie_id"], rows["rated_at"]))]
    return UserRatings(
        rows["movie_id"].astype(np.int64),
        rows["rating"].astype(np.float32),
        rows["rated_at"].astype(np.int64) + MICROSECONDS_1970_TO_2000,
    )

"""Histories: all present ratings of a user, and the films shown to a user lately, each read in one query."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import psycopg
from psycopg import sql

from cineclub.adapters.postgres.external_source import IDS
from cineclub.adapters.postgres.failures import statement_failed
from cineclub.adapters.postgres.movies import PostgresMovies
from cineclub.adapters.postgres.reads_together import ReadsTogether
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.domain.errors import StorageMismatch
from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.impressions import REMEMBERED_DAYS, ShownMovies
from cineclub.domain.recommend.records import PopularMovie

SQL = named_queries("histories.sql")
RATING = np.dtype([("movie_id", ">i8"), ("rating", ">f4"), ("rated_at", ">i8")])
SHOWN = np.dtype([("shown_at", ">i8"), ("movie_id", ">i8")])
MAX_LISTS = 200
"""The newest lists of a user that are read: a program that asks all day long must not make a request slow."""

MANY_LIMIT_SECONDS = 30.0
USERS_AT_ONCE = 500
MICROSECONDS_1970_TO_2000 = 946_684_800_000_000
Query = sql.SQL | sql.Composed


class ExternalQueries(NamedTuple):
    """The queries on the owner's views for the present type of their user ids: a history, and whether an id fits."""

    history: sql.Composed
    fits: sql.Composed


class PostgresHistories:
    """Implements the port ``HistoryReader`` on our own tables, or on the owner's views in ``external_schema``.

    Its methods raise StorageUnavailable while PostgreSQL does not answer.
    """

    def __init__(self, pool: ServingPool, movies: PostgresMovies, external_schema: str | None = None) -> None:
        """Use the pool of the request path, and the movies, which count the popular ones."""
        self._pool = pool
        self._schema = external_schema
        self._external_queries: ExternalQueries | None = None
        self._has_added_movies = False
        self._reads = ReadsTogether(self._packed_of)
        self._reads_of_shown = ReadsTogether(self._packed_lists_of)
        self._movies = movies

    async def ratings_of(self, user_id: str) -> UserRatings:
        """Return all ratings of the user with this external id; none for an unknown user."""
        if self._schema is None:
            return _unpacked(await self._pool.retried(lambda: self._reads.read(user_id)))
        return _unpacked(await self._pool.retried(lambda: self._external_packed_of(user_id)))

    async def ratings_of_many(self, user_ids: Sequence[str]) -> dict[str, UserRatings]:
        """Return the same for many users, by external id; users without ratings are missing."""
        if self._schema is not None:  # one by one: an id that the owner's type cannot hold must not spoil the others
            histories = {user_id: await self.ratings_of(user_id) for user_id in user_ids}
            return {user_id: ratings for user_id, ratings in histories.items() if len(ratings)}
        async with self._pool.connection(MANY_LIMIT_SECONDS) as connection:
            cursor = await connection.cursor(binary=True).execute(SQL["histories"], {"user_ids": list(user_ids)})
            return {row["user_id"]: _unpacked(row["packed"]) for row in await cursor.fetchall()}

    async def shown_to(self, user_id: str) -> ShownMovies:
        """Return the films of the newest lists of a user in the prediction log; none for an unknown user."""
        packed = await self._reads_of_shown.read(user_id)
        if not packed:
            return ShownMovies.none()
        rows = np.frombuffer(packed, SHOWN)
        shown_at = rows["shown_at"].astype(np.int64) + MICROSECONDS_1970_TO_2000
        return ShownMovies(shown_at, rows["movie_id"].astype(np.int64))

    async def users(self) -> AsyncIterator[list[str]]:
        """Yield the external ids of all users, some hundreds at a time."""
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

    async def popular(self, limit: int, also: Sequence[int] = ()) -> list[PopularMovie]:
        """Return the most popular movies by damped popularity, counted at most about a minute ago, and others by id.

        Raises:
            StorageUnavailable: PostgreSQL does not answer and nothing was counted before.
        """
        return await self._movies.popular(limit, also)

    async def _packed_of(self, user_ids: Sequence[str]) -> Mapping[str, bytes]:
        """Return the packed histories of users by external id; users without ratings are missing."""
        async with self._pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            if len(user_ids) == 1:
                row = await (await cursor.execute(SQL["history_internal"], {"user_id": user_ids[0]})).fetchone()
                return {user_ids[0]: row["packed"]} if row and row["packed"] else {}
            await cursor.execute(SQL["histories_internal"], {"user_ids": user_ids})
            return {row["user_id"]: row["packed"] for row in await cursor.fetchall() if row["packed"]}

    async def _packed_lists_of(self, user_ids: Sequence[str]) -> Mapping[str, bytes]:
        """Return the packed films shown to users by external id; users without lists are missing."""
        values = {"user_ids": list(user_ids), "days": REMEMBERED_DAYS, "max_lists": MAX_LISTS}
        async with self._pool.connection() as connection:
            cursor = await connection.cursor(binary=True).execute(SQL["shown"], values)
            return {row["user_id"]: row["packed"] for row in await cursor.fetchall() if row["packed"]}

    async def _external_packed_of(self, user_id: str) -> bytes | None:
        """Return the packed history of a user of the owner's views; one by one, as one id may not fit their type."""
        if not self._has_added_movies:
            await self._movies.add_external()
            self._has_added_movies = True
        try:
            async with self._pool.connection() as connection:
                queries = self._external_queries or await self._external_queries_for(connection)
                return await _packed_in(connection, queries, user_id)
        except StorageMismatch:
            self._external_queries = None  # the owner has replaced the view: its type is read again
            raise

    async def _external_queries_for(self, connection: psycopg.AsyncConnection[Row]) -> ExternalQueries:
        """Return the queries on the owner's views, after reading the type of their user ids.

        Raises:
            StorageMismatch: the view lacks the column, or it is of no type for ids.
        """
        column = {"view": f'"{self._schema}".ratings', "column": "user_id"}
        row = await (await connection.execute(SQL["column_type"], column)).fetchone()
        if row is None or row["type"] not in IDS:
            fault = f"is {row['type']}, not text or an integer" if row else "is missing"
            raise statement_failed(StorageMismatch, f"{self._schema}.ratings.user_id {fault}")
        types = {"schema": sql.Identifier(self._schema or ""), "user_id_type": sql.SQL(row["type"])}
        history, fits = (sql.SQL(SQL[name]).format(**types) for name in ("history_external", "fits_external"))
        self._external_queries = ExternalQueries(history, fits)
        return self._external_queries


async def _packed_in(connection: psycopg.AsyncConnection[Row], queries: ExternalQueries, user_id: str) -> bytes | None:
    """Return the packed history of a user; None for an id that the owner's type cannot hold, as it belongs to no user.

    Raises:
        StorageMismatch: the type holds the id, so another value of the view is invalid.
    """
    params = {"user_id": user_id}
    try:
        row = await (await connection.cursor(binary=True).execute(queries.history, params)).fetchone()
    except psycopg.DataError as error:
        try:
            await connection.execute(queries.fits, params)
        except psycopg.DataError:
            return None
        raise statement_failed(StorageMismatch, str(error).splitlines()[0]) from error
    return row["packed"] if row else None


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

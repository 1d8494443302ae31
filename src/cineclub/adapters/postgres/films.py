"""The films of the catalogue, and how popular they are by the ratings of now."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic

import numpy as np
import psycopg
from psycopg import sql

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.domain.popularity import damped_popularity
from cineclub.domain.ratings import Movie

SQL = named_queries("films.sql")
COUNT = np.dtype([("movie_id", ">i8"), ("n_ratings", ">i8"), ("rating_sum", ">f8")])
COUNTING_LIMIT_SECONDS = 120.0
FRESH_SECONDS = 60.0
MAX_WINDOWS = 16
ROWS_AT_ONCE = 1000
Query = sql.SQL | sql.Composed
Counted = tuple[list[int], list[float]]


class PostgresFilms:
    """Implements the port ``FilmReader`` on our own tables, or on the owner's views in ``external_schema``."""

    def __init__(self, pool: ServingPool, external_schema: str | None = None) -> None:
        """Use the pool of the request path."""
        self._pool = pool
        self._schema = external_schema
        self._counted: OrderedDict[int | None, tuple[float, Counted]] = OrderedDict()
        self._counting = asyncio.Lock()

    async def everything(self) -> list[Movie]:
        """Return all films by rising id; other requests go on meanwhile.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        movies: list[Movie] = []
        async with self._pool.connection(COUNTING_LIMIT_SECONDS) as connection:
            await self._map_external(connection)
            cursor = await connection.execute(SQL["everything"])
            while rows := await cursor.fetchmany(ROWS_AT_ONCE):
                movies.extend(map(_movie_of, rows))
                await asyncio.sleep(0)
        return movies

    async def texts_of(self, movie_ids: Sequence[int]) -> dict[int, Movie]:
        """Return films by internal id.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SQL["movies"], {"movie_ids": list(movie_ids)})
            return {row["id"]: _movie_of(row) for row in await cursor.fetchall()}

    async def popularity(self, window_days: int | None) -> list[tuple[int, float]]:
        """Return rated films with their damped popularity, most popular first, counted at most a minute ago.

        Args:
            window_days: counts the ratings of the last days before the newest one; None for all.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._counting:
            counted_at, counted = self._counted.get(window_days, (float("-inf"), ([], [])))
            if monotonic() - counted_at > FRESH_SECONDS:
                counted = await self.count_ratings(window_days)
                self._counted[window_days] = (monotonic(), counted)
                self._counted.move_to_end(window_days)
                while len(self._counted) > MAX_WINDOWS:
                    self._counted.popitem(last=False)
        return list(zip(*counted, strict=True))

    async def count_ratings(self, window_days: int | None = None) -> Counted:
        """Return rated films by internal id, most popular first, and their damped popularity.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection(COUNTING_LIMIT_SECONDS) as connection:
            await self._map_external(connection)
            scale = await (await connection.execute(self._query("lowest"))).fetchone()
            cursor = connection.cursor(binary=True)
            row = await (await cursor.execute(self._query("counts"), {"window_days": window_days})).fetchone()
        if not row or not row["packed"] or not scale:
            return [], []
        counts = np.frombuffer(row["packed"], COUNT)
        n_ratings, sums = counts["n_ratings"].astype(np.int64), counts["rating_sum"].astype(np.float64)
        scores = damped_popularity(n_ratings, sums, float(sums.sum() / n_ratings.sum()), scale["lowest"])
        order = np.lexsort((counts["movie_id"], -scores))
        return counts["movie_id"][order].tolist(), scores[order].tolist()

    async def _map_external(self, connection: psycopg.AsyncConnection[Row]) -> None:
        """Give films of the owner's view that are new an internal id."""
        if self._schema is not None:
            schema = sql.Identifier(self._schema)
            await connection.execute(sql.SQL(SQL["map_external_movies"]).format(schema=schema))

    def _query(self, name: str) -> Query:
        """Return the query of this name for the source in use."""
        if self._schema is None:
            return sql.SQL(SQL[f"{name}_internal"])
        return sql.SQL(SQL[f"{name}_external"]).format(schema=sql.Identifier(self._schema))


def _movie_of(row: Row) -> Movie:
    """Return the film of a row."""
    return Movie(
        row["id"],
        row["external_id"],
        row["title"],
        row["year"],
        tuple(row["genres"] or ()),
        row["imdb_id"],
        row["tmdb_id"],
    )

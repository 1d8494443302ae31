"""The movies of the catalogue, and their popularity by the present ratings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import numpy as np
import psycopg
from psycopg import sql

from cineclub.adapters.postgres.failures import statement_failed
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.domain.errors import StorageMismatch, StorageUnavailable
from cineclub.domain.ratings.labels import labels_in
from cineclub.domain.ratings.log import Movie
from cineclub.domain.ratings.popularity import damped_popularity
from cineclub.domain.recommend.records import KnownMovie, PopularMovie
from cineclub.runtime.fresh_cache import FreshCache

SQL, EXTERNAL = named_queries("movies.sql"), named_queries("external_source.sql")
COUNT = np.dtype([("movie_id", ">i8"), ("n_ratings", ">i8"), ("rating_sum", ">f8")])
COUNTING_LIMIT_SECONDS = 120.0
ROWS_AT_ONCE = 200
N_TEXTS_KEPT = 1000
Query = sql.SQL | sql.Composed
Popularity = list[tuple[int, float]]
"""Rated movies by internal id with their damped popularity, most popular first."""


class PostgresMovies:
    """Reads our own tables, or the owner's views in ``external_schema``.

    Its methods raise StorageUnavailable while PostgreSQL does not answer.
    """

    def __init__(self, pool: ServingPool, external_schema: str | None = None) -> None:
        """Use the pool of the request path."""
        self._pool = pool
        self._schema = external_schema
        self._popularity: FreshCache[int | None, Popularity] = FreshCache(self._count_ratings)
        self._popular: FreshCache[None, tuple[Popularity, dict[int, Movie]] | None] = FreshCache(
            self._count_popular, "popular_list"
        )

    async def everything(self) -> list[Movie]:
        """Return all movies by ascending id; other requests are served meanwhile."""
        movies: list[Movie] = []
        async with self._reading(COUNTING_LIMIT_SECONDS) as connection:
            if self._schema is not None:
                refresh = sql.SQL(EXTERNAL["refresh_movies"]).format(schema=sql.Identifier(self._schema))
                with contextlib.suppress(psycopg.errors.ReadOnlySqlTransaction):
                    await connection.execute(refresh)
            cursor = await connection.execute(self._query("everything"))
            while rows := await cursor.fetchmany(ROWS_AT_ONCE):
                movies.extend(map(movie_of, rows))
                await asyncio.sleep(0)
        return movies

    async def texts_of(self, movie_ids: Sequence[int]) -> dict[int, Movie]:
        """Return movies by internal id."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SQL["movies"], {"movie_ids": list(movie_ids)})
            return {row["id"]: movie_of(row) for row in await cursor.fetchall()}

    async def known(self, external_id: str) -> KnownMovie | None:
        """Return a movie with the number of its ratings; None for an unknown id."""
        async with self._reading(COUNTING_LIMIT_SECONDS) as connection:
            cursor = await connection.execute(self._query("known"), {"external_id": external_id})
            row = await cursor.fetchone()
        return None if row is None else KnownMovie(movie_of(row), row["n_ratings"], row["ids_are_integers"])

    async def add_external(self) -> None:
        """Add new movies of the owner's view, without which histories lack them."""
        async with self._reading(COUNTING_LIMIT_SECONDS):
            pass

    async def popularity(self, window_days: int | None) -> Popularity:
        """Return rated movies with their damped popularity, most popular first, counted at most a minute ago.

        Args:
            window_days: counts the ratings of the last days before the newest one; None for all.
        """
        return await self._popularity.get(window_days)

    async def popular(self, limit: int, also: Sequence[int] = ()) -> list[PopularMovie]:
        """Return the most popular movies, then others by internal id; an empty list without ratings.

        The first request waits for the count; later ones get the last count while the next one is made.

        Raises:
            StorageUnavailable: PostgreSQL does not answer and nothing was counted before.
        """
        counted = await self._popular.get_at_once(None)
        if counted is None:
            return []
        popularity, texts = counted
        recommended = popularity[:limit]
        if also:
            wanted = set(also) - {movie_id for movie_id, _ in recommended}
            recommended = [
                *recommended,
                *((movie_id, score) for movie_id, score in popularity[limit:] if movie_id in wanted),
            ]
        if any(movie_id not in texts for movie_id, _ in recommended):
            with contextlib.suppress(StorageUnavailable):
                texts = await self.texts_of([movie_id for movie_id, _ in recommended])
        return [PopularMovie(texts[movie_id], score) for movie_id, score in recommended if movie_id in texts]

    async def _count_popular(self, _: None) -> tuple[Popularity, dict[int, Movie]] | None:
        """Return the popularity of all time with the first movies, less those withdrawn; None without ratings."""
        popularity = await self._count_ratings(None)
        if not popularity:
            return None
        texts = await self.texts_of([movie_id for movie_id, _ in popularity[:N_TEXTS_KEPT]])
        withdrawn = {movie_id for movie_id, movie in texts.items() if not movie.is_available}
        return [item for item in popularity if item[0] not in withdrawn], texts

    async def _count_ratings(self, window_days: int | None) -> Popularity:
        """Return rated movies with their damped popularity, most popular first."""
        async with self._reading(COUNTING_LIMIT_SECONDS) as connection:
            scale = await (await connection.execute(self._query("lowest"))).fetchone()
            cursor = connection.cursor(binary=True)
            row = await (await cursor.execute(self._query("counts"), {"window_days": window_days})).fetchone()
        if not row or not row["packed"] or not scale:
            return []
        counts = np.frombuffer(row["packed"], COUNT)
        n_ratings, sums = counts["n_ratings"].astype(np.int64), counts["rating_sum"].astype(np.float64)
        scores = damped_popularity(n_ratings, sums, float(sums.sum() / n_ratings.sum()), scale["lowest"])
        order = np.lexsort((counts["movie_id"], -scores))
        return list(zip(counts["movie_id"][order].tolist(), scores[order].tolist(), strict=True))

    @contextlib.asynccontextmanager
    async def _reading(self, limit_seconds: float) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        """Yield a connection after adding new movies of the owner's view; a read-only database lacks those until later.

        Raises:
            StorageMismatch: the owner's views have a value that cineclub cannot read.
        """
        try:
            async with self._pool.connection(limit_seconds) as connection:
                if self._schema is not None:
                    add = sql.SQL(EXTERNAL["add_movies"]).format(schema=sql.Identifier(self._schema))
                    with contextlib.suppress(psycopg.errors.ReadOnlySqlTransaction):
                        await connection.execute(add)
                yield connection
        except psycopg.DataError as error:
            if self._schema is None:
                raise
            raise statement_failed(StorageMismatch, str(error).splitlines()[0]) from error

    def _query(self, name: str) -> Query:
        """Return the query of this name for the source in use."""
        if self._schema is None:
            return sql.SQL(SQL[f"{name}_internal"])
        return sql.SQL(SQL[f"{name}_external"]).format(schema=sql.Identifier(self._schema))


def movie_of(row: Row) -> Movie:
    """Return the movie of a row, with its overview where that was read."""
    return Movie(
        movie_id=row["id"],
        external_id=row["external_id"],
        title=row["title"],
        year=row["year"],
        genres=tuple(row["genres"] or ()),
        imdb_id=row["imdb_id"],
        tmdb_id=row["tmdb_id"],
        labels=labels_in(row["labels"]),
        runtime_minutes=row["runtime_minutes"],
        is_available=row["available"],
        overview=row.get("overview"),
    )

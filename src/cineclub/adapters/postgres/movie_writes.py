"""Writes of movies while serving: all of a request or none."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.adapters.postgres.write_conflicts import retried_async
from cineclub.domain.errors import Conflict, ReadOnlySource, no_such_movie
from cineclub.domain.ratings.imported import NewMovie, are_integers
from cineclub.domain.ratings.labels import label_document
from cineclub.domain.recommend.records import WrittenMovies

SQL = named_queries("movie_writes.sql")
WRITE_LIMIT_SECONDS = 10.0
CHANGE_THEM_THERE = "films come from your own views (CINECLUB_SOURCE=external), change them in your own system"


class PostgresMovieWriter:
    """Writes movies into cineclub's own tables; each process that serves notices them at the commit.

    Its methods raise StorageUnavailable while PostgreSQL does not answer, and Conflict while an import runs.
    """

    def __init__(self, pool: ServingPool) -> None:
        """Use the pool of the request path."""
        self._pool = pool

    async def write(self, movies: Sequence[NewMovie], *, ids_become_text: bool = False) -> WrittenMovies:
        """Add or replace movies, all or none; of two with one id the last counts.

        Args:
            movies: with titles.
            ids_become_text: whether an id that is no integer may be the first one of the catalogue.

        Raises:
            Conflict: it would be the first one, and that is not stated.
        """
        last = list({movie.external_id: movie for movie in movies}.values())
        async with self._pool.connection(limit_seconds=WRITE_LIMIT_SECONDS) as connection:
            return await retried_async(connection, partial(_write, connection, last, ids_become_text=ids_become_text))

    async def withdraw(self, movie_id: str) -> None:
        """Withdraw a movie from all lists.

        Raises:
            NotFound: there is no such movie.
        """
        async with self._pool.connection(limit_seconds=WRITE_LIMIT_SECONDS) as connection:
            rows = await (await connection.execute(SQL["withdraw"], {"movie_id": movie_id})).fetchall()
        if not rows:
            raise no_such_movie(movie_id)

    async def delete(self, movie_id: str) -> int:
        """Delete a movie that nobody has rated, and return its internal id.

        Raises:
            NotFound: there is no such movie.
            Conflict: somebody has rated it.
        """
        async with self._pool.connection(limit_seconds=WRITE_LIMIT_SECONDS) as connection:
            return await retried_async(connection, partial(_delete, connection, movie_id))


class ReadOnlyMovies:
    """Refuses every write, where movies come from the owner's views."""

    async def withdraw(self, movie_id: str) -> None:
        """Raise ReadOnlySource."""
        message = f"film {movie_id[:100]} was not withdrawn: {CHANGE_THEM_THERE}"
        raise ReadOnlySource(message)

    async def write(self, movies: Sequence[NewMovie], *, ids_become_text: bool = False) -> WrittenMovies:
        """Raise ReadOnlySource."""
        del ids_become_text
        message = f"{len(movies)} films were not written: {CHANGE_THEM_THERE}"
        raise ReadOnlySource(message)

    async def delete(self, movie_id: str) -> int:
        """Raise ReadOnlySource."""
        message = f"film {movie_id[:100]} was not deleted: {CHANGE_THEM_THERE}"
        raise ReadOnlySource(message)


async def _write(
    connection: psycopg.AsyncConnection[Row], movies: Sequence[NewMovie], *, ids_become_text: bool
) -> WrittenMovies:
    """Write movies within a transaction, and return the counts."""
    await connection.execute(SQL["begin"])
    ids = [movie.external_id for movie in movies]
    if not are_integers(ids):
        await _let_ids_be_text(connection, ids, ids_become_text=ids_become_text)
    known = {row["external_id"] for row in await (await connection.execute(SQL["known"], {"ids": ids})).fetchall()}
    documents = Jsonb([_document_of(movie) for movie in movies])
    rows = await (await connection.execute(SQL["upsert"], {"movies": documents})).fetchall()
    n_changed = sum(row["external_id"] in known for row in rows)
    stored = await (await connection.execute(SQL["ids"], {"ids": ids})).fetchall()
    movie_ids = tuple(row["id"] for row in stored)
    return WrittenMovies(len(rows) - n_changed, n_changed, len(movies) - len(rows), movie_ids)


async def _let_ids_be_text(
    connection: psycopg.AsyncConnection[Row], ids: Sequence[str], *, ids_become_text: bool
) -> None:
    """Record that ids are text; raise ``Conflict`` if all are integers so far and nobody stated otherwise."""
    row = await (await connection.execute(SQL["are_integers"])).fetchone()
    if row is None or not row["are_integers"]:
        return
    if not ids_become_text:
        first = next(movie_id for movie_id in ids if not are_integers([movie_id]))
        message = (
            f"the id {first[:100]!r} is no integer, and all ids so far are: every response would write every film's id "
            "as text from now on. State ids_become_text=true if your system is ready for that; nothing was written"
        )
        raise Conflict(message)
    await connection.execute(SQL["note_text_ids"])


async def _delete(connection: psycopg.AsyncConnection[Row], movie_id: str) -> int:
    """Delete a movie within a transaction, and return its internal id."""
    await connection.execute(SQL["begin"])
    row = await (await connection.execute(SQL["rated"], {"movie_id": movie_id})).fetchone()
    if row is None:
        raise no_such_movie(movie_id)
    if row["n_ratings"]:
        message = (
            f"{row['n_ratings']:,} ratings are of film {movie_id[:100]}, and they would be lost: withdraw it instead, "
            "with available false, and nobody is recommended it"
        )
        raise Conflict(message)
    await connection.execute(SQL["delete"], {"id": row["id"]})
    return int(row["id"])


def _document_of(movie: NewMovie) -> dict[str, Any]:
    """Return a movie as a record of the query."""
    return asdict(movie) | {
        "labels": label_document(movie.labels),
        "genres": list(movie.genres),
        "is_available": movie.is_available is not False,
    }

"""Writing a whole file of ratings in one transaction, by COPY and by set."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from cineclub.adapters.postgres.copy_stream import EPOCH_2000_MICROSECONDS, ROW
from cineclub.adapters.postgres.sessions import Row, named_queries, session
from cineclub.domain.canonical_order import canonical_order
from cineclub.domain.errors import Conflict, ReadOnlySource
from cineclub.domain.imported_ratings import NewMovie, RatingRows, are_integers
from cineclub.domain.ratings import RatingScale
from cineclub.ports import ImportCounts, ImportProgress

SQL = named_queries("importing.sql")
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
ROWS_AT_A_TIME = 200_000
FIELD_BYTES: Mapping[str, int] = {"n_fields": 4, "user_bytes": 8, "movie_bytes": 8, "rating_bytes": 4, "time_bytes": 8}
Connection = psycopg.Connection[Row]


class PostgresRatingImport:
    """Implements the port ``RatingImport`` on our own tables."""

    def __init__(self, database_url: str, *, is_writable: bool = True) -> None:
        """Write to the database at this address, unless ratings come from the owner's views."""
        self._database_url = database_url
        self._is_writable = is_writable

    def scale(self) -> RatingScale | None:
        """Return the catalogue's scale; None before the first import.

        Raises:
            ReadOnlySource: ratings come from the owner's views.
            StorageUnavailable: PostgreSQL does not answer.
        """
        if not self._is_writable:
            message = "CINECLUB_SOURCE=external: ratings are read from your views, so import them into your own tables"
            raise ReadOnlySource(message)
        with session(self._database_url) as connection:
            row = connection.execute(SQL["scale"].encode()).fetchone()
        return RatingScale(row["lowest"], row["highest"]) if row else None

    def write(
        self, rows: RatingRows, movies: Sequence[NewMovie], scale: RatingScale, progress: ImportProgress
    ) -> ImportCounts:
        """Write what is new or different in one transaction; equal rows are not touched.

        Raises:
            ReadOnlySource: ratings come from the owner's views.
            StorageUnavailable: PostgreSQL does not answer; nothing was written.
        """
        self.scale()
        with session(self._database_url) as connection:
            with connection.transaction():
                counts = Transaction(connection, progress).write(rows, movies, scale)
            connection.execute(SQL["analyze"].encode())
        progress(1.0, "done")
        return counts


class Transaction:
    """The phases of one import, each timed."""

    def __init__(self, connection: Connection, progress: ImportProgress) -> None:
        """Work on an open transaction."""
        self._connection = connection
        self._progress = progress
        self._seconds: dict[str, float] = {}

    def write(self, rows: RatingRows, movies: Sequence[NewMovie], scale: RatingScale) -> ImportCounts:
        """Write everything, and return what changed."""
        self._run("lock")
        self._refuse_other_scale(scale)
        with self._phase("films", 0.0):
            movie_ids, n_new_movies = self._write_movies(rows.movie_ids, movies)
        with self._phase("users", 0.1):
            user_ids, n_new_users = self._write_users(rows.user_ids)
        self._set_catalogue(scale, [*rows.movie_ids, *(movie.external_id for movie in movies)], rows.user_ids)
        with self._phase("encode", 0.15):
            encoded = _encoded(rows, user_ids, movie_ids)
        write = self._fill if self._row("is_empty")["is_empty"] else self._upsert
        self._run("announce_at_once")
        n_inserted, n_updated = write(encoded)
        self._run("announce_each_again")
        n_unchanged = len(rows) - n_inserted - n_updated
        return ImportCounts(n_inserted, n_updated, n_unchanged, n_new_users, n_new_movies, self._seconds)

    def _refuse_other_scale(self, scale: RatingScale) -> None:
        """Refuse if another import has set another scale since this one looked."""
        row = self._run("scale").fetchone()
        if row and RatingScale(row["lowest"], row["highest"]) != scale:
            message = "another import has just set another scale: run this one again"
            raise Conflict(message)

    def _write_movies(self, named: Sequence[str], movies: Sequence[NewMovie]) -> tuple[NDArray[np.int64], int]:
        """Write films, and return the internal ids of those that ratings name, by code, and how many are new."""
        described = {movie.external_id: movie for movie in movies}
        is_named = set(named)
        others = [movie for movie in movies if movie.external_id not in is_named]
        records = [_movie_record(code, name, described.get(name)) for code, name in enumerate(named)]
        records += [_movie_record(len(named) + nth, movie.external_id, movie) for nth, movie in enumerate(others)]
        self._run("stage_movies")
        self._copy_records("copy_movies", records)
        self._run("update_movies")
        n_new = self._run("insert_movies").rowcount
        return _unpacked(self._row("movie_ids"))[: len(named)], n_new

    def _write_users(self, named: Sequence[str]) -> tuple[NDArray[np.int64], int]:
        """Write users, and return their internal ids by code and how many are new."""
        self._run("stage_users")
        self._copy_records("copy_users", enumerate(named))
        n_new = self._run("insert_users").rowcount
        return _unpacked(self._row("user_ids")), n_new

    def _set_catalogue(self, scale: RatingScale, movie_ids: Sequence[str], user_ids: Sequence[str]) -> None:
        """Keep the scale and how the caller's system writes ids."""
        facts = {"movies": are_integers(movie_ids), "users": are_integers(user_ids)}
        self._run("set_catalogue", {"lowest": scale.lowest, "highest": scale.highest, **facts})

    def _fill(self, encoded: NDArray[np.void]) -> tuple[int, int]:
        """Write into the empty table, keys last, and return how many were inserted and updated."""
        self._run("drop_keys")
        with self._phase("copy", 0.2):
            self._copy_rows("copy_ratings", encoded, 0.2, 0.5)
        with self._phase("keys", 0.5):
            self._run("add_keys")
        return len(encoded), 0

    def _upsert(self, encoded: NDArray[np.void]) -> tuple[int, int]:
        """Write beside the table, then what differs into it, and return how many were inserted and updated."""
        self._run("stage_ratings")
        with self._phase("copy", 0.2):
            self._copy_rows("copy_staged_ratings", encoded, 0.2, 0.5)
            self._run("analyze_staged_ratings")
        with self._phase("update", 0.5):
            n_updated = self._run("update_ratings").rowcount
        with self._phase("insert", 0.75):
            n_inserted = self._run("insert_ratings").rowcount
        return n_inserted, n_updated

    def _copy_rows(self, query: str, encoded: NDArray[np.void], begin: float, end: float) -> None:
        """Send encoded rows in blocks."""
        with self._connection.cursor().copy(SQL[query].encode()) as copy:
            copy.write(COPY_HEADER)
            for first in range(0, len(encoded), ROWS_AT_A_TIME):
                copy.write(encoded[first : first + ROWS_AT_A_TIME].tobytes())
                self._progress(begin + (end - begin) * first / len(encoded), "copy ratings")
            copy.write(COPY_TRAILER)

    def _copy_records(self, query: str, records: Iterable[Sequence[Any]]) -> None:
        """Send a few records one by one."""
        with self._connection.cursor().copy(SQL[query].encode()) as copy:
            for record in records:
                copy.write_row(record)

    def _run(self, query: str, values: Mapping[str, Any] | None = None) -> psycopg.Cursor[Row]:
        """Run a named query."""
        return self._connection.execute(SQL[query].encode(), values)

    def _row(self, query: str) -> Row:
        """Return the one row of a named query."""
        return self._run(query).fetchall()[0]

    @contextmanager
    def _phase(self, name: str, begin: float) -> Iterator[None]:
        """Tell what is being done, and keep how long it took."""
        self._progress(begin, name)
        started = time.perf_counter()
        yield
        self._seconds[name] = time.perf_counter() - started


def _movie_record(code: int, external_id: str, movie: NewMovie | None) -> tuple[Any, ...]:
    """Return the record of a film, described or only named."""
    if movie is None:
        return (code, external_id, None, None, None, None, None)
    return (code, external_id, movie.title, movie.year, list(movie.genres), movie.imdb_id, movie.tmdb_id)


def _unpacked(row: Row) -> NDArray[np.int64]:
    """Return ids packed by the query."""
    return np.frombuffer(row["packed"] or b"", ">i8").astype(np.int64)


def _encoded(rows: RatingRows, user_ids: NDArray[np.int64], movie_ids: NDArray[np.int64]) -> NDArray[np.void]:
    """Return the rows as a binary COPY sends them, in canonical order, in which a training then reads them."""
    users, movies = user_ids[rows.user_codes], movie_ids[rows.movie_codes]
    order = canonical_order(users, movies, rows.rated_at)
    in_order = slice(None) if order is None else order
    encoded = np.empty(len(rows), ROW)
    for field, value in FIELD_BYTES.items():
        encoded[field] = value
    encoded["user_id"] = users[in_order]
    encoded["movie_id"] = movies[in_order]
    encoded["rating"] = rows.ratings[in_order]
    encoded["rated_at"] = rows.rated_at[in_order]
    encoded["rated_at"] -= EPOCH_2000_MICROSECONDS
    return encoded

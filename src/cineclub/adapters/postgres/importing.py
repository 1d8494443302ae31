"""Import of a file of ratings in one transaction, by COPY and set operations."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from cineclub.adapters.postgres.copy_stream import EPOCH_2000_MICROSECONDS, ROW
from cineclub.adapters.postgres.sessions import Row, named_queries, session
from cineclub.domain.errors import Conflict, ReadOnlySource
from cineclub.domain.ratings.canonical_order import canonical_order
from cineclub.domain.ratings.import_counts import ImportCounts, ImportProgress
from cineclub.domain.ratings.imported import NewMovie, RatingRows, are_integers
from cineclub.domain.ratings.labels import label_document
from cineclub.domain.ratings.log import RatingScale

SQL = named_queries("importing.sql")
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
ROWS_AT_A_TIME = 200_000
FIELD_BYTES: Mapping[str, int] = {"n_fields": 4, "user_bytes": 8, "movie_bytes": 8, "rating_bytes": 4, "time_bytes": 8}
N_DETAILS = 9
"""The columns of a staged movie beside its code and its id."""

Connection = psycopg.Connection[Row]


class PostgresRatingImport:
    """Writes imported ratings into cineclub's own tables.

    Its methods raise StorageUnavailable while PostgreSQL does not answer: then nothing was written.
    """

    def __init__(self, database_url: str, *, is_writable: bool = True) -> None:
        """Write to the database at this address, unless ratings come from the owner's views."""
        self._database_url = database_url
        self._is_writable = is_writable

    def scale(self) -> RatingScale | None:
        """Return the catalogue's scale; None before the first import.

        Raises:
            ReadOnlySource: ratings come from the owner's views.
        """
        row = self._catalogue()
        return RatingScale(row["lowest"], row["highest"]) if row else None

    def holds_demo(self) -> bool:
        """Return whether the demo ratings were imported; raise ReadOnlySource as ``scale`` does."""
        row = self._catalogue()
        return bool(row and row["holds_demo"])

    def write(
        self,
        rows: RatingRows,
        movies: Sequence[NewMovie],
        scale: RatingScale,
        progress: ImportProgress,
        *,
        is_demo: bool = False,
    ) -> ImportCounts:
        """Write new and changed rows in one transaction; equal rows are not touched. ``is_demo`` marks the database.

        Raises:
            ReadOnlySource: ratings come from the owner's views.
        """
        self.scale()
        with session(self._database_url) as connection:
            with connection.transaction():
                counts = Transaction(connection, progress).write(rows, movies, scale, is_demo=is_demo)
            connection.execute(SQL["analyze"].encode())
        progress(1.0, "done")
        return counts

    def _catalogue(self) -> Row | None:
        """Return the row of the catalogue; None before the first import."""
        if not self._is_writable:
            message = "CINECLUB_SOURCE=external: ratings are read from your views, so import them into your own tables"
            raise ReadOnlySource(message)
        with session(self._database_url) as connection:
            return connection.execute(SQL["scale"].encode()).fetchone()


class EncodedRows:
    """Rows in the format of a binary COPY, encoded in blocks, so that they are not in memory twice."""

    def __init__(self, rows: RatingRows, user_ids: NDArray[np.int64], movie_ids: NDArray[np.int64]) -> None:
        """Take rows with the internal ids of their users and movies by code.

        They are sent in canonical order, so that a training reads them in it.
        """
        self._rows, self._user_ids, self._movie_ids = rows, user_ids, movie_ids
        self._order = canonical_order(user_ids[rows.user_codes], movie_ids[rows.movie_codes], rows.rated_at)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def block(self, first: int, end: int) -> bytes:
        """Return rows from one to before another."""
        places = slice(first, end) if self._order is None else self._order[first:end]
        rows = self._rows
        ratings = rows.ratings[places]
        encoded = np.empty(len(ratings), ROW)
        for field, value in FIELD_BYTES.items():
            encoded[field] = value
        encoded["user_id"] = self._user_ids[rows.user_codes[places]]
        encoded["movie_id"] = self._movie_ids[rows.movie_codes[places]]
        encoded["rating"] = ratings
        encoded["rated_at"] = rows.rated_at[places]
        encoded["rated_at"] -= EPOCH_2000_MICROSECONDS
        return encoded.tobytes()


class Transaction:
    """The phases of one import, each timed."""

    def __init__(self, connection: Connection, progress: ImportProgress) -> None:
        """Work on an open transaction."""
        self._connection = connection
        self._progress = progress
        self._seconds: dict[str, float] = {}

    def write(self, rows: RatingRows, movies: Sequence[NewMovie], scale: RatingScale, *, is_demo: bool) -> ImportCounts:
        """Write users, movies and ratings, and return the counts of changes."""
        self._run("lock")
        row = self._run("scale").fetchone()
        if row and RatingScale(row["lowest"], row["highest"]) != scale:
            message = "another import has just set another scale: run this one again"
            raise Conflict(message)
        with self._phase("films", 0.0):
            movie_ids, n_new_movies, n_changed_movies = self._write_movies(rows.movie_ids, movies)
        with self._phase("users", 0.1):
            user_ids, n_new_users = self._write_users(rows.user_ids)
        movies_are_integers = are_integers([*rows.movie_ids, *(movie.external_id for movie in movies)])
        form = {"movies": movies_are_integers, "users": are_integers(rows.user_ids)}
        self._run("set_catalogue", {"lowest": scale.lowest, "highest": scale.highest, "demo": is_demo, **form})
        n_inserted, n_updated = self._write_ratings(rows, user_ids, movie_ids) if len(rows) else (0, 0)
        n_unchanged = len(rows) - n_inserted - n_updated
        of_ratings = (n_inserted, n_updated, n_unchanged)
        return ImportCounts(*of_ratings, n_new_users, n_new_movies, self._seconds, n_changed_movies)

    def _write_ratings(
        self, rows: RatingRows, user_ids: NDArray[np.int64], movie_ids: NDArray[np.int64]
    ) -> tuple[int, int]:
        """Write ratings by the internal ids of their codes, and return the numbers of new and changed ones."""
        with self._phase("encode", 0.15):
            encoded = EncodedRows(rows, user_ids, movie_ids)
        write = self._fill if self._row("is_empty")["is_empty"] else self._upsert
        self._run("announce_at_once")
        counts = write(encoded)
        self._run("announce_each_again")
        return counts

    def _write_movies(self, rated: Sequence[str], movies: Sequence[NewMovie]) -> tuple[NDArray[np.int64], int, int]:
        """Write movies, and return the internal ids of the rated ones by code, and the numbers of new and changed."""
        unrated = {movie.external_id: movie for movie in movies}
        records = [_movie_record(code, movie_id, unrated.pop(movie_id, None)) for code, movie_id in enumerate(rated)]
        records += [_movie_record(code, *item) for code, item in enumerate(unrated.items(), len(rated))]
        self._run("stage_movies")
        self._copy_records("copy_movies", records)
        n_changed = self._run("update_movies").rowcount
        n_new = self._run("insert_movies").rowcount
        return _unpacked(self._row("movie_ids"))[: len(rated)], n_new, n_changed

    def _write_users(self, external_ids: Sequence[str]) -> tuple[NDArray[np.int64], int]:
        """Write users, and return their internal ids by code and the number of new users."""
        self._run("stage_users")
        self._copy_records("copy_users", enumerate(external_ids))
        n_new = self._run("insert_users").rowcount
        return _unpacked(self._row("user_ids")), n_new

    def _fill(self, encoded: EncodedRows) -> tuple[int, int]:
        """Fill the empty table, keys last, and return the numbers of inserted and updated rows."""
        self._run("drop_keys")
        with self._phase("copy", 0.2):
            self._copy_rows("copy_ratings", encoded, 0.2, 0.5)
        with self._phase("keys", 0.5):
            self._run("add_keys")
        return len(encoded), 0

    def _upsert(self, encoded: EncodedRows) -> tuple[int, int]:
        """Stage the rows, write the differences, and return the numbers of inserted and updated rows."""
        self._run("stage_ratings")
        with self._phase("copy", 0.2):
            self._copy_rows("copy_staged_ratings", encoded, 0.2, 0.5)
            self._run("analyze_staged_ratings")
        with self._phase("update", 0.5):
            n_updated = self._run("update_ratings").rowcount
        with self._phase("insert", 0.75):
            n_inserted = self._run("insert_ratings").rowcount
        return n_inserted, n_updated

    def _copy_rows(self, query: str, encoded: EncodedRows, begin: float, end: float) -> None:
        """Encode rows and send them in blocks."""
        with self._connection.cursor().copy(SQL[query].encode()) as copy:
            copy.write(COPY_HEADER)
            for first in range(0, len(encoded), ROWS_AT_A_TIME):
                copy.write(encoded.block(first, first + ROWS_AT_A_TIME))
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
        """Report the phase, and measure its duration."""
        self._progress(begin, name)
        started = time.perf_counter()
        yield
        self._seconds[name] = time.perf_counter() - started


def _movie_record(code: int, external_id: str, movie: NewMovie | None) -> tuple[Any, ...]:
    """Return the record of a movie, with or without texts."""
    if movie is None:
        return (code, external_id, *[None] * N_DETAILS)
    texts = movie.title, movie.year, list(movie.genres), movie.imdb_id, movie.tmdb_id
    labels = Jsonb(label_document(movie.labels))
    return (code, external_id, *texts, labels, movie.runtime_minutes, movie.overview, movie.is_available)


def _unpacked(row: Row) -> NDArray[np.int64]:
    """Return ids packed by the query."""
    return np.frombuffer(row["packed"] or b"", ">i8").astype(np.int64)

"""The crowd's counts: decayed likes of each movie, summed by PostgreSQL by the rules of ``domain.ratings.crowd``."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from cineclub.adapters.postgres.failures import statement_failed
from cineclub.adapters.postgres.movies import PostgresMovies
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, Row, named_queries
from cineclub.domain.errors import InvalidInput, StorageMismatch
from cineclub.domain.ratings.crowd import (
    FULL_WEIGHT_RATINGS,
    GRANULE_MICROSECONDS,
    HALF_LIVES_DAYS,
    CrowdCounts,
    OlderChanges,
    OlderCounts,
    clock_at,
)
from cineclub.domain.ratings.log import EPOCH, RatingScale
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY

SQL = named_queries("crowd.sql")
COUNT = np.dtype([("movie_id", ">i8"), ("sums", ">f8", (len(HALF_LIVES_DAYS),))])
RECENT_LIMIT_SECONDS, OLDER_LIMIT_SECONDS = 60.0, 1200.0
SPARE_SECONDS = 10.0
"""The statement times out first: a count that takes too long must not look like an outage of PostgreSQL."""

EARLIEST = "4714-11-24 00:00:00+00 BC"
"""The first time of PostgreSQL's calendar."""

OWN = "cineclub"
"""The source of our own tables."""

DAY_SECONDS = MICROSECONDS_PER_DAY / 1_000_000
WORK_MEM = "256MB"
LN_2 = "0.693147180559945309"
MOST_HALVINGS = 1000
"""PostgreSQL raises an error for a weight that is too small for a number; so old a like weighs nothing."""

Connection = psycopg.AsyncConnection[Row]


class PostgresCrowd:
    """Counts of our own ratings, or of those in the owner's views in ``external_schema``.

    Its methods raise StorageUnavailable while PostgreSQL does not answer, or not in time.
    """

    def __init__(self, pool: ServingPool, movies: PostgresMovies, external_schema: str | None = None) -> None:
        """Use the pool of the request path, and the movies, which adds those of the owner's view."""
        self._pool = pool
        self._movies = movies
        self._schema = external_schema

    async def stored(self, before: int) -> OlderCounts | None:
        """Return the counts of all likes before the start of a UTC day as a process has kept them; None without."""
        async with self._pool.connection(RECENT_LIMIT_SECONDS) as connection:
            return await self._stored(connection, before)

    async def older(self, before: int, known: OlderCounts | None) -> OlderCounts:
        """Sum the likes before the start of a UTC day, and keep the counts for other processes and the next start.

        Where another process does so at the same time, its counts are waited for.

        Args:
            before: the start of the day, microseconds since 1970.
            known: the counts that are out of date.
        """
        limit_seconds = OLDER_LIMIT_SECONDS + SPARE_SECONDS
        async with self._pool.connection(2 * limit_seconds) as guard, guard.transaction():
            await guard.execute(SQL["one_at_a_time"], {"family": ADVISORY_FAMILY, "crowd": AdvisoryLock.CROWD})
            stored = await self._stored(guard, before)
            if stored is not None and (known is None or stored.seen != known.seen):
                return stored
            older = await self._summed(before)
            with contextlib.suppress(psycopg.errors.ReadOnlySqlTransaction):
                await self._keep(guard, older)
        return older

    async def _summed(self, before: int) -> OlderCounts:
        """Return the counts of all likes before the start of a UTC day."""
        begun = monotonic()
        if self._schema is not None:
            await self._movies.add_external()
        async with self._reading(OLDER_LIMIT_SECONDS) as connection:
            [snapshot] = await (await connection.execute(SQL["snapshot"])).fetchall()
            counts, scale = CrowdCounts.empty(before), await self._scale(connection)
            if scale is not None:
                span = {"starts_at": EARLIEST, "ends_at": _time(before), "future_from": "infinity"}
                newest = await self._newest(connection, span, scale)
                clock = clock_at(before, newest)
                counts = CrowdCounts(*await self._counts(connection, span, clock, scale), clock, before, newest)
        return OlderCounts(counts, snapshot["seen"], snapshot["read_at"], monotonic() - begun)

    async def _stored(self, connection: Connection, before: int) -> OlderCounts | None:
        """Return the counts that are kept, if they are of this day and source."""
        params = {"source": self._schema or OWN, "before": _time(before)}
        row = await (await connection.cursor(binary=True).execute(SQL["stored"], params)).fetchone()
        if row is None:
            return None
        counts = CrowdCounts(*_unpacked(row["counts"]), row["clock"], before, row["newest"])
        return OlderCounts(counts, row["seen"], row["read_at"], row["read_seconds"])

    async def _keep(self, connection: Connection, older: OlderCounts) -> None:
        """Keep counts."""
        counts = older.counts
        rows = np.empty(len(counts.movie_ids), COUNT)
        rows["movie_id"], rows["sums"] = counts.movie_ids, counts.sums.T
        newest = counts.newest_liked_at
        params = {
            "source": self._schema or OWN,
            "before": _time(counts.moment),
            "clock": _time(counts.clock),
            "newest": None if newest is None else _time(newest),
            "seen": older.seen,
            "read_at": older.read_at,
            "read_seconds": older.read_seconds,
            "counts": rows.tobytes(),
        }
        await connection.execute(SQL["keep"], params)

    async def recent(self, start: int, moment: int) -> CrowdCounts:
        """Return the counts of the likes from a time up to a grid line, and of those that are dated after now.

        Those dated after now weigh as if of the grid line, and are not the newest like.
        """
        async with self._reading(RECENT_LIMIT_SECONDS) as connection:
            scale = await self._scale(connection)
            if scale is None:
                return CrowdCounts.empty(moment)
            # what is dated within this granule is not known yet, as it will be on the next grid line
            ends = {"ends_at": _time(moment), "future_from": _time(moment + GRANULE_MICROSECONDS)}
            span = {"starts_at": _time(start), **ends}
            newest = await self._newest(connection, span, scale)
            movie_ids, sums = await self._counts(connection, span, moment, scale)
        is_of_span = newest is not None and newest >= start
        return CrowdCounts(movie_ids, sums, moment, moment, newest if is_of_span else None)

    async def changes(self, older: OlderCounts) -> OlderChanges:
        """Return what changed since older counts were read; of the owner's views erasures alone are known."""
        async with self._pool.connection(RECENT_LIMIT_SECONDS) as connection:
            cursor = await connection.execute(SQL["changes"], {"seen": older.seen, "read_at": older.read_at})
            row = await cursor.fetchone()
        if row and row["has_erasure"]:
            return "erasure"
        if self._schema is not None:
            return "unknown"
        return "some" if row and row["has_any"] else "none"

    @contextlib.asynccontextmanager
    async def _reading(self, limit_seconds: float) -> AsyncIterator[Connection]:
        """Yield a transaction of one snapshot that reads.

        Raises:
            StorageMismatch: the owner's views have a value that cineclub cannot read.
        """
        limits = {"milliseconds": str(int(1000 * limit_seconds)), "work_mem": WORK_MEM}
        try:
            async with self._pool.connection(limit_seconds + SPARE_SECONDS) as connection, connection.transaction():
                await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                await connection.execute(SQL["settings"], limits)
                yield connection
        except psycopg.DataError as error:
            raise statement_failed(StorageMismatch, str(error).splitlines()[0]) from error

    async def _scale(self, connection: Connection) -> RatingScale | None:
        """Return the rating scale; None before the first import."""
        row = await (await connection.execute(self._query("scale"))).fetchone()
        try:
            return RatingScale(**row) if row else None
        except (InvalidInput, TypeError) as error:  # nulls too
            raise statement_failed(StorageMismatch, "rating_scale needs finite lowest < highest") from error

    async def _newest(self, connection: Connection, span: Mapping[str, Any], scale: RatingScale) -> int | None:
        """Return the time of the newest like before the end of a span."""
        cursor = await connection.execute(self._query("newest"), {**span, **_bounds(scale)}, prepare=False)
        row = await cursor.fetchone()
        return row["newest"] if row else None

    async def _counts(
        self, connection: Connection, span: Mapping[str, Any], clock: int, scale: RatingScale
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the movies with likes, rising, and their sums (n_half_lives, n_movies) as of a clock."""
        weight = {"full_weight": float(FULL_WEIGHT_RATINGS), "clock": _time(clock), "day_seconds": DAY_SECONDS}
        query = sql.SQL(SQL["counts"]).format(
            sums=SUMS, packed=PACKED, ratings=self._query("ratings"), same_movie=self._query("same_movie")
        )
        cursor = connection.cursor(binary=True)
        row = await (await cursor.execute(query, {**span, **_bounds(scale), **weight}, prepare=False)).fetchone()
        return _unpacked(row["packed"] if row and row["packed"] else b"")

    def _query(self, name: str) -> sql.Composed:
        """Return a query on our own tables, or on the owner's views."""
        source = "internal" if self._schema is None else "external"
        text = sql.SQL(SQL[f"{name}_{source}"].rstrip(";"))
        return text.format(schema=sql.Identifier(self._schema or ""))


def _sum_of(nth: int, days: float) -> sql.SQL:
    """Return the sum of the weights with one half-life, in SQL."""
    halvings = f"least(age_days / {days:g}, {MOST_HALVINGS})"
    return sql.SQL(f"sum(weight * exp(-{LN_2} * {halvings})) AS sum_{nth}")


SUMS = sql.SQL(", ").join(_sum_of(nth, days) for nth, days in enumerate(HALF_LIVES_DAYS))
PACKED = sql.SQL(" || ").join(
    sql.SQL("float8send({})").format(sql.Identifier(f"sum_{nth}")) for nth in range(len(HALF_LIVES_DAYS))
)


def _unpacked(packed: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the movies, rising, and their sums (n_half_lives, n_movies)."""
    rows = np.frombuffer(packed, COUNT)
    return rows["movie_id"].astype(np.int64), np.ascontiguousarray(rows["sums"].astype(np.float64).T)


def _bounds(scale: RatingScale) -> dict[str, float]:
    """Return a scale as query parameters."""
    return {"lowest": scale.lowest, "highest": scale.highest, "liked": scale.relevance_threshold}


def _time(microseconds: int) -> datetime:
    """Return a time of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=microseconds)

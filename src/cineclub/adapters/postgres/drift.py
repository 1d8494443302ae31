"""Statistics of the ratings and responses of periods.

Ratings are streamed from PostgreSQL and counted by the domain, as those of a training are; PostgreSQL counts responses.
"""

import asyncio
import contextlib
import math
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from cineclub.adapters.postgres.copy_stream import Rows, stream_rows
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, connect, named_queries, storage_errors
from cineclub.domain.drift.periods import Measure, Period
from cineclub.domain.drift.responses import ResponseStatistics
from cineclub.domain.drift.statistics import (
    N_BINS,
    PIECE_SIZE,
    SAMPLE_SIZE,
    WINDOW_DAYS,
    Baseline,
    KnownBefore,
    PeriodCounts,
    PeriodStatistics,
    RatingPiece,
    statistics_of,
)
from cineclub.domain.errors import NotEnoughData, StatementFailed, StorageTooSlow, StorageUnavailable
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.ratings.segments import NO_GENRE, MovieTraits, head_of

SQL = named_queries("drift.sql")
LIMIT_SECONDS = 60.0
WHOLE_LIMIT_SECONDS = 600.0
SPARE_SECONDS = 10.0
"""The statement times out first: a count that takes too long must not look like an outage of PostgreSQL."""

CANCEL_SECONDS = 2.0
MAX_RESPONSES, DRAW_MARGIN = 2_000, 1.2
"""The size of the sample of a period's responses that movies and scores are counted in, drawn by their ids."""

MIN_COVERAGE, MAX_COVERAGE = 50, 2_000


class PostgresDriftStatistics:
    """Drift statistics computed on our own tables, or on the owner's views in ``external_schema``.

    Its methods raise StorageUnavailable while PostgreSQL does not answer, or not within a minute.
    """

    def __init__(self, pool: ServingPool, external_schema: str | None = None) -> None:
        """Use the pool of the request path, and for ratings one more connection at a time."""
        self._pool = pool
        self._schema = external_schema

    async def of_ratings(self, period: Period, measure: Measure) -> PeriodStatistics:
        """Return the statistics of the ratings of a period."""
        ends_at = monotonic() + LIMIT_SECONDS
        counts = await self._counts(period, measure.scale, measure.sample_size, LIMIT_SECONDS)
        traits = await self._traits(counts)
        params = {
            "starts_at": period.starts_at,
            "user_ids": counts.sampled_user_ids.tolist(),
            "movie_ids": counts.movies.ids.tolist(),
        }
        async with self._counting(ends_at - monotonic()) as counting:
            [known] = await counting.rows(self._query("known_before"), params)
        return await asyncio.to_thread(
            statistics_of, counts, period, measure.head_movie_ids, traits, KnownBefore(**known)
        )

    async def whole_log(self, until: datetime) -> Baseline | None:
        """Return a baseline without windows of all ratings before a time; None without ratings.

        Raises:
            NotEnoughData: nothing was imported yet.
            StorageUnavailable: PostgreSQL does not answer, or not within ten minutes.
        """
        extent = await self.extent(until)
        if extent is None:
            return None
        scale = await self._scale()
        counts = await self._counts(extent, scale, SAMPLE_SIZE, WHOLE_LIMIT_SECONDS)
        traits, head = await self._traits(counts), head_of(counts.movies)
        statistics = await asyncio.to_thread(statistics_of, counts, extent, head, traits, None)
        return Baseline(scale, WINDOW_DAYS, SAMPLE_SIZE, tuple(head.tolist()), statistics, ())

    async def sizes(self, periods: Sequence[Period]) -> list[int]:
        """Return the number of ratings of each period."""
        async with self._counting() as counting:
            rows = await counting.rows(self._query("window_sizes"), _ends_of(periods))
        return [row["n_ratings"] for row in rows]

    async def extent(self, until: datetime) -> Period | None:
        """Return the period of all ratings before a time; None without ratings."""
        async with self._counting() as counting:
            [row] = await counting.rows(self._query("extent"), {"ends_at": until})
        return None if row["oldest"] is None else Period.up_to(row["oldest"], row["newest"])

    async def of_responses(
        self, periods: Sequence[Period], head_movie_ids: Sequence[int], model_version: int | None
    ) -> list[ResponseStatistics]:
        """Return the statistics of the responses of each period; scores are those of one version of the model.

        Movies and scores are those of at most ``MAX_RESPONSES`` responses a period, coverage is that of equally many.
        """
        async with self._counting() as counting:
            counts = await counting.rows(sql.SQL(SQL["response_counts"]), _ends_of(periods))
            n_responses = [row["n_responses"] for row in counts]
            coverage_size = _coverage_size(n_responses)
            params = {
                **_ends_of(periods),
                "model_version": model_version,
                "parts": [min(DRAW_MARGIN * MAX_RESPONSES / max(count, 1), 1.0) for count in n_responses],
                "sample_size": MAX_RESPONSES,
                "coverage_size": coverage_size,
                "head_movie_ids": list(head_movie_ids),
                "no_genre": NO_GENRE,
                "n_bins": N_BINS,
            }
            samples = await counting.rows(sql.SQL(SQL["responses"]).format(), params)
        by_period = {row["nth"]: row for row in samples}
        return [
            _response_statistics(period, counted, by_period.get(nth), coverage_size)
            for nth, (period, counted) in enumerate(zip(periods, counts, strict=True), 1)
        ]

    async def _counts(self, period: Period, scale: RatingScale, sample_size: int, limit_seconds: float) -> PeriodCounts:
        """Return the counted ratings of a period; counted in a thread, while requests are served."""
        bounds = {"starts_at": sql.Literal(period.starts_at), "ends_at": sql.Literal(period.ends_at)}
        stream = _RatingStream(self._pool.direct_url, self._query("ratings", **bounds), limit_seconds)
        try:
            return await asyncio.to_thread(PeriodCounts.of, stream.pieces(), scale, sample_size)
        except asyncio.CancelledError:
            await asyncio.to_thread(stream.cut)
            raise

    async def _traits(self, counts: PeriodCounts) -> MovieTraits:
        """Return genres and decades of the rated movies."""
        async with self._counting() as counting:
            rows = await counting.rows(sql.SQL(SQL["movie_traits"]), {"movie_ids": counts.movies.ids.tolist()})
        return MovieTraits.of_groups(
            [(row["genres"], row["movie_ids"]) for row in rows if not row["is_by_year"]],
            [(row["year"], row["movie_ids"]) for row in rows if row["is_by_year"]],
        )

    async def _scale(self) -> RatingScale:
        """Return the rating scale; NotEnoughData before the first import."""
        async with self._counting() as counting:
            scales = await counting.rows(sql.SQL(SQL["scale"]), {})
        if not scales:
            message = "there are no ratings yet: run `cineclub import PATH`, or `cineclub demo`"
            raise NotEnoughData(message)
        return RatingScale(**scales[0])

    @contextlib.asynccontextmanager
    async def _counting(self, limit_seconds: float | None = None) -> AsyncIterator["_Counting"]:
        """Yield a transaction whose statements PostgreSQL ends when their time together is over."""
        limit_seconds = LIMIT_SECONDS if limit_seconds is None else max(limit_seconds, 0.0)
        ends_at = monotonic() + limit_seconds
        async with self._pool.connection(limit_seconds + SPARE_SECONDS) as connection:
            try:
                async with connection.transaction():
                    yield _Counting(connection, ends_at)
            except psycopg.errors.QueryCanceled as error:
                raise _too_long(limit_seconds) from error

    def _query(self, name: str, **parts: sql.Composable) -> sql.Composed:
        """Return a query on our own tables, or on the owner's views."""
        if self._schema is None:
            return sql.SQL(SQL[f"{name}_internal"]).format(**parts)
        return sql.SQL(SQL[f"{name}_external"]).format(schema=sql.Identifier(self._schema), **parts)


class _RatingStream:
    """The ratings of a query, read by one thread over a connection of its own, and stopped by another thread."""

    def __init__(self, database_url: str, statement: sql.Composed, limit_seconds: float) -> None:
        """Take the address and a COPY, which PostgreSQL ends after ``limit_seconds``."""
        self._database_url = database_url
        self._statement = statement
        self._limit_seconds = limit_seconds
        self._ends_at = monotonic() + limit_seconds
        self._connection: psycopg.Connection[Row] | None = None
        self._is_cut = False

    def pieces(self) -> Iterator[RatingPiece]:
        """Yield the ratings in pieces of about ``PIECE_SIZE``.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not in time.
        """
        try:
            with storage_errors(), contextlib.closing(connect(self._database_url)) as self._connection:
                yield from self._read(self._connection)
        except (StorageUnavailable, OSError) as error:
            if monotonic() >= self._ends_at:
                raise _too_long(self._limit_seconds) from error
            if isinstance(error, StatementFailed):
                raise
            message = "PostgreSQL went away while ratings were read: run `cineclub doctor`, then try again"
            detail = error.detail if isinstance(error, StorageUnavailable) else str(error)
            raise StorageUnavailable(message, detail) from error

    def cut(self) -> None:
        """Stop reading now: end the statement, and the wait of the reading thread."""
        self._is_cut, connection = True, self._connection
        if connection is not None and not connection.closed:
            with contextlib.suppress(psycopg.Error, OSError):
                connection.cancel_safe(timeout=CANCEL_SECONDS)
            with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def _read(self, connection: psycopg.Connection[Row]) -> Iterator[RatingPiece]:
        """Yield the ratings that come over a connection."""
        connection.execute("BEGIN READ ONLY")
        connection.execute(SQL["settings"], {"milliseconds": _milliseconds_until(self._ends_at)})
        blocks: list[RatingPiece] = []
        n_rows = 0
        for rows in stream_rows(connection, self._statement.as_bytes(connection), self._limit_seconds + SPARE_SECONDS):
            if self._is_cut:
                return
            blocks.append(_columns_of(rows))
            n_rows += len(rows)
            if n_rows >= PIECE_SIZE:
                yield _joined(blocks)
                blocks, n_rows = [], 0
        if blocks:
            yield _joined(blocks)


@dataclass(frozen=True, slots=True)
class _Counting:
    """A transaction whose statements end at a time of the monotonic clock."""

    connection: psycopg.AsyncConnection[dict[str, Any]]
    ends_at: float

    async def rows(self, query: sql.SQL | sql.Composed, params: Mapping[str, Any]) -> list[Row]:
        """Return the rows of a query, planned for these values; PostgreSQL ends it when the time is over."""
        await self.connection.execute(SQL["settings"], {"milliseconds": _milliseconds_until(self.ends_at)})
        return await (await self.connection.execute(query, params, prepare=False)).fetchall()


def _milliseconds_until(ends_at: float) -> str:
    """Return a time limit for PostgreSQL, up to a time of the monotonic clock; never 0, which means no limit."""
    return str(max(math.ceil(1000 * (ends_at - monotonic())), 1))


def _too_long(limit_seconds: float) -> StorageTooSlow:
    """Return the error of a count that took too long."""
    return StorageTooSlow(f"counting for drift took more than {limit_seconds:.0f} s: ask for a shorter window")


def _columns_of(rows: Rows) -> RatingPiece:
    """Return rows of the stream as columns in the byte order of this machine."""
    return RatingPiece(
        rows["user_id"].astype(np.int64), rows["movie_id"].astype(np.int64), rows["rating"].astype(np.float32)
    )


def _joined(pieces: Sequence[RatingPiece]) -> RatingPiece:
    """Return the ratings of all pieces."""
    users, movies, ratings = zip(*pieces, strict=True)
    return RatingPiece(np.concatenate(users), np.concatenate(movies), np.concatenate(ratings))


def _ends_of(periods: Sequence[Period]) -> dict[str, Any]:
    """Return periods as query parameters."""
    return {"starts": [period.starts_at for period in periods], "ends": [period.ends_at for period in periods]}


def _coverage_size(n_responses: Sequence[int]) -> int:
    """Return the number of responses that coverage is computed on: most periods with responses have as many."""
    positive = [count for count in n_responses if count]
    return int(np.clip(np.median(positive) / 2, MIN_COVERAGE, MAX_COVERAGE)) if positive else MIN_COVERAGE


def _response_statistics(period: Period, counted: Row, sample: Row | None, coverage_size: int) -> ResponseStatistics:
    """Return the statistics of the responses of a period; ``sample`` is None where they show no movie."""
    n_responses, n_with_model = counted["n_responses"], counted["n_with_model"]
    cold_start_share = counted["n_cold_starts"] / n_with_model if n_with_model else None
    if sample is None:
        return ResponseStatistics(
            period.starts_at, period.ends_at, n_responses, 0, None, None, None, {}, cold_start_share, ()
        )
    n_shown, n_scores = sample["n_shown"], sum(sample["scores"].values())
    is_covered = n_responses >= coverage_size and sample["n_movies"]
    return ResponseStatistics(
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        n_responses=n_responses,
        n_scored=sample["n_scored"],
        effective_movies=sample["effective_movies"],
        head_share=sample["n_head"] / n_shown if n_shown else None,
        sampled_coverage=sample["n_covered"] / sample["n_movies"] if is_covered else None,
        genre_shares={name: part / n_shown for name, part in sample["genres"].items()} if n_shown else {},
        cold_start_share=cold_start_share,
        score_shares=tuple(sample["scores"].get(str(nth), 0) / n_scores for nth in range(N_BINS)) if n_scores else (),
    )

"""The log of answers: a bounded queue in memory, written in batches beside the requests."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.errors import StorageUnavailable
from cineclub.ports import PredictionRecord

log = logging.getLogger(__name__)

BATCH_SIZE = 250
ROWS_IN_A_ROW = 20
COLLECT_SECONDS = 0.25
RETRY_SECONDS = 1.0
FLUSH_SECONDS = 5.0
WRITE_LIMIT_SECONDS = 10.0
COPY = """
COPY cineclub.predictions (recommendation_id, answered_at, user_id, strategy, model_name, model_version, movie_ids,
    scores, latency_seconds, degraded) FROM STDIN (FORMAT BINARY)
"""
INSERT_NEW = """
INSERT INTO cineclub.predictions (recommendation_id, answered_at, user_id, strategy, model_name, model_version,
    movie_ids, scores, latency_seconds, degraded) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (recommendation_id) DO NOTHING
"""
Row = tuple[Any, ...]
TYPES = ("uuid", "timestamptz", "text", "text", "text", "int4", "int8[]", "float4[]", "float4", "bool")


class PostgresPredictionLog:
    """Implements the port ``PredictionLog``; what finds no room is dropped and counted."""

    def __init__(
        self,
        pool: ServingPool,
        max_waiting: int,
        on_dropped: Callable[[int], None],
        on_waiting: Callable[[int], None],
    ) -> None:
        """Keep at most ``max_waiting`` answers; the two are told how many were lost, and how many wait now."""
        self._pool = pool
        self._max_waiting = max_waiting
        self._on_dropped = on_dropped
        self._on_waiting = on_waiting
        self._waiting: deque[PredictionRecord] = deque()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return the number of answers waiting to be written."""
        return len(self._waiting)

    def append(self, record: PredictionRecord) -> None:
        """Put one answer into the queue, or drop it when the queue is full; never waits."""
        if len(self._waiting) >= self._max_waiting:
            self._on_dropped(1)
            return
        self._waiting.append(record)
        self._on_waiting(len(self._waiting))

    def forget(self, user_id: str) -> None:
        """Let what waits of a user who is erased be nobody's."""
        for position, record in enumerate(self._waiting):
            if record.user_id == user_id:
                self._waiting[position] = replace(record, user_id=None)

    async def start(self) -> None:
        """Begin to write in the background."""
        self._stopping.clear()
        self._task = asyncio.create_task(self._write_until_stopped(), name="prediction log")

    async def stop(self) -> None:
        """Write what is waiting, for a few seconds at most; count the rest as dropped."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=FLUSH_SECONDS)
            self._task.cancel()
        if self._waiting:
            self._on_dropped(len(self._waiting))
            self._waiting.clear()
        self._on_waiting(0)

    async def _write_until_stopped(self) -> None:
        """Write whatever waits every moment, and once more at the end; try again while PostgreSQL is away.

        Answers that arrive during a write wait for the next moment, or a busy service would copy row by row.
        """
        pause_seconds = COLLECT_SECONDS
        is_last = False
        while not is_last:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_seconds)
            is_last = self._stopping.is_set()
            try:
                while len(self._waiting) >= (1 if is_last else BATCH_SIZE):
                    await self._write_batch()
                if self._waiting:
                    await self._write_batch()
                pause_seconds = COLLECT_SECONDS
            except StorageUnavailable:
                pause_seconds = RETRY_SECONDS

    async def _write_batch(self) -> None:
        """Write the oldest answers; they leave the queue once they are written, or can never be."""
        batch = [self._waiting[position] for position in range(min(BATCH_SIZE, len(self._waiting)))]
        try:
            try:
                await self._copy(batch)
            except psycopg.errors.UniqueViolation:  # the connection broke after an earlier try was committed
                await self._insert_new(batch)
        except psycopg.Error as error:
            log.error("prediction_log_refused rows=%s cause=%r", len(batch), error)  # noqa: TRY400 - the cause says it all
            self._on_dropped(len(batch))
        for _ in batch:
            self._waiting.popleft()
        self._on_waiting(len(self._waiting))

    async def _copy(self, batch: Sequence[PredictionRecord]) -> None:
        """Copy a batch into the table."""
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            cursor = connection.cursor()
            async with cursor.copy(COPY) as copy:
                copy.set_types(TYPES)
                for number, one in enumerate(batch, 1):
                    await copy.write_row(_row_of(one))
                    if number % ROWS_IN_A_ROW == 0:
                        await asyncio.sleep(0)  # requests that wait go first

    async def _insert_new(self, batch: Sequence[PredictionRecord]) -> None:
        """Write those rows of a batch that are not in the table yet."""
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            await connection.cursor().executemany(INSERT_NEW, [_row_of(one) for one in batch])


def _row_of(one: PredictionRecord) -> Row:
    """Return an answer in the order of the columns."""
    return (
        UUID(one.recommendation_id),
        one.answered_at,
        one.user_id,
        one.strategy,
        one.model_name,
        one.model_version,
        list(one.movie_ids),
        list(one.scores),
        one.latency_seconds,
        one.degraded,
    )

"""The log of answers: a bounded queue in memory, written in batches beside the requests."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

import psycopg

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.errors import StorageUnavailable
from cineclub.ports import PredictionRecord

log = logging.getLogger(__name__)

BATCH_SIZE = 1000
COLLECT_SECONDS = 0.25
RETRY_SECONDS = 1.0
FLUSH_SECONDS = 5.0
WRITE_LIMIT_SECONDS = 10.0
COPY = """
COPY cineclub.predictions (recommendation_id, answered_at, user_id, strategy, model_name, model_version, movie_ids,
    scores, latency_seconds, degraded) FROM STDIN (FORMAT BINARY)
"""
TYPES = ("uuid", "timestamptz", "text", "text", "text", "int4", "int8[]", "float4[]", "float4", "bool")


class PostgresPredictionLog:
    """Implements the port ``PredictionLog``; what finds no room is dropped and counted."""

    def __init__(self, pool: ServingPool, max_waiting: int, on_dropped: Callable[[int], None]) -> None:
        """Keep at most ``max_waiting`` answers; ``on_dropped`` is told how many were lost."""
        self._pool = pool
        self._max_waiting = max_waiting
        self._on_dropped = on_dropped
        self._waiting: deque[PredictionRecord] = deque()
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

    async def start(self) -> None:
        """Begin to write in the background."""
        self._task = asyncio.create_task(self._write_for_ever(), name="prediction log")

    async def stop(self) -> None:
        """Write what is waiting, for a few seconds at most; count the rest as dropped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(StorageUnavailable, TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                while self._waiting:
                    await self._write_batch()
        if self._waiting:
            self._on_dropped(len(self._waiting))
            self._waiting.clear()

    async def _write_for_ever(self) -> None:
        """Write a batch whenever something waits; try again for as long as PostgreSQL is away."""
        while True:
            await asyncio.sleep(COLLECT_SECONDS)
            try:
                while self._waiting:
                    await self._write_batch()
            except StorageUnavailable:
                await asyncio.sleep(RETRY_SECONDS)

    async def _write_batch(self) -> None:
        """Write the oldest answers; they leave the queue once they are written, or can never be."""
        batch = [self._waiting[position] for position in range(min(BATCH_SIZE, len(self._waiting)))]
        try:
            await self._copy(batch)
        except psycopg.Error as error:
            log.error("prediction_log_refused rows=%s cause=%r", len(batch), error)  # noqa: TRY400 - the cause says it all
            self._on_dropped(len(batch))
        for _ in batch:
            self._waiting.popleft()

    async def _copy(self, batch: Sequence[PredictionRecord]) -> None:
        """Copy a batch into the table."""
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            cursor = connection.cursor()
            async with cursor.copy(COPY) as copy:
                copy.set_types(TYPES)
                for one in batch:
                    await copy.write_row(
                        (
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
                    )

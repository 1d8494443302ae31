"""The log of predictions: a bounded queue in memory, written in batches in the background."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.recommend.recommendations import ServedResponse

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
TYPES = ("uuid", "timestamptz", "text", "text", "text", "int4", "int8[]", "float4[]", "float4", "bool")


class LoggedPrediction(NamedTuple):
    """A row of the table, in the order of its columns; it holds less of a user than the response."""

    recommendation_id: str
    answered_at: datetime
    user_id: str | None
    strategy: str
    model_name: str | None
    model_version: int | None
    movie_ids: list[int]
    scores: list[float]
    latency_seconds: float
    degraded: bool

    @classmethod
    def of(cls, served: ServedResponse) -> "LoggedPrediction":
        """Return the row of a response."""
        response = served.response
        return cls(
            response.recommendation_id,
            served.served_at,
            response.user_id,
            response.strategy,
            response.model_name,
            response.model_version,
            response.recommendation_list.movie_ids,
            [recommendation.score for recommendation in response.recommendations],
            served.latency_seconds,
            response.degraded,
        )

    def columns(self) -> tuple[Any, ...]:
        """Return the values that psycopg writes."""
        return (UUID(self.recommendation_id), *self[1:])


class PostgresPredictionLog:
    """Implements the port ``ResponseObserver``; responses that find no room are dropped and counted."""

    def __init__(
        self, pool: ServingPool, max_waiting: int, on_dropped: Callable[[int], None], on_waiting: Callable[[int], None]
    ) -> None:
        """Queue at most ``max_waiting`` responses; the callables get the numbers of dropped and waiting responses."""
        self._pool = pool
        self._max_waiting = max_waiting
        self._on_dropped = on_dropped
        self._on_waiting = on_waiting
        self._waiting: deque[LoggedPrediction] = deque()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return the number of responses waiting to be written."""
        return len(self._waiting)

    def observe(self, served: ServedResponse) -> None:
        """Put a response into the queue, or drop it when the queue is full; never waits."""
        if len(self._waiting) >= self._max_waiting:
            self._on_dropped(1)
            return
        self._waiting.append(LoggedPrediction.of(served))
        self._on_waiting(len(self._waiting))

    def forget(self, user_id: str) -> None:
        """Remove the user id of an erased user from the waiting responses."""
        for position, row in enumerate(self._waiting):
            if row.user_id == user_id:
                self._waiting[position] = row._replace(user_id=None)

    async def start(self) -> None:
        """Begin to write in the background."""
        self._stopping.clear()
        self._task = asyncio.create_task(self._write_until_stopped(), name="prediction log")

    async def stop(self) -> None:
        """Write the waiting responses, for a few seconds at most; count the rest as dropped."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=FLUSH_SECONDS)
            self._task.cancel()
        if self._waiting:
            self._on_dropped(len(self._waiting))
            self._waiting.clear()
        self._on_waiting(0)

    async def _write_until_stopped(self) -> None:
        """Write the waiting responses in short intervals, and once more at the end; retry while PostgreSQL is away.

        Responses that arrive during a write wait for the next interval, or a busy service would copy row by row.
        """
        wait_seconds = COLLECT_SECONDS
        is_last = False
        while not is_last:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_seconds)
            is_last = self._stopping.is_set()
            try:
                while len(self._waiting) >= (1 if is_last else BATCH_SIZE):
                    await self._write_batch()
                if self._waiting:
                    await self._write_batch()
                wait_seconds = COLLECT_SECONDS
            except StorageUnavailable:
                wait_seconds = RETRY_SECONDS

    async def _write_batch(self) -> None:
        """Write the oldest responses; they leave the queue once they are written or refused."""
        batch = [self._waiting[position] for position in range(min(BATCH_SIZE, len(self._waiting)))]
        try:
            try:
                await self._copy(batch)
            except psycopg.errors.UniqueViolation:  # the connection broke after an earlier try was committed
                async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
                    await connection.cursor().executemany(INSERT_NEW, [row.columns() for row in batch])
        except psycopg.Error as error:
            log.error("prediction_log_refused rows=%s cause=%r", len(batch), error)  # noqa: TRY400 - the cause is enough
            self._on_dropped(len(batch))
        for _ in batch:
            self._waiting.popleft()
        self._on_waiting(len(self._waiting))

    async def _copy(self, batch: Sequence[LoggedPrediction]) -> None:
        """Copy a batch into the table."""
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            cursor = connection.cursor()
            async with cursor.copy(COPY) as copy:
                copy.set_types(TYPES)
                for number, row in enumerate(batch, 1):
                    await copy.write_row(row.columns())
                    if number % ROWS_IN_A_ROW == 0:
                        await asyncio.sleep(0)  # requests that wait go first

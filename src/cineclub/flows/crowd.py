"""The crowd's counts as a process keeps them: read again at each grid line, and sooner after changes of the past."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cineclub.domain.errors import StatementFailed, StorageUnavailable
from cineclub.domain.ratings.crowd import (
    GRANULE_MICROSECONDS,
    STANDSTILL_MICROSECONDS,
    CrowdCounts,
    OlderChanges,
    OlderCounts,
    granule_of,
    start_of_recent,
)
from cineclub.domain.ratings.log import EPOCH
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask

MICROSECOND = timedelta(microseconds=1)
GRACE_SECONDS = 2.0
"""Ratings of the last granule are committed so long after its end."""

START_SECONDS = 5.0
"""How long the first answer waits for the first counts; with many ratings the frozen context serves first."""

WAKE_SECONDS = 2.0
"""The least time between two reads, however many changes are told of."""

RETRY_SECONDS, FAILED_SECONDS = 1.0, 60.0
"""The time before the next read after an outage, and after a statement that PostgreSQL refused."""

BUSY_SHARE = 0.02
"""Older ratings that change all the time are read again so seldom that the reads take at most this share of time."""

SHORT_SECONDS = 1.0
"""Sums that take less are made again after every change."""

UNTOLD_SECONDS = 3600.0
"""Older ratings of the owner's views, which tell of no change, are read again after this time."""


@dataclass(frozen=True, slots=True)
class CrowdQueries:
    """Queries on likes; each raises ``StorageUnavailable`` while PostgreSQL is away or too slow.

    Attributes:
        stored: returns the counts of the likes before the start of a UTC day that a process has kept; None without.
        older: sums them anew, in place of counts that are out of date, or waits for another process that does.
        recent: returns the counts of the likes from such a start up to a grid line.
        changes: returns what changed since older counts were read.
    """

    stored: Callable[[int], Awaitable[OlderCounts | None]]
    older: Callable[[int, OlderCounts | None], Awaitable[OlderCounts]]
    recent: Callable[[int, int], Awaitable[CrowdCounts]]
    changes: Callable[[OlderCounts], Awaitable[OlderChanges]]


class CrowdKeeper:
    """The crowd's counts of the present grid line; while PostgreSQL is away those that were read last.

    The likes of the last days are read at each grid line. The older ones, which are many, are summed by one process for
    all: once a day, at once after an erasure, and at the next grid line after other changes, but not so often that this
    takes more than a fiftieth of the time.
    """

    def __init__(
        self, queries: CrowdQueries, now: Callable[[], datetime], report: Callable[[datetime], None] = lambda _: None
    ) -> None:
        """Take the queries, the clock, and the receiver of the grid line of each read."""
        self._queries = queries
        self._now = now
        self._report = report
        self._counts: CrowdCounts | None = None
        self._n_changes = 0
        self._older: OlderCounts | None = None
        self._wait_seconds = 0.0
        self._is_wanted = asyncio.Event()
        self._has_tried = asyncio.Event()
        self._task = PeriodicTask("crowd", self._renew, Intervals(0.0, after_failure=RETRY_SECONDS))

    def current(self) -> CrowdCounts | None:
        """Return the counts that were read last; None before, and where nobody has liked anything."""
        return self._counts if self._counts is not None and len(self._counts.movie_ids) else None

    def renew_soon(self) -> None:
        """Read the counts again soon: somebody was erased, or many ratings changed."""
        self._is_wanted.set()

    async def start(self) -> None:
        """Start to read in the background, and wait a little for the first counts: first answers have them."""
        await self._task.start()
        await self.first_read(START_SECONDS)

    async def stop(self) -> None:
        """Stop, in the middle of a read too."""
        await self._task.stop()

    async def first_read(self, seconds: float | None = None) -> None:
        """Wait until the counts were read, or could not be, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._has_tried.wait(), seconds)

    async def _renew(self) -> None:
        """Wait until the counts are due, and read them.

        Raises:
            StorageUnavailable: PostgreSQL does not answer; they are read when it does.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_wanted.wait(), self._wait_seconds)
        self._is_wanted.clear()
        self._wait_seconds = FAILED_SECONDS
        try:
            await self._read()
        except StorageUnavailable as error:
            if not isinstance(error, StatementFailed):
                self._wait_seconds = 0.0  # after an outage the counts are due at once
            raise
        finally:
            self._has_tried.set()
        await asyncio.sleep(WAKE_SECONDS)
        self._wait_seconds = self._seconds_to_next()

    async def _read(self) -> None:
        """Read the counts of the present grid line, and once more where older ones are summed anew."""
        now, former = self._microseconds(), self._older
        start = start_of_recent(now)
        if former is not None and 0 <= now - former.counts.moment < STANDSTILL_MICROSECONDS:
            await self._publish(former)
        if former is None or former.counts.moment != start or await self._is_due(former):
            self._older = await self._renewed(start)
            await self._publish(self._older)

    async def _publish(self, older: OlderCounts) -> None:
        """Serve the counts of the present grid line, with likes from the end of the older ones on."""
        moment = granule_of(self._microseconds())
        recent = await self._queries.recent(older.counts.moment, moment)
        counts, former = older.counts.with_recent(recent), self._counts
        if former is None or former.moment != moment:
            self._counts, self._n_changes = counts, 0
        elif not counts.is_same_as(former):
            self._n_changes += 1
            self._counts = older.counts.with_recent(recent, self._n_changes)
        self._report(EPOCH + moment * MICROSECOND)

    async def _renewed(self, start: int) -> OlderCounts:
        """Return the counts of the ratings before a day: those that a process has kept, unless they are out of date."""
        stored = await self._queries.stored(start)
        if stored is not None and not await self._is_due(stored):
            return stored
        return await self._queries.older(start, stored)

    async def _is_due(self, older: OlderCounts) -> bool:
        """Return whether older counts are to be summed again."""
        changes = await self._queries.changes(older)
        if changes in ("none", "erasure"):
            return changes == "erasure"
        least_seconds = older.read_seconds * (1 / BUSY_SHARE - 1) if older.read_seconds > SHORT_SECONDS else 0.0
        if changes == "unknown":
            least_seconds = max(least_seconds, UNTOLD_SECONDS)
        return (self._now() - older.read_at).total_seconds() >= least_seconds

    def _seconds_to_next(self) -> float:
        """Return the time until the next grid line, after which the ratings before it are committed."""
        since = self._microseconds() % GRANULE_MICROSECONDS
        return (GRANULE_MICROSECONDS - since) / 1e6 + GRACE_SECONDS

    def _microseconds(self) -> int:
        """Return the present time in microseconds since 1970."""
        return (self._now() - EPOCH) // MICROSECOND

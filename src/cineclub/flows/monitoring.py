"""What became of recommendations: counted on demand and for /metrics, and the end of old logged answers."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from cineclub.background import Pauses, Watch
from cineclub.domain.outcomes import Outcomes
from cineclub.ports import OutcomeMetrics, OutcomeStore

log = logging.getLogger(__name__)

METRICS_DAYS = 30
"""Of how many days the outcomes in /metrics are."""

FRESH_SECONDS = 60.0
MAX_PERIODS = 16
FIRST_SECONDS = 5.0
"""When the first count begins at the latest: not at once, or it would hold up the first answers."""

ROWS_AT_ONCE = 5_000


class MonitoringFlow:
    """Says what became of the answers of the last days, counted one period at a time and at most a minute ago."""

    def __init__(
        self,
        store: OutcomeStore,
        window_days: float,
        now: Callable[[], datetime],
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        """Take where answers are logged, and how old one may be when a film is taken from it."""
        self._store = store
        self._window_days = window_days
        self._now = now
        self._seconds = seconds
        self._counted: dict[int, tuple[float, Outcomes]] = {}
        self._counting = asyncio.Lock()

    async def outcomes(self, days: int) -> Outcomes:
        """Return what became of the answers of the last ``days``.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not within a minute.
        """
        async with self._counting:
            counted_at, outcomes = self._counted.get(days, (float("-inf"), None))
            if outcomes is None or self._seconds() - counted_at > FRESH_SECONDS:
                until = self._now()
                outcomes = await self._store.count(until - timedelta(days=days), until, self._window_days)
                self._counted.pop(days, None)
                self._counted[days] = (self._seconds(), outcomes)
                if len(self._counted) > MAX_PERIODS:
                    del self._counted[next(iter(self._counted))]
            return outcomes

    async def delete_old(self, kept_days: int) -> int:
        """Delete every logged answer and check of drift that is too old, some at a time; return how many there were.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        before, n_deleted = self._now() - timedelta(days=kept_days), 0
        while n_rows := await self._store.delete_before(before, ROWS_AT_ONCE):
            n_deleted += n_rows
        return n_deleted


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """How often outcomes are counted for /metrics, and how long answers stay in the log."""

    refresh_seconds: float
    kept_days: int


class OutcomeWatch:
    """Keeps the outcomes in /metrics fresh and the log short for as long as the service lives."""

    def __init__(self, monitoring: MonitoringFlow, metrics: OutcomeMetrics, times: WatchTimes) -> None:
        """Take what counts and what is told."""
        self._monitoring = monitoring
        self._metrics = metrics
        self._times = times
        first_seconds = min(FIRST_SECONDS, times.refresh_seconds)
        self._watch = Watch("outcomes", self._look, Pauses(times.refresh_seconds, first_seconds))

    async def start(self) -> None:
        """Begin to count in the background, a moment from now."""
        await self._watch.start()

    async def stop(self) -> None:
        """Stop, in the middle of a count too."""
        await self._watch.stop()

    async def _look(self) -> None:
        """Count once, and delete what is too old, also when counting fails."""
        try:
            self._metrics.outcomes_known(await self._monitoring.outcomes(METRICS_DAYS))
        finally:
            if n_deleted := await self._monitoring.delete_old(self._times.kept_days):
                log.info("logged_answers_deleted rows=%s", n_deleted)

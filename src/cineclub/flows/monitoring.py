"""Outcomes of recommendations: counted on demand and for /metrics; and the retention of the prediction log."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cineclub.domain.recommend.outcomes import Outcomes
from cineclub.runtime.fresh_cache import FreshCache
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask

log = logging.getLogger(__name__)

METRICS_DAYS = 30
"""The period of the outcomes in /metrics."""

FIRST_SECONDS = 5.0
"""The first count begins within this time: not at once, or it would delay the first requests."""

ROWS_AT_ONCE = 5_000

CountOutcomes = Callable[[datetime, datetime, float], Awaitable[Outcomes]]
"""Returns the outcomes of the responses between two times, by the ratings within a window of days after each."""

DeleteBefore = Callable[[datetime, int], Awaitable[int]]
"""Deletes at most so many rows from before a time, and returns their number."""


class MonitoringFlow:
    """Outcomes of the last days, counted one period at a time; a count is reused for a minute.

    The methods raise ``StorageUnavailable`` while PostgreSQL does not answer, or not within a minute.
    """

    def __init__(
        self,
        count: CountOutcomes,
        delete_before: DeleteBefore,
        window_days: float,
        now: Callable[[], datetime],
    ) -> None:
        """Take the queries, and the days after a response within which a rating counts for it."""
        self._count = count
        self._delete_before = delete_before
        self._window_days = window_days
        self._now = now
        self._outcomes = FreshCache(self._count_outcomes)

    async def outcomes(self, days: int) -> Outcomes:
        """Return the outcomes of the responses of the last ``days``."""
        return await self._outcomes.get(days)

    async def _count_outcomes(self, days: int) -> Outcomes:
        """Count the outcomes of the responses of the last ``days``."""
        until = self._now()
        return await self._count(until - timedelta(days=days), until, self._window_days)

    async def delete_old(self, kept_days: int) -> int:
        """Delete logged responses and drift checks that are too old, in batches; return the number of rows."""
        before, n_deleted = self._now() - timedelta(days=kept_days), 0
        while n_rows := await self._delete_before(before, ROWS_AT_ONCE):
            n_deleted += n_rows
        return n_deleted


@dataclass(frozen=True, slots=True)
class Retention:
    """The interval between two counts of outcomes for /metrics, and how long responses stay in the log."""

    refresh_seconds: float
    kept_days: int


def outcome_task(
    monitoring: MonitoringFlow, on_counted: Callable[[Outcomes], None], retention: Retention
) -> PeriodicTask:
    """Return the task that counts the outcomes for /metrics and deletes what is too old, also when counting fails."""

    async def count_and_delete() -> None:
        try:
            on_counted(await monitoring.outcomes(METRICS_DAYS))
        finally:
            if n_deleted := await monitoring.delete_old(retention.kept_days):
                log.info("logged_answers_deleted rows=%s", n_deleted)

    first_seconds = min(FIRST_SECONDS, retention.refresh_seconds)
    return PeriodicTask("outcomes", count_and_delete, Intervals(retention.refresh_seconds, first_seconds))

"""Scheduled checks of drift, and the actions that follow from an alert."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from cineclub.domain.drift.changes import DriftVerdict
from cineclub.domain.drift.records import DriftCheck, PastCheck
from cineclub.ports import DriftStore
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask

log = logging.getLogger(__name__)

DriftAction = Literal["off", "alert", "retrain"]
Send = Callable[[Mapping[str, Any]], Awaitable[bool]]
"""Sends a message, and returns whether it arrived; never raises."""

Report = Callable[[DriftVerdict, Mapping[str, float], datetime], None]
"""Reports verdict, distances and time of the newest check; the same check may be reported again."""

FIRST_SECONDS, BETWEEN_SECONDS, RETRY_SECONDS = 5.0, 30.0, 300.0


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The action that follows from an alert, and for how long no other does."""

    action: DriftAction
    cooldown: timedelta


class AlertActions:
    """The actions of an alert: a notice, and a training.

    The methods raise ``StorageUnavailable`` while PostgreSQL does not answer.
    """

    def __init__(self, store: DriftStore, send: Send | None, rules: AlertRules) -> None:
        """Take the records, and the sender of notices; None sends none."""
        self._store = store
        self._send = send
        self._rules = rules

    async def follow(self, check: DriftCheck) -> DriftCheck:
        """Send a notice of an alert and start a training, each at most once per cool-down; return the check."""
        if check.verdict != "ALERT":
            return check
        return replace(check, training_id=await self._act(check))

    async def catch_up(self) -> None:
        """Follow the newest alert of this service whose actions are incomplete, because something failed meanwhile."""
        check = await self._store.unfollowed(self._rules.cooldown)
        if check is not None:
            await self._act(check)

    async def _act(self, check: DriftCheck | PastCheck) -> str | None:
        """Take the actions of an alert, and return the training that was started."""
        training_id = check.training_id
        if self._rules.action == "retrain" and training_id is None:
            reason = f"drift check {check.check_id}: {check.summary}"
            training_id = await self._store.start_training(check.check_id, reason, self._rules.cooldown)
        if self._rules.action != "off":
            await self._send_notice(check)
        await self._store.note_followed(check.check_id)
        return training_id

    async def _send_notice(self, check: DriftCheck | PastCheck) -> None:
        """Send the notice of an alert; a process that is stopped meanwhile leaves it to the next."""
        if self._send is None or not await self._store.claim_notice(check.check_id, self._rules.cooldown):
            return
        message = {
            "verdict": check.verdict,
            "summary": check.summary,
            "check_id": check.check_id,
            "checked_at": check.checked_at.isoformat(),
        }
        is_sent = False
        try:
            is_sent = await self._send(message)
        finally:
            await asyncio.shield(self._store.settle_notice(check.check_id, is_sent=is_sent))


class ScheduledDriftChecks:
    """The checks of the settings, made when they are due; the newest check of any origin is reported to the metrics."""

    def __init__(
        self,
        check: Callable[[], Awaitable[DriftCheck]],
        store: DriftStore,
        actions: AlertActions,
        on_start: Callable[[], None],
        report: Report,
        interval: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        """Take the check, the records, the receiver of the newest check, and the interval between two checks."""
        self._check = check
        self._store = store
        self._actions = actions
        self._on_start = on_start
        self._report = report
        self._interval = interval
        self._now = now
        first, between, failed = (
            min(seconds, interval.total_seconds()) for seconds in (FIRST_SECONDS, BETWEEN_SECONDS, RETRY_SECONDS)
        )
        self._task = PeriodicTask("drift", self.run_once, Intervals(between, first, failed))

    async def start(self) -> None:
        """Start to check in the background, a moment from now; a check that fails is never reported as OK."""
        self._on_start()
        await self._task.start()

    async def stop(self) -> None:
        """Stop, in the middle of a check too."""
        await self._task.stop()

    async def run_once(self) -> None:
        """Report the newest check to the metrics, and make the one that is due, if one is."""
        await self._report_newest()  # first: a check that fails must not hide the one before
        await self._actions.catch_up()
        own = await self._store.last("watch")
        if own is None or self._now() - own.checked_at >= self._interval:
            check = await self._check()
            await self._report_newest()
            await self._actions.follow(check)

    async def _report_newest(self) -> None:
        """Report the newest stored check to the metrics, if there is one."""
        newest = await self._store.last()
        if newest is not None:
            self._report(newest.verdict, newest.distances, newest.checked_at)

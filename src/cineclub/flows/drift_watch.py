"""Checks drift by itself while the service lives, tells the metrics of every check, and acts on an alert."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from cineclub.background import Pauses, Watch
from cineclub.ports import AlertReceiver, DriftActions, DriftCheck, DriftChecks, DriftMetrics, PastCheck

log = logging.getLogger(__name__)

DriftAction = Literal["off", "alert", "retrain"]
FIRST_SECONDS, LOOK_SECONDS, RETRY_SECONDS = 5.0, 30.0, 300.0


@dataclass(frozen=True, slots=True)
class ActionRules:
    """What follows from an alert, and for how long nothing more does."""

    action: DriftAction
    cooldown: timedelta


class DriftResponse:
    """Does what is to follow from an alert."""

    def __init__(self, actions: DriftActions, receiver: AlertReceiver | None, rules: ActionRules) -> None:
        """Take what acts and who is told (None: nobody)."""
        self._actions = actions
        self._receiver = receiver
        self._rules = rules

    async def follow(self, check: DriftCheck) -> DriftCheck:
        """Tell of an alert and start a training, each at most once per cool-down; return the check with the training.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        if check.verdict != "ALERT":
            return check
        return replace(check, training_id=await self._act(check))

    async def catch_up(self) -> None:
        """Follow the newest alert of this service that nothing followed from, because something failed meanwhile.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        check = await self._actions.unfollowed(self._rules.cooldown)
        if check is not None:
            await self._act(check)

    async def _act(self, check: DriftCheck | PastCheck) -> str | None:
        """Do what is to follow from an alert, and return the training that it started."""
        training_id = check.training_id
        if self._rules.action == "retrain" and training_id is None:
            reason = f"drift check {check.check_id}: {check.summary}"
            training_id = await self._actions.start_training(check.check_id, reason, self._rules.cooldown)
        if self._rules.action != "off":
            await self._tell(check)
        await self._actions.note_followed(check.check_id)
        return training_id

    async def _tell(self, check: DriftCheck | PastCheck) -> None:
        """Tell whoever wants to know; who is stopped meanwhile leaves it to whoever comes next."""
        if self._receiver is None or not await self._actions.claim_notice(check.check_id, self._rules.cooldown):
            return
        message = {
            "verdict": check.verdict,
            "summary": check.summary,
            "check_id": check.check_id,
            "checked_at": check.checked_at.isoformat(),
        }
        is_sent = False
        try:
            is_sent = await self._receiver.tell(message)
        finally:
            await asyncio.shield(self._actions.settle_notice(check.check_id, is_sent=is_sent))


class DriftWatch:
    """Makes the usual check when it is due, and keeps the metrics at the newest one, whoever made it."""

    def __init__(
        self,
        check: Callable[[], Awaitable[DriftCheck]],
        checks: DriftChecks,
        response: DriftResponse,
        metrics: DriftMetrics,
        interval: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        """Take what checks, where checks are kept, and how often one is due."""
        self._check = check
        self._checks = checks
        self._response = response
        self._metrics = metrics
        self._interval = interval
        self._now = now
        first, between, failed = (
            min(seconds, interval.total_seconds()) for seconds in (FIRST_SECONDS, LOOK_SECONDS, RETRY_SECONDS)
        )
        self._watch = Watch("drift", self.look, Pauses(between, first, failed))

    async def start(self) -> None:
        """Begin to check in the background, a moment from now; a check that fails is none that found nothing."""
        self._metrics.drift_watched(self._interval, self._now())
        await self._watch.start()

    async def stop(self) -> None:
        """Stop, in the middle of a check too."""
        await self._watch.stop()

    async def look(self) -> None:
        """Tell the metrics of the newest check, and make the one that is due, if one is.

        Raises:
            StorageUnavailable: PostgreSQL does not answer; the check is made later.
        """
        await self._tell_metrics()  # first: a check that fails must not hide the one before
        await self._response.catch_up()
        own = await self._checks.last("watch")
        if own is None or self._now() - own.checked_at >= self._interval:
            check = await self._check()
            await self._tell_metrics()
            await self._response.follow(check)

    async def _tell_metrics(self) -> None:
        """Tell the metrics of the newest check that was kept, if there is one."""
        newest = await self._checks.last()
        if newest is not None:
            self._metrics.drift_checked(newest.verdict, newest.distances, newest.checked_at)

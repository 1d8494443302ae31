"""Probation: checks of the outcomes of a promotion at fixed times, and rollback if the former version is better."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cineclub.domain.errors import CineclubError, Conflict
from cineclub.domain.promotion.online_comparison import PairOutcomes, PairVerdict, Probation, probation_of
from cineclub.domain.promotion.online_records import ProbationCheck, Standing
from cineclub.runtime.fresh_cache import FreshCache
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask

log = logging.getLogger(__name__)

ProbationMode = Literal["off", "alert", "rollback"]
EvaluatePair = Callable[[PairOutcomes], PairVerdict]
ReportAlarms = Callable[[int, bool], None]
"""Receives the number of probations that found the former version better, and whether the present one did."""

RollBack = Callable[[int, str], Awaitable[None]]
"""Returns to the former version, for a reason, if the promotion of this number still decides which version serves."""

CHECKS_READ = 500
FIRST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ProbationRules:
    """The settings of probation.

    Attributes:
        mode: the reaction to a better former version.
        days: the length of a probation.
        window_days: the age up to which a response is credited with a rating.
        refresh_seconds: the time between two searches for a due check; the number of checks does not depend on it.
    """

    mode: ProbationMode
    days: float
    window_days: float
    refresh_seconds: float


@dataclass(frozen=True, slots=True)
class ComparisonQueries:
    """Queries on compared responses; each raises ``StorageUnavailable`` while PostgreSQL is away or too slow.

    Attributes:
        standing: returns the versions that there are to compare.
        count: returns the outcomes of the responses compared between two times, by the ratings given until the second
            within a window of days after each.
        checks: returns so many checks of probations, newest first.
        record_check: stores a check, and returns whether it was the first of its number.
    """

    standing: Callable[[], Awaitable[Standing]]
    count: Callable[[datetime, datetime, float], Awaitable[tuple[PairOutcomes, ...]]]
    checks: Callable[[int], Awaitable[list[ProbationCheck]]]
    record_check: Callable[[ProbationCheck], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """A pair of compared versions: the outcomes of their responses, and the verdict."""

    outcomes: PairOutcomes
    verdict: PairVerdict


@dataclass(frozen=True, slots=True)
class ProbationState:
    """The probation of the serving version, whether it has ended, and its checks, newest first."""

    probation: Probation
    is_over: bool
    checks: tuple[ProbationCheck, ...]


@dataclass(frozen=True, slots=True)
class LiveComparisons:
    """Every compared pair of a period, and the probation of the serving version (None where there is none)."""

    since: datetime
    until: datetime
    pairs: tuple[ComparedPair, ...]
    state: ProbationState | None


class ComparisonReport:
    """Outcomes of compared responses, counted one period at a time and at most a minute ago."""

    def __init__(
        self, queries: ComparisonQueries, evaluate: EvaluatePair, rules: ProbationRules, now: Callable[[], datetime]
    ) -> None:
        """Take the queries, and the evaluation of a pair."""
        self._queries = queries
        self._evaluate = evaluate
        self._now = now
        self._reports = FreshCache(self._count)
        self.rules = rules

    async def of_days(self, days: int) -> LiveComparisons:
        """Return the comparisons of the last ``days``, or raise ``StorageUnavailable``."""
        return await self._reports.get(days)

    async def _count(self, days: int) -> LiveComparisons:
        """Count and evaluate the comparisons of the last ``days``."""
        until = self._now()
        since = until - timedelta(days=days)
        outcomes = await self._queries.count(since, until, self.rules.window_days)
        pairs = await asyncio.to_thread(lambda: tuple(ComparedPair(pair, self._evaluate(pair)) for pair in outcomes))
        return LiveComparisons(since, until, pairs, await self._state(until))

    async def _state(self, now: datetime) -> ProbationState | None:
        """Return the state of the probation; None where there is none, or it is off."""
        if self.rules.mode == "off":
            return None
        probation = probation_of((await self._queries.standing()).promotions, self.rules.days)
        if probation is None:
            return None
        checks = checks_of(probation, await self._queries.checks(CHECKS_READ))
        return ProbationState(probation, probation.is_over(now), checks)


class ProbationChecks:
    """The checks of a probation, made when they are due for as long as the service lives."""

    def __init__(
        self,
        queries: ComparisonQueries,
        evaluate: EvaluatePair,
        roll_back: RollBack,
        report: ReportAlarms,
        rules: ProbationRules,
        now: Callable[[], datetime],
    ) -> None:
        """Take the queries, the evaluation of a pair, the rollback, and the receiver of alarms."""
        self._queries = queries
        self._evaluate = evaluate
        self._roll_back = roll_back
        self._report = report
        self._rules = rules
        self._now = now
        intervals = Intervals(rules.refresh_seconds, min(FIRST_SECONDS, rules.refresh_seconds))
        self._task = PeriodicTask("probation", self.run_once, intervals)

    async def start(self) -> None:
        """Start to check in the background, unless probation is off."""
        if self._rules.mode != "off":
            await self._task.start()

    async def stop(self) -> None:
        """Stop, in the middle of a check too."""
        await self._task.stop()

    async def run_once(self) -> None:
        """Make the check that is due, if one is, and react to an alarm until the former version is back.

        ``StorageUnavailable`` delays the check.
        """
        checks = await self._queries.checks(CHECKS_READ)
        probation = probation_of((await self._queries.standing()).promotions, self._rules.days)
        alarm = None
        if probation is not None:
            made = checks_of(probation, checks)
            alarm = next((check for check in made if check.is_alarm), None) or await self._new_alarm(probation, made)
        alarms = [check for check in (*checks, alarm) if check is not None and check.is_alarm]
        self._report(len({check.promotion_id for check in alarms}), alarm is not None)
        if alarm is not None and self._rules.mode == "rollback":
            await self._return_to_former(alarm)

    async def _new_alarm(self, probation: Probation, made: Sequence[ProbationCheck]) -> ProbationCheck | None:
        """Make the check that is due, once among all processes, and return it if it is an alarm."""
        now = self._now()
        nth = probation.due_check(now)
        if nth == 0 or any(check.nth >= nth for check in made):
            return None
        check = await self._checked(probation, nth, now)
        if not await self._queries.record_check(check):
            return None
        if not check.is_alarm:
            log.info("probation_check version=%s nth=%s %s", check.served_version, nth, check.summary)
            return None
        log.error("probation_alarm version=%s former=%s %s", check.served_version, check.former_version, check.summary)
        return check

    async def _checked(self, probation: Probation, nth: int, now: datetime) -> ProbationCheck:
        """Return the check of a probation on the outcomes until now."""
        served, former = probation.served_version, probation.former_version
        counted = await self._queries.count(probation.began_at, now, self._rules.window_days)
        nothing = PairOutcomes("probation", served, former, 0, 0, 0.0, 0.0, 0, 0, ())
        key = ("probation", served, former)
        pair = next((p for p in counted if (p.purpose, p.served_version, p.other_version) == key), nothing)
        evaluated = await asyncio.to_thread(self._evaluate, pair)
        return ProbationCheck(
            promotion_id=probation.promotion_id,
            nth=nth,
            looked_at=now,
            served_version=served,
            former_version=former,
            verdict=evaluated.verdict,
            n_people=evaluated.n_people,
            difference=evaluated.difference,
            low=evaluated.low,
            high=evaluated.high,
            confidence=evaluated.confidence,
            summary=evaluated.in_words(served, former),
        )

    async def _return_to_former(self, alarm: ProbationCheck) -> None:
        """Return to the former version; a failure is tried again at the next run."""
        served, former = alarm.served_version, alarm.former_version
        try:
            await self._roll_back(alarm.promotion_id, f"probation: {alarm.summary}")
        except Conflict as error:
            log.warning("probation_rollback_not_made version=%s cause=%s", served, error)
        except CineclubError as error:
            log.error("probation_rollback_failed version=%s cause=%s", served, error)  # noqa: TRY400 - the cause says it all
        else:
            log.error("probation_rolled_back version=%s to=%s %s", served, former, alarm.summary)


def checks_of(probation: Probation, checks: Sequence[ProbationCheck]) -> tuple[ProbationCheck, ...]:
    """Return the checks that belong to a probation."""
    return tuple(check for check in checks if check.promotion_id == probation.promotion_id)

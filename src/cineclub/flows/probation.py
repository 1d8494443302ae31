"""Looks at what became of a promotion, at few fixed times, and goes back where the former version was better."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Literal

from cineclub.background import Pauses, Watch
from cineclub.domain.errors import CineclubError, Conflict
from cineclub.domain.live_comparison import PairOutcomes, PairVerdict, Probation, probation_of
from cineclub.ports import ComparisonMetrics, ComparisonStore, ProbationLook

log = logging.getLogger(__name__)

ProbationMode = Literal["off", "alert", "rollback"]
JudgePair = Callable[[PairOutcomes], PairVerdict]
RollBack = Callable[[int, str], Awaitable[None]]
"""Lets the former version serve again, if the promotion of this number still decides what serves; with a reason."""

LOOKS_READ = 500
FIRST_SECONDS = 5.0
FRESH_SECONDS = 60.0
MAX_PERIODS = 16


@dataclass(frozen=True, slots=True)
class ProbationRules:
    """What follows when the former version was better, how long a probation lasts, and how outcomes are counted.

    ``refresh_seconds`` says how often it is asked whether a look is due; that does not change how many there are.
    """

    mode: ProbationMode
    days: float
    window_days: float
    refresh_seconds: float


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """A pair of versions that was compared: what became of the answers, and the verdict."""

    outcomes: PairOutcomes
    verdict: PairVerdict


@dataclass(frozen=True, slots=True)
class ProbationState:
    """The probation of what serves now, whether it is over, and the looks that were made, newest first."""

    probation: Probation
    is_over: bool
    looks: tuple[ProbationLook, ...]


@dataclass(frozen=True, slots=True)
class LiveComparisons:
    """Every compared pair of a period, and the probation of what serves (None where there is none)."""

    since: datetime
    until: datetime
    pairs: tuple[ComparedPair, ...]
    state: ProbationState | None


class ComparisonReport:
    """Says what became of compared answers, counted one period at a time and at most a minute ago."""

    def __init__(
        self, store: ComparisonStore, judge: JudgePair, rules: ProbationRules, now: Callable[[], datetime]
    ) -> None:
        """Take where comparisons are kept and what judges them."""
        self._store = store
        self._judge = judge
        self._rules = rules
        self._now = now
        self._made: dict[int, tuple[float, LiveComparisons]] = {}
        self._making = asyncio.Lock()

    @property
    def rules(self) -> ProbationRules:
        """The rules of probation."""
        return self._rules

    async def of_days(self, days: int) -> LiveComparisons:
        """Return the comparisons of the last ``days``.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not within a minute.
        """
        async with self._making:
            made_at, report = self._made.get(days, (float("-inf"), None))
            if report is None or monotonic() - made_at > FRESH_SECONDS:
                report = await self._make(days)
                self._made.pop(days, None)
                self._made[days] = (monotonic(), report)
                if len(self._made) > MAX_PERIODS:
                    del self._made[next(iter(self._made))]
            return report

    async def _make(self, days: int) -> LiveComparisons:
        """Count and judge."""
        until = self._now()
        since = until - timedelta(days=days)
        outcomes = await self._store.count(since, until, self._rules.window_days)
        judged = await asyncio.to_thread(lambda: [ComparedPair(one, self._judge(one)) for one in outcomes])
        return LiveComparisons(since, until, tuple(judged), await self._state(until))

    async def _state(self, now: datetime) -> ProbationState | None:
        """Return how the probation of what serves stands; None where there is none, or it is off."""
        if self._rules.mode == "off":
            return None
        probation = probation_of((await self._store.standing()).promotions, self._rules.days)
        if probation is None:
            return None
        return ProbationState(
            probation, probation.is_over(now), looks_at(probation, await self._store.looks(LOOKS_READ))
        )


class ProbationWatch:
    """Makes the looks of a probation when they are due, for as long as the service lives."""

    def __init__(
        self,
        store: ComparisonStore,
        judge: JudgePair,
        roll_back: RollBack,
        metrics: ComparisonMetrics,
        rules: ProbationRules,
        now: Callable[[], datetime],
    ) -> None:
        """Take where outcomes are counted, what judges them, and how the former version comes back."""
        self._store = store
        self._judge = judge
        self._roll_back = roll_back
        self._metrics = metrics
        self._rules = rules
        self._now = now
        pauses = Pauses(rules.refresh_seconds, min(FIRST_SECONDS, rules.refresh_seconds))
        self._watch = Watch("probation", self.look, pauses)

    async def start(self) -> None:
        """Begin to look in the background, unless probation is off."""
        if self._rules.mode != "off":
            await self._watch.start()

    async def stop(self) -> None:
        """Stop, in the middle of a look too."""
        await self._watch.stop()

    async def look(self) -> None:
        """Make the look that is due, if one is, and act on an alarm until it is dealt with.

        Raises:
            StorageUnavailable: PostgreSQL does not answer; the look is made later.
        """
        looks = await self._store.looks(LOOKS_READ)
        probation = probation_of((await self._store.standing()).promotions, self._rules.days)
        alarm = None
        if probation is not None:
            made = looks_at(probation, looks)
            alarm = next((one for one in made if one.is_alarm), None) or await self._alarm_now(probation, made)
        n_alarms = len({one.promotion_id for one in (*looks, *([alarm] if alarm else [])) if one.is_alarm})
        self._metrics.probation_known(n_alarms, is_alarmed=alarm is not None)
        if alarm is not None and self._rules.mode == "rollback":
            await self._go_back(alarm)

    async def _alarm_now(self, probation: Probation, made: Sequence[ProbationLook]) -> ProbationLook | None:
        """Make the look that is due, once among all processes, and return it if it is an alarm."""
        now = self._now()
        nth = probation.due_look(now)
        if nth == 0 or any(one.nth >= nth for one in made):
            return None
        look = await self._looked(probation, nth, now)
        if not await self._store.record_look(look):
            return None
        if not look.is_alarm:
            log.info("probation_look version=%s nth=%s %s", look.served_version, nth, look.summary)
            return None
        log.error("probation_alarm version=%s former=%s %s", look.served_version, look.former_version, look.summary)
        return look

    async def _looked(self, probation: Probation, nth: int, now: datetime) -> ProbationLook:
        """Return what is to be seen of a probation by now."""
        served, former = probation.served_version, probation.former_version
        found = await self._store.count(probation.began_at, now, self._rules.window_days)
        nothing = PairOutcomes("probation", served, former, 0, 0, 0.0, 0.0, 0, 0, ())
        asked = ("probation", served, former)
        pair = next((one for one in found if (one.purpose, one.served_version, one.other_version) == asked), nothing)
        judged = await asyncio.to_thread(self._judge, pair)
        return ProbationLook(
            promotion_id=probation.promotion_id,
            nth=nth,
            looked_at=now,
            served_version=served,
            former_version=former,
            verdict=judged.verdict,
            n_people=judged.n_people,
            difference=judged.difference,
            low=judged.low,
            high=judged.high,
            confidence=judged.confidence,
            summary=judged.in_words(served, former),
        )

    async def _go_back(self, alarm: ProbationLook) -> None:
        """Let the former version serve again; what cannot be done now is tried again at the next look."""
        served, former = alarm.served_version, alarm.former_version
        try:
            await self._roll_back(alarm.promotion_id, f"probation: {alarm.summary}")
        except Conflict as error:
            log.warning("probation_rollback_not_made version=%s cause=%s", served, error)
        except CineclubError as error:
            log.error("probation_rollback_failed version=%s cause=%s", served, error)  # noqa: TRY400 - the cause says it all
        else:
            log.error("probation_rolled_back version=%s to=%s %s", served, former, alarm.summary)


def looks_at(probation: Probation, looks: Sequence[ProbationLook]) -> tuple[ProbationLook, ...]:
    """Return those of the looks that were made at this probation."""
    return tuple(one for one in looks if one.promotion_id == probation.promotion_id)

"""What became of each event, and which alarms nothing explains, from what the service itself has recorded."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cineclub.api.schemas import PromotionOut
from cineclub.domain.replay.report import EventOutcome
from cineclub.domain.rollback import ROLLBACK
from cineclub.replay.director import Injected, Played
from cineclub.replay.nights import Night
from cineclub.replay.plan import COOLDOWN_DAYS

ON_DATA = {"taste_reversal", "bad_ratings"}
"""What spoils ratings: windows of drift hold them for some days afterwards."""

BY_PROBATION = "probation:"
STOPPED = ("REJECT", "HOLD")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the service recorded of a month, and how long its simulated days and drift windows are."""

    played: Played
    day_seconds: float
    drift_window_days: float

    def outcomes(self) -> tuple[EventOutcome, ...]:
        """Return what became of each event."""
        return tuple(self._outcome(one) for one in self.played.injected)

    def false_alarms(self) -> tuple[str, ...]:
        """Return the alarms that no event explains: drift where nothing was spoilt, rollbacks of what nobody spoilt.

        A drift alarm that goes on, or comes back within the cool-down of a day, is one alarm: nobody is told twice.
        """
        crippled = {one.detail for one in self.played.injected if one.event.kind == "crippled_version"}
        rollbacks = [one for one in self._rollbacks() if f"version {one.previous_version}" not in crippled]
        rejected_seen_at = [] if crippled else self.played.rejected_seen_at
        return (
            *self._unexplained_drift(),
            *(f"day {self.day_of(one.promoted_at.timestamp()):.1f}: {one.reason}" for one in rollbacks),
            *(f"day {self.day_of(at):.1f}: the gate had rejected what serves" for at in rejected_seen_at),
        )

    def _unexplained_drift(self) -> list[str]:
        """Return the alarms of drift that began while no window held anything spoilt."""
        spoilt = [(one.began_at, self._felt_until(one)) for one in self.played.injected]
        found, last_at = [], float("-inf")
        for at, summary in [(at, summary) for at, verdict, summary in self._checks() if verdict == "ALERT"]:
            is_news = at - last_at > COOLDOWN_DAYS * self.day_seconds
            if is_news and not any(start <= at <= end for start, end in spoilt):
                found.append(f"day {self.day_of(at):.1f}: drift: {summary}")
            last_at = at
        return found

    def _felt_until(self, injected: Injected) -> float:
        """Return until when windows of drift hold ratings that were spoilt, or answers of a broken version."""
        match injected.event.kind:
            case kind if kind in ON_DATA:
                ended_at = injected.ended_at
            case "crippled_version":
                ended_at = self._of_crippled(injected)[2] or self._traffic_ended_at
            case _:
                return injected.began_at
        return ended_at + (self.drift_window_days + 1) * self.day_seconds

    def n_checks(self) -> int:
        """Return how many checks of drift there were while days were played."""
        return len(self._checks())

    def n_failed_outside_events(self) -> int:
        """Return how many requests failed while nothing was wrong with the database on purpose."""
        away = [
            (one.began_at - 1, one.began_at + self.day_seconds)
            for one in self.played.injected
            if one.event.kind == "database_restart"
        ]
        return sum(
            one.n_failed
            for one in self.played.encounters
            if not any(start <= one.asked_at <= end for start, end in away)
        )

    def promotions(self) -> list[PromotionOut]:
        """Return what was promoted, the oldest first."""
        return self.played.promotions[::-1]

    def _outcome(self, injected: Injected) -> EventOutcome:
        """Return what became of one event."""
        match injected.event.kind:
            case "database_restart":
                verdict, detected_at, recovered_at = self._of_database(injected)
            case "broken_recipe":
                verdict, detected_at, recovered_at = _of_broken_recipe(self._night_of(injected))
            case "killed_worker":
                verdict, detected_at, recovered_at = _of_killed_worker(self._night_of(injected))
            case "crippled_version":
                verdict, detected_at, recovered_at = self._of_crippled(injected)
            case _:
                verdict, detected_at, recovered_at = self._of_spoilt_ratings(injected)
        event = injected.event
        begun = self._killed_at(injected) or injected.began_at
        return EventOutcome(
            kind=event.kind,
            title=event.title,
            detail=injected.detail,
            at_days=self.day_of(begun),
            verdict=verdict,
            detected_after_days=self._after(begun, detected_at),
            recovered_after_days=self._after(begun, recovered_at),
            is_cut_short=event.kind in ON_DATA and self._felt_until(injected) > self._traffic_ended_at,
        )

    def _of_database(self, injected: Injected) -> tuple[str, float | None, float | None]:
        """Return when visitors first met an answer without the database, and when one was whole again."""
        later = [one for one in self.played.encounters if one.asked_at >= injected.began_at - 1]
        met = [one.asked_at for one in later if one.is_degraded or one.n_failed]
        if not met:
            return "nobody noticed", injected.began_at, injected.began_at
        whole = [one.asked_at for one in later if one.asked_at > met[-1] and not one.is_degraded and not one.n_failed]
        n_degraded, n_failed = sum(one.is_degraded for one in later), sum(one.n_failed for one in later)
        verdict = f"{n_degraded} answers from memory, {n_failed} requests to be sent again"
        return verdict, max(met[0], injected.began_at), whole[0] if whole else None

    def _of_crippled(self, injected: Injected) -> tuple[str, float | None, float | None]:
        """Return when the first alarm was raised, or probation acted, and when the former version served again."""
        back = next((one for one in self._rollbacks() if one.promoted_at.timestamp() > injected.began_at), None)
        at = back.promoted_at.timestamp() if back else None
        alarms = self._model_alarms(injected.began_at, at or self._traffic_ended_at)
        told = [f"{name}, after {self._after(injected.began_at, when):.2f} days" for name, when in alarms]
        told.append(f"ROLLBACK to version {back.version}, {back.reason}" if back else "not rolled back")
        noticed = [when for _, when in alarms] + ([at] if at else [])
        return "; ".join(told), min(noticed, default=None), at

    def _model_alarms(self, begins_at: float, ends_at: float) -> list[tuple[str, float]]:
        """Return what raised an alarm about the model in some time, and when it first did, in order of time."""
        alarms = {
            "alarm: the gate had rejected it": self.played.rejected_seen_at,
            "alarm: drift of answers": [
                when for when, verdict, summary in self._checks() if verdict == "ALERT" and "of answers" in summary
            ],
        }
        seen = {name: [when for when in times if begins_at < when <= ends_at] for name, times in alarms.items()}
        return sorted(((name, min(times)) for name, times in seen.items() if times), key=lambda alarm: alarm[1])

    def _of_spoilt_ratings(self, injected: Injected) -> tuple[str, float | None, float | None]:
        """Return the first alarm after the ratings began to be spoilt, and the first check after it that is calm.

        What was alarming already just before is no news of it.
        """
        before = [one for one in self._checks() if one[0] < injected.began_at][-1:]
        known = {name for _, _, summary in before for name in statistics_in(summary)}
        checks = [one for one in self._checks() if one[0] >= injected.began_at]
        alarm = next((one for one in checks if one[1] == "ALERT" and set(statistics_in(one[2])) - known), None)
        latest = injected.ended_at + (self.drift_window_days + 1) * self.day_seconds
        if alarm is None or alarm[0] > latest:
            return "not noticed", None, None
        calm = next((at for at, verdict, _ in checks if at > alarm[0] and verdict == "OK"), None)
        return f"ALERT: {alarm[2]}", alarm[0], calm

    def _night_of(self, injected: Injected) -> Night:
        """Return the night that an event happened in."""
        return min(self.played.nights, key=lambda night: abs(night.begun_at - injected.began_at))

    def _killed_at(self, injected: Injected) -> float | None:
        """Return when the worker was killed, where it was."""
        return self._night_of(injected).killed_at if injected.event.kind == "killed_worker" else None

    def _checks(self) -> list[tuple[float, str, str]]:
        """Return the checks of drift while days were played, the oldest first: when, verdict, summary."""
        return [
            (_seconds(one.checked_at), one.verdict, one.summary)
            for one in reversed(self.played.drift_checks)
            if one.is_usual and self.played.day_began_at[0] <= _seconds(one.checked_at) <= self._traffic_ended_at
        ]

    @property
    def _traffic_ended_at(self) -> float:
        """When the last day was over: after it, while the last training ends, nobody rates, which is no drift."""
        asked = [one.asked_at for one in self.played.encounters]
        return max(self.played.day_began_at[-1] + self.day_seconds, max(asked, default=0.0))

    def _rollbacks(self) -> list[PromotionOut]:
        """Return what probation rolled back, the oldest first."""
        return [
            one for one in self.promotions() if one.verdict == ROLLBACK and one.reason.startswith(BY_PROBATION)
        ]  # fmt: skip

    def day_of(self, at: float) -> float:
        """Return after how many simulated days a moment was."""
        began = self.played.day_began_at
        nth = max((nth for nth, start in enumerate(began) if start <= at), default=0)
        ends_at = began[nth + 1] if nth + 1 < len(began) else began[nth] + self.day_seconds
        return nth + (at - began[nth]) / max(ends_at - began[nth], self.day_seconds)

    def _after(self, begun: float, at: float | None) -> float | None:
        """Return how many simulated days passed."""
        return None if at is None else max(0.0, self.day_of(at) - self.day_of(begun))


def _of_broken_recipe(night: Night) -> tuple[str, float | None, float | None]:
    """Return the gate's verdict; production stays, or its own recipe is refitted, so that to notice is to recover."""
    is_stopped = night.challenger_verdict in STOPPED
    at = night.ended_at if is_stopped else None
    return f"{night.challenger_verdict or night.status}: {night.challenger_reason or night.reason}", at, at


def _of_killed_worker(night: Night) -> tuple[str, float | None, float | None]:
    """Return when another worker took the training over, and when it was done."""
    verdict = f"attempt {night.attempt} {night.status}, {night.verdict or 'no verdict'}"
    return verdict, night.again_at, night.ended_at if night.status == "succeeded" else None


def _seconds(at: datetime) -> float:
    """Return a moment as ``time.time`` has it."""
    return at.timestamp()


def statistics_in(summary: str) -> list[str]:
    """Return which statistics the summary of a check names.

    >>> statistics_in("beyond what is normal: mean rating (-15 %), taste by genre; most of it: genre Drama")
    ['mean rating', 'taste by genre']
    """
    found = re.match(r"beyond what is normal: ([^;]*)", summary)
    return re.sub(r" \([^)]*\)", "", found[1]).split(", ") if found else []


def first_days(registered_at: Iterable[tuple[int, datetime]], day_began_at: list[float]) -> dict[int, int]:
    """Return the first day that began after each version was registered."""
    return {
        version: 1 + sum(start < at.timestamp() for start in day_began_at) for version, at in registered_at
    }  # fmt: skip

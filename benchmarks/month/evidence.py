"""Outcomes of the injected events, and false alarms, derived from what the service itself recorded."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from benchmarks.month.drift_checks import RecordedCheck
from benchmarks.month.nights import Night
from benchmarks.month.plan import COOLDOWN_DAYS
from benchmarks.month.report import EventOutcome
from benchmarks.month.simulation import InjectedEvent, Recording
from cineclub.api.model_schemas import PromotionOut
from cineclub.domain.promotion.cooldown import PROBATION
from cineclub.domain.promotion.rollback import ROLLBACK

RATING_EVENTS = {"taste_reversal", "bad_ratings"}
"""Events that change ratings: drift windows hold the changed ratings for some days afterwards."""

STOPPED_BY_GATE = ("REJECT", "HOLD")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an event in words, with the times (``time.time``) of detection and recovery."""

    verdict: str
    detected_at: float | None
    recovered_at: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The observations and recorded rows of a month.

    Attributes:
        recording: what was observed over HTTP.
        drift_checks: the checks that PostgreSQL recorded, the oldest first.
        day_seconds: duration of a simulated day.
        drift_window_days: simulated days in a drift window.
    """

    recording: Recording
    drift_checks: list[RecordedCheck]
    day_seconds: float
    drift_window_days: float

    def outcomes(self) -> tuple[EventOutcome, ...]:
        """Return the outcome of each event."""
        return tuple(self._event_outcome(injected) for injected in self.recording.injected)

    def false_alarms(self) -> tuple[str, ...]:
        """Return the alarms that no event explains: drift of unchanged ratings, rollbacks of sound versions.

        A drift alarm that goes on, or that comes back within the cool-down of a day, counts once, as the service
        sends one message for it.
        """
        broken = {injected.version for injected in self.recording.injected if injected.version is not None}
        rollbacks = [row for row in self._probation_rollbacks() if row.previous_version not in broken]
        rejected_seen_at = [] if broken else self.recording.rejected_seen_at
        return (
            *self._unexplained_drift(),
            *(f"day {self.day_of(row.promoted_at.timestamp()):.1f}: {row.reason}" for row in rollbacks),
            *(f"day {self.day_of(at):.1f}: the gate had rejected what serves" for at in rejected_seen_at),
        )

    def _unexplained_drift(self) -> list[str]:
        """Return the drift alarms that began while no window held changed ratings or lists of a broken version."""
        explained = [(injected.began_at, self._visible_until(injected)) for injected in self.recording.injected]
        alarms, last_at = [], float("-inf")
        for check in self._alerts():
            is_new = check.checked_at - last_at > COOLDOWN_DAYS * self.day_seconds
            if is_new and not any(start <= check.checked_at <= end for start, end in explained):
                alarms.append(f"day {self.day_of(check.checked_at):.1f}: drift: {check.summary}")
            last_at = check.checked_at
        return alarms

    def _visible_until(self, injected: InjectedEvent) -> float:
        """Return the time until which drift windows hold changed ratings or lists of a broken version."""
        match injected.event.kind:
            case kind if kind in RATING_EVENTS:
                ended_at = injected.ended_at
            case "crippled_version":
                ended_at = self._crippled_version_outcome(injected).recovered_at or self._traffic_ended_at
            case _:
                return injected.began_at
        return ended_at + (self.drift_window_days + 1) * self.day_seconds

    def n_checks(self) -> int:
        """Return the number of drift checks while days were played."""
        return len(self._checks())

    def n_failed_outside_events(self) -> int:
        """Return the number of failed requests while the database was not stopped on purpose."""
        outages = [
            (injected.began_at - 1, injected.began_at + self.day_seconds)
            for injected in self.recording.injected
            if injected.event.kind == "database_restart"
        ]
        return sum(
            visit.n_failed
            for visit in self.recording.visits
            if not any(start <= visit.requested_at <= end for start, end in outages)
        )

    def promotions(self) -> list[PromotionOut]:
        """Return the promotions, the oldest first."""
        return self.recording.promotions[::-1]

    def _event_outcome(self, injected: InjectedEvent) -> EventOutcome:
        """Return the outcome of one event in simulated days."""
        event, outcome = injected.event, self._outcome_of(injected)
        began_at = self._killed_at(injected) or injected.began_at
        return EventOutcome(
            kind=event.kind,
            title=event.title,
            detail=injected.detail,
            at_days=self.day_of(began_at),
            verdict=outcome.verdict,
            detected_after_days=self._days_between(began_at, outcome.detected_at),
            recovered_after_days=self._days_between(began_at, outcome.recovered_at),
            is_cut_short=event.kind in RATING_EVENTS and self._visible_until(injected) > self._traffic_ended_at,
        )

    def _outcome_of(self, injected: InjectedEvent) -> Outcome:
        """Return the outcome of one event."""
        match injected.event.kind:
            case "database_restart":
                return self._database_outcome(injected)
            case "broken_recipe":
                return _broken_recipe_outcome(self._night_of(injected))
            case "killed_worker":
                return _killed_worker_outcome(self._night_of(injected))
            case "crippled_version":
                return self._crippled_version_outcome(injected)
            case _:
                return self._changed_ratings_outcome(injected)

    def _database_outcome(self, injected: InjectedEvent) -> Outcome:
        """Return the first response without the database as detection, the first complete one after as recovery."""
        later = [visit for visit in self.recording.visits if visit.requested_at >= injected.began_at - 1]
        affected = [visit.requested_at for visit in later if visit.is_degraded or visit.n_failed]
        if not affected:
            return Outcome("nobody noticed", injected.began_at, injected.began_at)
        complete = [
            visit.requested_at
            for visit in later
            if visit.requested_at > affected[-1] and not visit.is_degraded and not visit.n_failed
        ]
        n_degraded, n_failed = sum(visit.is_degraded for visit in later), sum(visit.n_failed for visit in later)
        verdict = f"{n_degraded} answers from memory, {n_failed} requests to be sent again"
        return Outcome(verdict, max(affected[0], injected.began_at), complete[0] if complete else None)

    def _crippled_version_outcome(self, injected: InjectedEvent) -> Outcome:
        """Return the first alarm or the rollback as detection, the rollback by probation as recovery."""
        rollback = next(
            (row for row in self._probation_rollbacks() if row.promoted_at.timestamp() > injected.began_at), None
        )
        rolled_back_at = rollback.promoted_at.timestamp() if rollback else None
        alarms = self._model_alarms(injected.began_at, rolled_back_at or self._traffic_ended_at)
        texts = [f"{name}, after {self._days_between(injected.began_at, at):.2f} days" for name, at in alarms]
        texts.append(f"ROLLBACK to version {rollback.version}, {rollback.reason}" if rollback else "not rolled back")
        detections = [at for _, at in alarms] + ([rolled_back_at] if rolled_back_at else [])
        return Outcome("; ".join(texts), min(detections, default=None), rolled_back_at)

    def _model_alarms(self, begins_at: float, ends_at: float) -> list[tuple[str, float]]:
        """Return the alarms about the served version in a period, each with its first time, in order of time."""
        alarms = {
            "alarm: the gate had rejected it": self.recording.rejected_seen_at,
            "alarm: drift of answers": [check.checked_at for check in self._alerts() if check.is_of_answers],
        }
        raised = {name: [at for at in times if begins_at < at <= ends_at] for name, times in alarms.items()}
        return sorted(((name, min(times)) for name, times in raised.items() if times), key=lambda alarm: alarm[1])

    def _changed_ratings_outcome(self, injected: InjectedEvent) -> Outcome:
        """Return the first drift alert of the event as detection, and the first later check that is OK as recovery.

        A statistic that was already beyond its threshold in the last check before the event does not count.
        """
        before = [check for check in self._checks() if check.checked_at < injected.began_at][-1:]
        known = {name for check in before for name in check.alerting}
        checks = [check for check in self._checks() if check.checked_at >= injected.began_at]
        alarm = next((check for check in checks if check.verdict == "ALERT" and set(check.alerting) - known), None)
        latest = injected.ended_at + (self.drift_window_days + 1) * self.day_seconds
        if alarm is None or alarm.checked_at > latest:
            return Outcome("not noticed", None, None)
        recovered_at = next(
            (check.checked_at for check in checks if check.checked_at > alarm.checked_at and check.verdict == "OK"),
            None,
        )
        return Outcome(f"ALERT: {alarm.summary}", alarm.checked_at, recovered_at)

    def _night_of(self, injected: InjectedEvent) -> Night:
        """Return the night of an event."""
        return min(self.recording.nights, key=lambda night: abs(night.began_at - injected.began_at))

    def _killed_at(self, injected: InjectedEvent) -> float | None:
        """Return the time at which the event killed the worker, None for other events."""
        return self._night_of(injected).killed_at if injected.event.kind == "killed_worker" else None

    def _checks(self) -> list[RecordedCheck]:
        """Return the drift checks while days were played, the oldest first."""
        began_at, ended_at = self.recording.day_began_at[0], self._traffic_ended_at
        return [check for check in self.drift_checks if began_at <= check.checked_at <= ended_at]

    def _alerts(self) -> list[RecordedCheck]:
        """Return the drift alerts while days were played, the oldest first."""
        return [check for check in self._checks() if check.verdict == "ALERT"]

    @property
    def _traffic_ended_at(self) -> float:
        """The end of the last day; no ratings come while the last training ends, which is no drift."""
        requested_at = [visit.requested_at for visit in self.recording.visits]
        return max(self.recording.day_began_at[-1] + self.day_seconds, max(requested_at, default=0.0))

    def _probation_rollbacks(self) -> list[PromotionOut]:
        """Return the rollbacks by probation, the oldest first."""
        return [row for row in self.promotions() if row.verdict == ROLLBACK and row.promoted_by == PROBATION]

    def day_of(self, at: float) -> float:
        """Return the number of simulated days between the start of the month and a time."""
        began_at = self.recording.day_began_at
        nth = max((nth for nth, start in enumerate(began_at) if start <= at), default=0)
        ends_at = began_at[nth + 1] if nth + 1 < len(began_at) else began_at[nth] + self.day_seconds
        return nth + (at - began_at[nth]) / max(ends_at - began_at[nth], self.day_seconds)

    def _days_between(self, start: float, end: float | None) -> float | None:
        """Return the number of simulated days between two times, None without an end."""
        return None if end is None else max(0.0, self.day_of(end) - self.day_of(start))


def _broken_recipe_outcome(night: Night) -> Outcome:
    """Return the gate's verdict as detection and recovery: a challenger that is stopped changes nothing served.

    The seconds of the training are in the verdict and not in the days: they are no part of a real day to speak of, and
    several simulated ones.
    """
    is_stopped = night.challenger_verdict in STOPPED_BY_GATE
    at = night.began_at if is_stopped else None
    seconds = f" after {night.ended_at - night.began_at:.0f} s of training" if night.ended_at is not None else ""
    reason = night.challenger_reason or night.reason
    return Outcome(f"{night.challenger_verdict or night.status}{seconds}: {reason}", at, at)


def _killed_worker_outcome(night: Night) -> Outcome:
    """Return the start of another attempt as detection, and the end of the training as recovery."""
    verdict = f"attempt {night.attempt} {night.status}, {night.verdict or 'no verdict'}"
    return Outcome(verdict, night.resumed_at, night.ended_at if night.status == "succeeded" else None)


def first_days(registered_at: Iterable[tuple[int, datetime]], day_began_at: list[float]) -> dict[int, int]:
    """Return the first day that began after each version was registered."""
    return {version: 1 + sum(start < at.timestamp() for start in day_began_at) for version, at in registered_at}

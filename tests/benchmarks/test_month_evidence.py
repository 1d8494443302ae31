"""Outcomes of events and false alarms come from recorded values, whatever the wording of summaries and reasons."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
import pytest

from benchmarks.month.drift_checks import RecordedCheck, usual_checks
from benchmarks.month.events import Event, EventKind
from benchmarks.month.evidence import Evidence
from benchmarks.month.nights import Night
from benchmarks.month.plan import BROKEN_MODELS
from benchmarks.month.simulation import InjectedEvent, Recording
from cineclub.api.model_schemas import PromotionOut

DAY_SECONDS = 10.0


def check(at: float, alerting: Sequence[str] = (), *, is_of_answers: bool = False) -> RecordedCheck:
    """Return a check with an alert of these statistics, or one that is OK."""
    return RecordedCheck(at, "ALERT" if alerting else "OK", "in any words", list(alerting), is_of_answers)


def injected(kind: EventKind, *, version: int | None = None) -> InjectedEvent:
    """Return an event on the second of five days, from 10 to 20 seconds."""
    return InjectedEvent(Event(kind, 2, 0.0), 10.0, 20.0, version=version)


def promotion(version: int, previous_version: int, at: float, promoted_by: str, verdict: str) -> PromotionOut:
    """Return a recorded promotion."""
    return PromotionOut(
        promotion_id=version,
        version=version,
        previous_version=previous_version,
        name="ease",
        hyperparameters={},
        promoted_at=datetime.fromtimestamp(at, tz=UTC),
        verdict=verdict,
        reason="in any words",
        promoted_by=promoted_by,
        training_id=None,
        manifest_sha256="0" * 64,
    )


def evidence(
    checks: Sequence[RecordedCheck],
    events: Sequence[InjectedEvent] = (),
    promotions: Sequence[PromotionOut] = (),
    rejected_seen_at: Sequence[float] = (),
) -> Evidence:
    """Return the evidence of five days of ten seconds, with drift windows of one day."""
    recording = Recording(
        0.0,
        day_began_at=[0.0, 10.0, 20.0, 30.0, 40.0],
        injected=list(events),
        promotions=list(promotions),
        rejected_seen_at=list(rejected_seen_at),
    )
    return Evidence(recording, list(checks), DAY_SECONDS, drift_window_days=1.0)


def test_the_alerting_statistics_of_a_check_are_read_from_its_document(database_url: str) -> None:
    """Of checks with the usual settings alone, in order, each statistic once."""
    statistics = [
        {"name": "mean_rating", "of": "ratings", "verdict": "ALERT"},
        {"name": "genre_mix", "of": "ratings", "verdict": "OK"},
    ]
    of_answers = [{"name": "answers_coverage", "of": "answers", "verdict": "ALERT"}]
    rows = [
        (True, "ALERT", [{"statistics": statistics}, {"statistics": statistics}]),
        (False, "ALERT", [{"statistics": statistics}]),
        (True, "ALERT", [{"statistics": statistics + of_answers}]),
        (True, "OK", [{"statistics": statistics[1:]}]),
        (True, "NOT_ENOUGH_DATA", []),
    ]
    with psycopg.connect(database_url) as connection:
        for nth, (is_usual, verdict, comparisons) in enumerate(rows):
            connection.execute(
                "INSERT INTO cineclub.drift_checks"
                " (checked_at, asked_by, is_usual, verdict, summary, distances, document)"
                " VALUES (to_timestamp(%s), 'watch', %s, %s, 'in any words', '{}', %s)",
                (nth + 0.25, is_usual, verdict, json.dumps({"comparisons": comparisons})),
            )
    assert usual_checks(database_url) == [
        RecordedCheck(0.25, "ALERT", "in any words", ["mean_rating"], is_of_answers=False),
        RecordedCheck(2.25, "ALERT", "in any words", ["answers_coverage", "mean_rating"], is_of_answers=True),
        RecordedCheck(3.25, "OK", "in any words", [], is_of_answers=False),
        RecordedCheck(4.25, "NOT_ENOUGH_DATA", "in any words", [], is_of_answers=False),
    ]


def test_changed_ratings_are_detected_by_a_statistic_that_was_normal_before() -> None:
    """A statistic beyond its threshold before the event is no detection; the first OK afterwards is the recovery."""
    checks = [
        check(8.0, ["active_users"]),
        check(12.0, ["active_users"]),
        check(15.0, ["active_users", "mean_rating"]),
        check(18.0, ["mean_rating"]),
        check(25.0),
    ]
    [outcome] = evidence(checks, [injected("bad_ratings")]).outcomes()
    assert outcome.verdict == "ALERT: in any words"
    assert outcome.detected_after_days == pytest.approx(0.5)
    assert outcome.recovered_after_days == pytest.approx(1.5)
    assert not outcome.is_cut_short


@pytest.mark.parametrize(("verdict", "expected"), [("REJECT", 0.0), ("HOLD", 0.0), ("PROMOTE", None)])
def test_a_broken_recipe_is_noticed_by_the_gate(verdict: str, expected: float | None) -> None:
    """The seconds of its training are told and count for no days; a promoted one is not noticed."""
    night = Night(2, BROKEN_MODELS, 10.0, ended_at=57.0, challenger_verdict=verdict, challenger_reason="why")
    of_month = evidence([], [injected("broken_recipe")])
    of_month.recording.nights = [night]
    [outcome] = of_month.outcomes()
    assert outcome.verdict == f"{verdict} after 47 s of training: why"
    assert (outcome.detected_after_days, outcome.recovered_after_days) == (expected, expected)


def test_an_alert_after_the_last_window_with_changed_ratings_is_no_detection() -> None:
    """The windows are free of them a day and a window after the event."""
    [outcome] = evidence([check(41.0, ["mean_rating"])], [injected("bad_ratings")]).outcomes()
    assert (outcome.verdict, outcome.detected_after_days) == ("not noticed", None)


def test_a_broken_version_is_detected_by_drift_of_answers_and_recovered_by_the_rollback_of_probation() -> None:
    """Drift of ratings is no alarm about the version, nor is a rollback by a person a recovery."""
    rollback = promotion(1, 2, 22.0, "probation", "ROLLBACK")
    by_person = promotion(1, 2, 15.0, "person", "ROLLBACK")
    checks = [check(12.0, ["mean_rating"]), check(14.0, ["answers_coverage"], is_of_answers=True)]
    [outcome] = evidence(checks, [injected("crippled_version", version=2)], [rollback, by_person]).outcomes()
    assert outcome.detail == "version 2"
    assert outcome.verdict == (
        "alarm: drift of answers, after 0.40 days; ROLLBACK to version 1, in any words"
    )  # fmt: skip
    assert outcome.detected_after_days == pytest.approx(0.4)
    assert outcome.recovered_after_days == pytest.approx(1.2)


def test_false_alarms_are_those_that_no_event_explains() -> None:
    """Drift while changed ratings are visible is explained, so is the rollback of the broken version."""
    rollbacks = [promotion(3, 4, 44.0, "probation", "ROLLBACK"), promotion(1, 2, 22.0, "probation", "ROLLBACK")]
    checks = [check(5.0, ["active_users"]), check(7.0, ["active_users"]), check(15.0, ["mean_rating"])]
    events = [injected("bad_ratings"), injected("crippled_version", version=2)]
    assert evidence(checks, events, rollbacks, [12.0]).false_alarms() == (
        "day 0.5: drift: in any words",
        "day 4.4: in any words",
    )
    assert evidence([], [], [], [12.0]).false_alarms() == ("day 1.2: the gate had rejected what serves",)

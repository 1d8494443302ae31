"""What a month has shown is told without a word too much, and a broken promise is seen."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cineclub.domain.errors import InvalidInput
from cineclub.domain.replay.report import EventOutcome, Line, MonthReport, NightOutcome, PromotionInHindsight, Traffic
from cineclub.domain.significance import Interval
from cineclub.replay.page import page_of, picture_of
from cineclub.replay.plan import MODELS, WEEKLY_MODELS, MonthPlan

AHEAD = Interval(0.04, 0.03, 0.05, 175)
LINE = Line("served", 0.09, 0.05, (0.1, None, 0.08), (0.05, None, 0.05))
TRAFFIC = Traffic(100, 0, 0, 0, 4.0, 16.0, 7.0, 30.0, 0, 0)
CALM = MonthReport(
    data="<ratings>",
    scenario="calm",
    n_days=3,
    day_seconds=13.0,
    seconds=60.0,
    n_past=700,
    n_played=50,
    n_left_out=250,
    n_people=9,
    lines=(LINE, replace(LINE, name="popular"), replace(LINE, name="first model, frozen")),
    ahead_of_popular=AHEAD,
    ahead_of_frozen=replace(AHEAD, mean=-0.005, low=-0.02, high=0.01),
    versions_by_day=(1, None, 2),
    traffic=TRAFFIC,
    events=(),
    nights=(NightOutcome(1, ("ease",), 5.0, "succeeded", "HOLD", 2, "inconclusive & more"),),
    promotions=(PromotionInHindsight(2, 1, 1.5, "PROMOTE", 20, AHEAD),),
    drift_checks=6,
    false_alarms=(),
)
EVENT = EventOutcome("bad_ratings", "all ratings of a day arrive halved", "", 1.0, "ALERT", 0.5, 2.5)


def broken(month: MonthReport) -> list[str]:
    """What did not hold."""
    return [one.text for one in month.promises if not one.is_kept]


def test_a_calm_month_keeps_its_promises() -> None:
    """The sound one keeps all, and the document has them too."""
    assert not broken(CALM)
    assert len(CALM.to_document()["promises"]) == 6


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"traffic": replace(TRAFFIC, n_failed_outside_events=1)}, "no failed request"),
        ({"traffic": replace(TRAFFIC, n_ratings_lost=1)}, "no rating lost"),
        ({"ahead_of_popular": replace(AHEAD, low=0.0)}, "hit rate@10 ahead of popular, interval above 0"),
        ({"ahead_of_frozen": replace(AHEAD, mean=-0.011)}, "at most 0.01 behind the frozen first model"),
        ({"false_alarms": ("one", "two")}, "at most 1 false alarm"),
        (
            {"promotions": (PromotionInHindsight(2, 1, 1.5, "PROMOTE", 20, Interval(-0.1, -0.2, -0.05, 9)),)},
            "nothing promoted that hindsight calls worse",
        ),
        ({"events": (replace(EVENT, detected_after_days=1.2),)}, EVENT.title),
        ({"events": (replace(EVENT, recovered_after_days=None),)}, EVENT.title),
    ],
)
def test_each_promise_can_break(changed: dict[str, object], text: str) -> None:
    """Each figure beyond its limit breaks its promise alone."""
    assert broken(replace(CALM, **changed)) == [text]


def test_what_the_end_of_the_month_cut_short_need_not_be_over() -> None:
    """It must have been noticed all the same, and page and document say why nothing is known of its end."""
    unfinished = replace(EVENT, recovered_after_days=None, is_cut_short=True)
    assert not broken(replace(CALM, events=(unfinished,)))
    assert "the month ended first" in page_of(replace(CALM, events=(unfinished,)))
    unseen = replace(unfinished, detected_after_days=None)
    assert broken(replace(CALM, events=(unseen,))) == [EVENT.title]


@pytest.mark.parametrize("month", [CALM, replace(CALM, events=(EVENT,))])
def test_the_page_needs_nothing_else_and_escapes_what_it_shows(month: MonthReport) -> None:
    """No script, no address but SVG's name, no mark-up from names; the picture is well-formed on its own."""
    page = page_of(month)
    assert "<script" not in page
    assert "<ratings>" not in page
    assert "src=" not in page
    picture = ET.fromstring(picture_of(month))  # noqa: S314 - our own
    assert picture.tag.endswith("svg")
    assert "prefers-color-scheme:dark" in picture_of(month)


def test_a_plan_that_cannot_be_is_refused_and_its_settings_are_simulated_days(tmp_path: Path) -> None:
    """What is said in days is so in simulated ones, and every seventh night tries another kind of model."""
    for wrong in ({"n_days": 0}, {"day_seconds": 0.1}, {"scenario": "quake"}):
        with pytest.raises(InvalidInput):
            MonthPlan(None, **wrong)  # type: ignore[arg-type]
    plan = MonthPlan(None, day_seconds=8.64)
    settings = plan.settings(tmp_path, 3)
    assert settings.drift_window_days == pytest.approx(0.0003)
    assert settings.probation == "rollback"
    assert settings.home == tmp_path
    assert [plan.models_of(night) for night in (0, 1, 7)] == [MODELS, MODELS, WEEKLY_MODELS]

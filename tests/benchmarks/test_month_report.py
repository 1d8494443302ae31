"""The report of a month: each promise can break, and page and plots are self-contained."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from benchmarks.month.agreement import Agreement, Measured, VersionFigures, agreement_of
from benchmarks.month.page import page_of
from benchmarks.month.plan import MODELS, MonthPlan
from benchmarks.month.plots import plot_of
from benchmarks.month.report import Ahead, EventOutcome, Line, MonthReport, NightOutcome, PromotionInHindsight, Traffic
from cineclub.domain.errors import InvalidInput
from cineclub.domain.evaluation.significance import Interval

AHEAD = Interval(0.04, 0.03, 0.05, 175)
LINE = Line("served", "served", 0.09, 0.05, (0.1, None, 0.08), (0.05, None, 0.05))
VERSIONS = tuple(
    VersionFigures(nth, "ease", Measured(0, 0.1 * nth, None), Measured(60, 0.2 * nth, 0.1), Measured(9, None, None))
    for nth in range(1, 4)
)
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
    lines=(
        LINE,
        replace(LINE, name="popular, all time", curve="popular"),
        replace(LINE, name="popular, 1 day", curve=""),
        replace(LINE, name="popular, 7 days", curve="trend"),
        replace(LINE, name="first model, frozen", curve="frozen"),
    ),
    ahead_of_popular=AHEAD,
    ahead_of_trends=(Ahead("popular, 1 day", replace(AHEAD, low=-0.01)), Ahead("popular, 7 days", AHEAD)),
    ahead_of_frozen=replace(AHEAD, mean=-0.005, low=-0.02, high=0.01),
    versions_by_day=(1, None, 2),
    traffic=TRAFFIC,
    events=(),
    nights=(NightOutcome(1, ("ease",), 5.0, "succeeded", "HOLD", 2, "inconclusive & more"),),
    promotions=(PromotionInHindsight(2, 1, 1.5, "PROMOTE", 20, AHEAD),),
    versions=VERSIONS,
    agreement=agreement_of(VERSIONS),
    drift_checks=6,
    false_alarms=(),
)
EVENT = EventOutcome("bad_ratings", "all ratings of a day arrive halved", "", 1.0, "ALERT", 0.5, 2.5)


def broken(month: MonthReport) -> list[str]:
    """Return the promises that were broken."""
    return [promise.text for promise in month.promises if not promise.is_kept]


def test_a_calm_month_keeps_its_promises() -> None:
    """A month without faults keeps all promises, and its document lists them."""
    assert not broken(CALM)
    assert len(CALM.to_document()["promises"]) == 7


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"traffic": replace(TRAFFIC, n_failed_outside_events=1)}, "no failed request"),
        ({"traffic": replace(TRAFFIC, n_ratings_lost=1)}, "no rating lost"),
        ({"ahead_of_popular": replace(AHEAD, low=0.0)}, "hit rate@10 ahead of popular, interval above 0"),
        (
            {"ahead_of_trends": (Ahead("popular, 7 days", replace(AHEAD, low=0.0)),)},
            "hit rate@10 ahead of popular, 7 days, interval above 0",
        ),
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
    """Each value beyond its limit breaks its own promise and no other."""
    assert broken(replace(CALM, **changed)) == [text]


def test_an_event_cut_short_by_the_end_of_the_month_need_not_recover() -> None:
    """It must have been detected all the same, and the page gives the reason for the missing recovery."""
    unfinished = replace(EVENT, recovered_after_days=None, is_cut_short=True)
    assert not broken(replace(CALM, events=(unfinished,)))
    assert "the month ended first" in page_of(replace(CALM, events=(unfinished,)))
    unseen = replace(unfinished, detected_after_days=None)
    assert broken(replace(CALM, events=(unseen,))) == [EVENT.title]


@pytest.mark.parametrize("month", [CALM, replace(CALM, events=(EVENT,))])
def test_the_page_needs_nothing_else_and_escapes_what_it_shows(month: MonthReport) -> None:
    """The page has no script, no external address and no mark-up from names; the plot is well-formed on its own."""
    page = page_of(month)
    assert "<script" not in page
    assert "<ratings>" not in page
    assert "src=" not in page
    plot = ET.fromstring(plot_of(month))  # noqa: S314 - our own
    assert plot.tag.endswith("svg")
    assert "prefers-color-scheme:dark" in plot_of(month)


def test_the_agreement_is_the_correlation_over_versions_with_both_figures() -> None:
    """Live hit rates in proportion to the offline ones correlate fully; equal or missing figures have none."""
    live, hindsight, live_ndcg, _ = agreement_of(VERSIONS)
    assert (live.measure, live.against, live.n_versions) == ("hit rate", "live", 3)
    assert (live.pearson, live.spearman) == (pytest.approx(1.0), pytest.approx(1.0))
    assert hindsight == Agreement("hit rate", "hindsight", 0, None, None)
    assert (live_ndcg.n_versions, live_ndcg.pearson) == (0, None)
    bent = (*VERSIONS[:2], replace(VERSIONS[2], live=Measured(60, 0.1, 0.1)))
    assert agreement_of(bent)[0].spearman == pytest.approx(-0.5)
    assert agreement_of(VERSIONS[:2])[0].pearson is None
    same = tuple(replace(version, offline=VERSIONS[0].offline) for version in VERSIONS)
    assert agreement_of(same)[0].pearson is None
    assert Measured.of_ranks(np.array([1, 0] * 24, np.int64)) == Measured(48, None, None)
    assert Measured.of_ranks(np.array([1, 0] * 25, np.int64)).hit_rate == 0.5


def test_the_page_shows_trends_and_the_agreement() -> None:
    """Every baseline, every version and every correlation stand on the page; named lines have a curve in the plot."""
    page = page_of(CALM)
    for text in (
        "popular, 1 day",
        "to popular, 7 days +0.0400",
        "Offline and live",
        "<td>hit rate, live</td><td>3</td>",
    ):
        assert text in page
    plot = plot_of(CALM)
    assert all(f'<polyline class="{name}"' in plot for name in ("served", "popular", "trend", "frozen"))
    assert "popular, 1 day" not in plot


def test_an_invalid_plan_is_refused_and_its_settings_are_in_simulated_days(tmp_path: Path) -> None:
    """Settings in days count simulated days, and every seventh night tries a second model family."""
    for wrong in (
        {"n_days": 0},
        {"models": ("nonsense",)},
        {"day_seconds": 0.1},
        {"day_seconds": float("nan")},
        {"scenario": "quake"},
    ):
        with pytest.raises(InvalidInput):
            MonthPlan(None, **wrong)  # type: ignore[arg-type]
    plan = MonthPlan(None, day_seconds=8.64)
    settings = plan.settings(tmp_path, 3)
    assert settings.drift_window_days == pytest.approx(0.0003)
    assert settings.probation == "rollback"
    assert settings.home == tmp_path
    assert [plan.models_of(night) for night in (0, 1, 7)] == [MODELS, MODELS, (*MODELS, "ials")]
    assert MODELS == ("popular", "ease", "combination")
    chosen = MonthPlan(None, models=("slist", "ials"))
    assert [chosen.models_of(night) for night in (1, 7)] == [("slist", "ials"), ("slist", "ials")]

"""The written files of Grafana, Prometheus and Alertmanager equal the code's, and Prometheus' tools accept them."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from debian_tools import run_tool
from documented_metrics import documented
from ops.alerts import ALERTS, Alert
from ops.dashboards import DASHBOARDS
from ops.files import CASES, FOLDER, RULES, files
from ops.panels import COLUMNS, SOURCE_UID, Dashboard

NAMES = re.compile(r"\b(?:cineclub|process|python)_\w+")
OF_HISTOGRAMS = re.compile(r"_(?:bucket|sum|count)$")


def written() -> set[str]:
    """Return the written files on disk by their path below ops."""
    folders = ("prometheus", "alertmanager", "grafana")
    return {
        str(path.relative_to(FOLDER)) for folder in folders for path in (FOLDER / folder).rglob("*") if path.is_file()
    }


def metrics_of(expressions: Sequence[str]) -> set[str]:
    """Return the metrics in expressions, without the suffixes of histograms."""
    named = {name for expression in expressions for name in NAMES.findall(expression)}
    known = documented()
    return {name if name in known else OF_HISTOGRAMS.sub("", name) for name in named}


def expressions_of(dashboard: Dashboard) -> list[str]:
    """Return every query of a dashboard."""
    return [query.expression for panel in dashboard.panels() for query in panel.queries]


def test_the_files_are_what_the_code_gives() -> None:
    """The files equal the code's output, and none is left over: `make dashboards` writes them."""
    expected = files()
    assert written() == set(expected)
    stale = [name for name, text in expected.items() if (FOLDER / name).read_text() != text]
    assert not stale, f"run make dashboards: {stale} differ"


def test_promtool_accepts_the_rules() -> None:
    """The rules parse, and every alert passes its cases, firing and silent."""
    run_tool("promtool", "check", "rules", str(FOLDER / RULES))
    run_tool("promtool", "test", "rules", str(FOLDER / CASES))


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    """The whole configuration parses, with a key file."""
    key = tmp_path / "metrics_key"
    key.write_text("a key")
    text = files()["prometheus/prometheus.yml"].replace("/run/secrets/metrics_key", str(key))
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "rules.yml").write_text(files()[RULES])
    run_tool("promtool", "check", "config", str(tmp_path / "prometheus.yml"))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.full_name)
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_not(alert: Alert) -> None:
    """The written cases hold both kinds, and each reads the metrics of the rule."""
    cases = yaml.safe_load((FOLDER / CASES).read_text())["tests"]
    ours = [case["alert_rule_test"][0] for case in cases if case["name"].startswith(f"{alert.full_name} ")]
    assert [bool(our["exp_alerts"]) for our in ours][:2] == [True, False]
    for case in (alert.fires, alert.is_silent):
        assert metrics_of(list(case.series)) == metrics_of([alert.expression])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.full_name)
def test_every_alert_says_what_to_do(alert: Alert) -> None:
    """The guide has a section for each alert, and names are unique."""
    assert alert.what_to_do.endswith((".", "?"))
    assert f"### {alert.full_name}\n" in (FOLDER.parent / "docs" / "operations.md").read_text()
    assert [each.name for each in ALERTS].count(alert.name) == 1


def test_every_queried_metric_exists_and_every_metric_of_ours_is_used() -> None:
    """Queries name only exposed metrics, and every metric of ours is used."""
    queried = metrics_of([alert.expression for alert in ALERTS])
    for dashboard in DASHBOARDS:
        queried |= metrics_of(expressions_of(dashboard))
    known = set(documented())
    assert queried - known == set()
    assert {name for name in known - queried if name.startswith("cineclub_")} == set()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_panels_lie_side_by_side(dashboard: Dashboard) -> None:
    """Panel ids are unique, no panel overlaps another or leaves the page, and all use the provisioned source."""
    panels = json.loads((FOLDER / "grafana" / "dashboards" / f"{dashboard.name}.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    covered: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & covered, panel["title"]
        assert place["x"] + place["w"] <= COLUMNS
        covered |= cells
        assert panel["type"] == "row" or panel["description"]
        assert {target["datasource"]["uid"] for target in panel.get("targets", [])} <= {SOURCE_UID}

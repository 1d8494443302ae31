"""The drift metrics of /metrics."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import values

from cineclub.adapters.prometheus.metrics import PrometheusMetrics
from cineclub.adapters.prometheus.processes import VARIABLE, SeveralProcesses

DAILY = timedelta(days=1)


def page_of(metrics: PrometheusMetrics) -> str:
    """Return the page that Prometheus reads."""
    return metrics.exposition()[0].decode()


def test_before_the_first_check_nothing_is_claimed() -> None:
    """Before the first check the gauges have a value of their own, which is not OK."""
    page = page_of(PrometheusMetrics())
    assert "\ncineclub_drift_verdict -1.0\n" in page
    assert "\ncineclub_drift_checked_timestamp_seconds 0.0\n" in page
    assert "\ncineclub_drift_alerts_total 0.0\n" in page


def test_the_newest_check_replaces_the_one_before_and_an_alert_counts_once() -> None:
    """A check that is reported again counts no second alert, and old distances are removed."""
    metrics = PrometheusMetrics()
    moment = datetime.now(tz=UTC) + timedelta(seconds=1)
    metrics.drift_checked("OK", {"rating_distribution": 0.01, "genre_mix": 0.02}, moment)
    for _ in range(2):
        metrics.drift_checked("ALERT", {"rating_distribution": 0.4}, moment + timedelta(days=1))
    page = page_of(metrics)
    assert "\ncineclub_drift_verdict 1.0\n" in page
    assert '\ncineclub_drift_distance{statistic="rating_distribution"} 0.4\n' in page
    assert "genre_mix" not in page
    assert "\ncineclub_drift_alerts_total 1.0\n" in page


def test_an_alert_from_before_the_service_began_is_shown_and_not_counted() -> None:
    """An alert from before the start of the service is shown but not counted."""
    metrics = PrometheusMetrics()
    metrics.drift_scheduled(DAILY, datetime.now(tz=UTC))
    metrics.drift_checked("ALERT", {}, datetime.now(tz=UTC) - timedelta(hours=1))
    page = page_of(metrics)
    assert "\ncineclub_drift_verdict 1.0\n" in page
    assert "\ncineclub_drift_alerts_total 0.0\n" in page


def test_how_often_drift_is_checked_is_shown() -> None:
    """The interval between checks is shown, for the alert about missing checks."""
    metrics = PrometheusMetrics()
    metrics.drift_scheduled(DAILY, datetime.now(tz=UTC))
    assert "\ncineclub_drift_check_interval_seconds 86400.0\n" in page_of(metrics)


def test_a_successor_of_the_same_parent_does_not_count_the_alert_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A worker forked later from the same parent does not count an alert from before its start."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    number = [0]
    processes = SeveralProcesses(tmp_path / "metrics", lambda: number[0])
    first, successor = PrometheusMetrics(processes), PrometheusMetrics(processes)
    began = datetime.now(tz=UTC) + timedelta(seconds=1)
    alerted, again = began + timedelta(minutes=1), began + timedelta(minutes=2)
    number[0] = 1
    first.drift_scheduled(DAILY, began)
    first.drift_checked("ALERT", {}, alerted)
    number[0] = 0
    successor.rows_waiting(0)  # as the parent; the next call reads the files of number 1 again, as after a fork
    number[0] = 1
    successor.drift_scheduled(DAILY, again)
    successor.drift_checked("ALERT", {}, alerted)
    assert "\ncineclub_drift_alerts_total 1.0\n" in page_of(successor)
    successor.drift_checked("ALERT", {}, again + timedelta(minutes=1))
    assert "\ncineclub_drift_alerts_total 2.0\n" in page_of(successor)

"""What /metrics says of drift."""

from datetime import UTC, datetime, timedelta

from cineclub.adapters.prometheus.metrics import PrometheusMetrics


def page_of(metrics: PrometheusMetrics) -> str:
    """Return the page that Prometheus reads."""
    return metrics.exposition()[0].decode()


def test_before_the_first_check_nothing_is_claimed() -> None:
    """Never checked is a value of its own, so that silence never looks like OK."""
    page = page_of(PrometheusMetrics())
    assert "\ncineclub_drift_verdict -1.0\n" in page
    assert "\ncineclub_drift_checked_timestamp_seconds 0.0\n" in page
    assert "\ncineclub_drift_alerts_total 0.0\n" in page


def test_the_newest_check_replaces_the_one_before_and_an_alert_counts_once() -> None:
    """A check that is told again counts no second alert, and no distance outlives its check."""
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
    """A restart does not count the last alert anew."""
    metrics = PrometheusMetrics()
    metrics.drift_checked("ALERT", {}, datetime.now(tz=UTC) - timedelta(hours=1))
    page = page_of(metrics)
    assert "\ncineclub_drift_verdict 1.0\n" in page
    assert "\ncineclub_drift_alerts_total 0.0\n" in page

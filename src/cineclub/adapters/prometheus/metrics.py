"""The metrics that an API process counts itself, and the page of all metrics; ``families`` has those of PostgreSQL."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.platform_collector import PlatformCollector

from cineclub.adapters.prometheus.families import (
    drift_families,
    drift_interval_family,
    ended_families,
    outcome_families,
    text_of,
    training_families,
    version_label,
)
from cineclub.adapters.prometheus.processes import OneProcess, Processes
from cineclub.domain.drift.changes import DriftVerdict
from cineclub.domain.promotion.online_comparison import Purpose
from cineclub.domain.promotion.records import Promotion, RequestedBy
from cineclub.domain.recommend.outcomes import Outcomes
from cineclub.domain.recommend.recommendations import PredictionResponse
from cineclub.domain.training.records import TrainingFacts
from cineclub.runtime.pool_usage import PoolUsage

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "OTHER"
REQUESTERS: tuple[RequestedBy, ...] = ("gate", "person", "outside", "probation")
DRIFT_VERDICTS: dict[DriftVerdict, int] = {"OK": 0, "ALERT": 1, "NOT_ENOUGH_DATA": 2}
NEVER_CHECKED = -1
PURPOSES: tuple[Purpose, ...] = ("shadow", "probation")
LOSSES = ("dropped", "failed", "broken_version", "not_written")
LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # each would be one more series that nothing reads


class PrometheusMetrics:
    """The metrics of this process, in a registry of its own.

    ``multiprocess_mode`` combines the values of a gauge in several processes: the newest, the sum, or the least.
    """

    def __init__(self, processes: Processes | None = None) -> None:
        """Declare every metric, of this process alone or of those that share the requests."""
        self._processes = processes or OneProcess()
        registry = CollectorRegistry()
        counter = partial(Counter, registry=registry)
        self._requests = counter(
            "cineclub_http_requests",
            "HTTP requests by method, route template and status.",
            ["method", "route", "status"],
        )
        self._latency = Histogram(
            "cineclub_http_request_duration_seconds",
            "Seconds from the first byte of a request to the last of its response.",
            ["method", "route"],
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self._predictions = counter(
            "cineclub_predictions",
            "Responses by strategy (model, popular), version of the model (none without one) and whether degraded.",
            ["strategy", "model_version", "degraded"],
        )
        self._measures: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._declare_model_and_log(registry)
        self._declare_comparisons(registry)
        self._declare_pool(registry)
        self._declare_drift(registry)
        self._page = self._processes.page_of(registry)
        PlatformCollector(registry=self._page)
        self._processes.keep("outcomes", text_of(outcome_families(None)))

    def _declare_model_and_log(self, registry: CollectorRegistry) -> None:
        """Declare the metrics of the model in memory and of the prediction log."""
        counter, newest = partial(Counter, registry=registry), _newest_gauge(registry)
        self._model_version = newest("cineclub_model_version", "Version of the model in memory; 0 without one.")
        self._model_version.set(0)
        self._model_promoted = newest(
            "cineclub_model_promoted_timestamp_seconds",
            "When the model in memory was promoted, in seconds since 1970; its age is time() minus this.",
        )
        self._crowd_counted = newest(
            "cineclub_crowd_counts_timestamp_seconds",
            "The moment up to which likes were last counted for trends, in seconds since 1970; 0 before.",
        )
        self._refused = counter(
            "cineclub_model_refusals", "Promoted versions that could not be loaded, each attempt counted."
        )
        self._promotion_refusals = Gauge(
            "cineclub_promotion_refusals",
            "Promotions refused so far by requester: the gate, a person, a move outside of cineclub, probation.",
            ["asked_by"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._dropped = counter("cineclub_prediction_log_dropped_rows", "Responses that were not logged.")
        self._waiting = Gauge(
            "cineclub_prediction_log_waiting_rows",
            "Responses waiting to be logged.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def _declare_comparisons(self, registry: CollectorRegistry) -> None:
        """Declare the metrics of online comparisons and of probation."""
        counter, newest = partial(Counter, registry=registry), _newest_gauge(registry)
        self._compared = counter(
            "cineclub_compared_answers",
            "Responses that another version computed too, by purpose (shadow, probation).",
            ["purpose"],
        )
        self._comparisons_lost = counter(
            "cineclub_lost_comparisons",
            "Comparisons not made or not stored, by cause (dropped, failed, broken_version, not_written).",
            ["cause"],
        )
        for metric, values in ((self._compared, PURPOSES), (self._comparisons_lost, LOSSES)):
            for value in values:
                metric.labels(value)
        self._probation_alarms = newest(
            "cineclub_probation_alarms", "Promotions so far of which the former version's lists proved better."
        )
        self._probation_alarmed = newest(
            "cineclub_probation_alarm",
            "1 while the version that serves is one whose former version's lists proved better, else 0.",
        )

    def _declare_pool(self, registry: CollectorRegistry) -> None:
        """Declare the metrics of the connections to PostgreSQL, summed over the processes that share the requests."""
        counter = partial(Counter, registry=registry)
        gauges = {
            "size": "Connections to PostgreSQL that the pools hold.",
            "in_use": "Connections of the pools that are lent out or being opened.",
            "waiting": "Requests that wait for a connection.",
            "limit": "Connections that the pools may hold at most.",
        }
        self._pool = {
            name: Gauge(f"cineclub_database_pool_{name}", meaning, registry=registry, multiprocess_mode="livesum")
            for name, meaning in gauges.items()
        }
        self._pool_lent = counter("cineclub_database_pool_requests", "Requests for a connection.")
        self._pool_wait = counter("cineclub_database_pool_wait_seconds", "Seconds of waiting for connections.")
        self._database_up = Gauge(
            "cineclub_database_up",
            "1 while PostgreSQL answers every process that serves, else 0.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._database_up.set(1)  # in the forking parent too, which has no pool and must not hide the others

    def pool_used(self, usage: PoolUsage) -> None:
        """Note the usage of the connections, and count the requests for one since the last call."""
        now = {"size": usage.n_open, "in_use": usage.n_in_use, "waiting": usage.n_waiting, "limit": usage.n_most}
        for name, value in now.items():
            self._pool[name].set(value)
        self._pool_lent.inc(usage.n_lent)
        self._pool_wait.inc(usage.waited_seconds)
        self._database_up.set(not usage.is_away)

    def trainings_known(self, facts: TrainingFacts) -> None:
        """Replace the metrics of all trainings."""
        self._processes.keep("trainings", text_of([*training_families(facts), *ended_families(facts)]))

    def _declare_drift(self, registry: CollectorRegistry) -> None:
        """Declare the metrics of drift; the newest check is replaced as a whole, so that no distance outlives it."""
        self._drift_alerts = Counter("cineclub_drift_alerts", "Drift checks that ended in an alert.", registry=registry)
        self._alerts_lost = Counter(
            "cineclub_lost_alerts", "Alerts that the webhook did not accept in several attempts.", registry=registry
        )
        self._drift_counted_until: datetime | None = None
        self._processes.keep("drift", text_of(drift_families(NEVER_CHECKED, {}, 0.0)))

    def drift_scheduled(self, interval: timedelta, started_at: datetime) -> None:
        """Note how often drift is checked; alerts count from now on, as another process counted earlier ones."""
        self._drift_counted_until = started_at
        self._processes.keep("drift_watch", text_of([drift_interval_family(interval)]))

    def drift_checked(self, verdict: DriftVerdict, distances: Mapping[str, float], checked_at: datetime) -> None:
        """Note the newest check of drift; an alert counts once."""
        families = drift_families(DRIFT_VERDICTS[verdict], distances, checked_at.timestamp())
        self._processes.keep("drift", text_of(families))
        is_new = self._drift_counted_until is not None and checked_at > self._drift_counted_until
        if is_new and verdict == "ALERT":
            self._drift_alerts.inc()
        self._drift_counted_until = max(checked_at, self._drift_counted_until or checked_at)

    def alert_lost(self) -> None:
        """Count an alert that the webhook did not accept."""
        self._alerts_lost.inc()

    def response_compared(self, purpose: Purpose) -> None:
        """Count one response that another version made recommendations for too."""
        self._compared.labels(purpose).inc()

    def comparison_lost(self, cause: str) -> None:
        """Count a response that was not compared or whose comparison was not stored."""
        self._comparisons_lost.labels(cause).inc()

    def probation_known(self, n_alarms: int, *, is_alarmed: bool) -> None:
        """Set how many probations found the former version better, and whether that of the serving version is one."""
        self._probation_alarms.set(n_alarms)
        self._probation_alarmed.set(is_alarmed)

    def observe_request(self, method: str, route: str, status: int, latency_seconds: float) -> None:
        """Count one request under its route template."""
        counter, histogram = self._measures.get((method, route, status)) or self._measures_of(method, route, status)
        counter.inc()
        histogram.observe(latency_seconds)

    def _measures_of(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """Return the counter and histogram of such requests, cached because every request needs them."""
        known_method = method if method in METHODS else OTHER_METHOD
        measures = self._requests.labels(known_method, route, str(status)), self._latency.labels(known_method, route)
        if known_method == method:
            self._measures[method, route, status] = measures
        return measures

    def count_response(self, response: PredictionResponse) -> None:
        """Count one response."""
        degraded = "true" if response.degraded else "false"
        self._predictions.labels(response.strategy, version_label(response.model_version), degraded).inc()

    def model_served(self, promotion: Promotion) -> None:
        """Note the version that serves from now on."""
        self._model_version.set(promotion.version)
        self._model_promoted.set(promotion.promoted_at.timestamp())

    def crowd_counted(self, moment: datetime) -> None:
        """Note the moment up to which the likes of all users are counted."""
        self._crowd_counted.set(moment.timestamp())

    def model_refused(self) -> None:
        """Count a promoted version that could not be loaded."""
        self._refused.inc()

    def refusals_known(self, n_refusals: Mapping[RequestedBy, int]) -> None:
        """Note how many promotions were refused so far, by requester."""
        for requester in REQUESTERS:
            self._promotion_refusals.labels(requester).set(n_refusals.get(requester, 0))

    def outcomes_known(self, outcomes: Outcomes) -> None:
        """Replace the metrics of outcomes."""
        self._processes.keep("outcomes", text_of(outcome_families(outcomes)))

    def rows_dropped(self, n_rows: int) -> None:
        """Count responses that were not logged."""
        self._dropped.inc(n_rows)

    def rows_waiting(self, n_rows: int) -> None:
        """Note the number of responses that wait to be logged."""
        self._waiting.set(n_rows)

    def exposition(self) -> tuple[bytes, str]:
        """Return every metric in Prometheus' text format, with its media type."""
        return generate_latest(self._page) + self._processes.parts(), CONTENT_TYPE_LATEST


def _newest_gauge(registry: CollectorRegistry) -> Callable[[str, str], Gauge]:
    """Return a constructor of gauges that show the newest value of all living processes."""
    return partial(Gauge, registry=registry, multiprocess_mode="livemostrecent")

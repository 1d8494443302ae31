"""The metrics of the API process that it counts itself, and the page of all; ``families`` has those read elsewhere."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.platform_collector import PlatformCollector

from cineclub.adapters.prometheus.families import (
    drift_families,
    drift_watch_families,
    ended_families,
    outcome_families,
    text_of,
    training_families,
    version_label,
)
from cineclub.adapters.prometheus.processes import OneProcess, Processes
from cineclub.domain.drift import DriftVerdict
from cineclub.domain.live_comparison import Purpose
from cineclub.domain.outcomes import Outcomes
from cineclub.ports import Asker, PoolUsage, Promotion, TrainingFacts

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "OTHER"
ASKERS: tuple[Asker, ...] = ("gate", "person", "outside", "probation")
DRIFT_VERDICTS: dict[DriftVerdict, int] = {"OK": 0, "ALERT": 1, "NOT_ENOUGH_DATA": 2}
NEVER_CHECKED = -1
PURPOSES: tuple[Purpose, ...] = ("shadow", "probation")
LOSSES = ("dropped", "failed", "broken_version", "not_written")
LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # or one more series for each of ours, which nobody reads


class PrometheusMetrics:
    """Implements every port of the name ``…Metrics`` in a registry of its own.

    A gauge says in ``multiprocess_mode`` what it is where several processes have one: the newest, or the sum.
    """

    def __init__(self, processes: Processes | None = None) -> None:
        """Declare every metric, of this process alone or of those that share the requests."""
        self._processes = processes or OneProcess()
        registry = CollectorRegistry()
        self._requests = Counter(
            "cineclub_http_requests",
            "HTTP requests by method, route template and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._latency = Histogram(
            "cineclub_http_request_duration_seconds",
            "Seconds from the first byte of a request to the last of its answer.",
            ["method", "route"],
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self._predictions = Counter(
            "cineclub_predictions",
            "Answers by strategy (model, popular), version of the model (none without one) and whether degraded.",
            ["strategy", "model_version", "degraded"],
            registry=registry,
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
        """Declare what is known of the model in memory and of the prediction log."""
        self._model_version = Gauge(
            "cineclub_model_version",
            "Version of the model in memory; 0 without one.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._model_version.set(0)
        self._model_promoted = Gauge(
            "cineclub_model_promoted_timestamp_seconds",
            "When the model in memory was promoted, in seconds since 1970; its age is time() minus this.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._refused = Counter(
            "cineclub_model_refusals",
            "Promoted versions that could not be loaded, each try counted.",
            registry=registry,
        )
        self._promotion_refusals = Gauge(
            "cineclub_promotion_refusals",
            "Promotions refused so far, by who asked: the gate, a person, a move outside of cineclub, probation.",
            ["asked_by"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._dropped = Counter(
            "cineclub_prediction_log_dropped_rows", "Answers that were not logged.", registry=registry
        )
        self._waiting = Gauge(
            "cineclub_prediction_log_waiting_rows",
            "Answers waiting to be logged.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def _declare_comparisons(self, registry: CollectorRegistry) -> None:
        """Declare what is known of versions that are asked beside the one that serves."""
        self._compared = Counter(
            "cineclub_compared_answers",
            "Answers that another version was asked for too, by purpose (shadow, probation).",
            ["purpose"],
            registry=registry,
        )
        self._comparisons_lost = Counter(
            "cineclub_lost_comparisons",
            "Comparisons not made or kept, by cause (dropped, failed, broken_version, not_written).",
            ["cause"],
            registry=registry,
        )
        for counter, values in ((self._compared, PURPOSES), (self._comparisons_lost, LOSSES)):
            for value in values:
                counter.labels(value)
        self._probation_alarms = Gauge(
            "cineclub_probation_alarms",
            "Promotions so far of which the former version's lists proved better.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._probation_alarmed = Gauge(
            "cineclub_probation_alarm",
            "1 while the version that serves is one whose former version's lists proved better, else 0.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

    def _declare_pool(self, registry: CollectorRegistry) -> None:
        """Declare what is known of the connections to PostgreSQL, of all processes that share the requests together."""
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
        self._pool_lent = Counter(
            "cineclub_database_pool_requests", "Times that a connection was asked for.", registry=registry
        )
        self._pool_wait = Counter(
            "cineclub_database_pool_wait_seconds", "Seconds that was waited for connections.", registry=registry
        )
        self._database_up = Gauge(
            "cineclub_database_up",
            "1 while PostgreSQL answers every process that serves, else 0.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._database_up.set(1)  # also in the parent that only forks, which never looks and must not hide the others

    def pool_used(self, usage: PoolUsage) -> None:
        """Note how connections are used, and add what happened since this was last noted."""
        now = {"size": usage.n_open, "in_use": usage.n_in_use, "waiting": usage.n_waiting, "limit": usage.n_most}
        for name, value in now.items():
            self._pool[name].set(value)
        self._pool_lent.inc(usage.n_lent)
        self._pool_wait.inc(usage.waited_seconds)
        self._database_up.set(not usage.is_away)

    def trainings_known(self, facts: TrainingFacts) -> None:
        """Note what PostgreSQL knows of all trainings, in place of what was known before."""
        self._processes.keep("trainings", text_of([*training_families(facts), *ended_families(facts)]))

    def _declare_drift(self, registry: CollectorRegistry) -> None:
        """Declare what is known of drift; the newest check is kept as a whole, so that no distance outlives it."""
        self._drift_alerts = Counter("cineclub_drift_alerts", "Drift checks that ended in an alert.", registry=registry)
        self._alerts_lost = Counter(
            "cineclub_lost_alerts", "Alerts that the webhook did not take after several tries.", registry=registry
        )
        self._drift_told_until: datetime | None = None
        self._processes.keep("drift", text_of(drift_families(NEVER_CHECKED, {}, 0.0)))

    def drift_watched(self, interval: timedelta, started_at: datetime) -> None:
        """Note how often drift is checked; alerts count from here on, for those before were counted by another."""
        self._drift_told_until = started_at
        self._processes.keep("drift_watch", text_of(drift_watch_families(interval)))

    def drift_checked(self, verdict: DriftVerdict, distances: Mapping[str, float], checked_at: datetime) -> None:
        """Note the newest check of drift; an alert counts once."""
        families = drift_families(DRIFT_VERDICTS[verdict], distances, checked_at.timestamp())
        self._processes.keep("drift", text_of(families))
        is_news = self._drift_told_until is not None and checked_at > self._drift_told_until
        if is_news and verdict == "ALERT":
            self._drift_alerts.inc()
        self._drift_told_until = max(checked_at, self._drift_told_until or checked_at)

    def alert_lost(self) -> None:
        """Count an alert that the webhook did not take."""
        self._alerts_lost.inc()

    def answer_compared(self, purpose: Purpose) -> None:
        """Count one answer that another version was asked for too."""
        self._compared.labels(purpose).inc()

    def comparison_lost(self, cause: str) -> None:
        """Count one that was not compared or not kept."""
        self._comparisons_lost.labels(cause).inc()

    def probation_known(self, n_alarms: int, *, is_alarmed: bool) -> None:
        """Note how many promotions proved worse than what they replaced, and whether the one that serves is one."""
        self._probation_alarms.set(n_alarms)
        self._probation_alarmed.set(is_alarmed)

    def observe_request(self, method: str, route: str, status: int, latency_seconds: float) -> None:
        """Count one request under its route template."""
        counter, histogram = self._measures.get((method, route, status)) or self._measures_of(method, route, status)
        counter.inc()
        histogram.observe(latency_seconds)

    def _measures_of(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """Return what counts and times such requests; looked up once, for this stands in the way of every request."""
        known_method = method if method in METHODS else OTHER_METHOD
        found = self._requests.labels(known_method, route, str(status)), self._latency.labels(known_method, route)
        if known_method == method:
            self._measures[method, route, status] = found
        return found

    def count_answer(self, strategy: str, model_version: int | None, *, degraded: bool) -> None:
        """Count one answer."""
        self._predictions.labels(strategy, version_label(model_version), "true" if degraded else "false").inc()

    def model_served(self, promotion: Promotion) -> None:
        """Note that this version answers from now on."""
        self._model_version.set(promotion.version)
        self._model_promoted.set(promotion.promoted_at.timestamp())

    def model_refused(self) -> None:
        """Count a promoted version that could not be loaded."""
        self._refused.inc()

    def refusals_known(self, n_refusals: Mapping[Asker, int]) -> None:
        """Note how many promotions were refused so far, by who asked for them."""
        for asker in ASKERS:
            self._promotion_refusals.labels(asker).set(n_refusals.get(asker, 0))

    def outcomes_known(self, outcomes: Outcomes) -> None:
        """Note what became of the answers of the last days, in place of what was known before."""
        self._processes.keep("outcomes", text_of(outcome_families(outcomes)))

    def rows_dropped(self, n_rows: int) -> None:
        """Count answers that were not logged."""
        self._dropped.inc(n_rows)

    def rows_waiting(self, n_rows: int) -> None:
        """Note how many answers wait to be logged."""
        self._waiting.set(n_rows)

    def exposition(self) -> tuple[bytes, str]:
        """Return every metric in Prometheus' text format, with its media type."""
        return generate_latest(self._page) + self._processes.kept(), CONTENT_TYPE_LATEST

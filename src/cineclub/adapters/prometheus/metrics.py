"""Every metric of the API process: its name, meaning, unit and labels, all in this file."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector

from cineclub.adapters.prometheus.processes import OneProcess, Processes
from cineclub.domain.live_comparison import Purpose
from cineclub.domain.outcomes import Outcomes, StrategyOutcomes, by_version
from cineclub.ports import Asker, DriftVerdict, Promotion

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "OTHER"
NO_MODEL = "none"
ASKERS: tuple[Asker, ...] = ("gate", "person", "outside", "probation")
OUTCOMES = {
    "answers": "Logged answers, 30 days.",
    "named_answers": "Logged answers to people with an account, 30 days: those that the hit rate is of.",
    "hit_rate": "Answers to people with an account with a film that was rated afterwards, 30 days.",
    "taken_films": "Recommended films that were rated afterwards, 30 days.",
    "mean_taken_rating": "Mean rating of recommended films that were rated afterwards, 30 days.",
    "coverage": "Share of the catalogue that was recommended, 30 days.",
    "popularity_share": "Share of the recommended films that are among the most rated tenth, 30 days.",
}
DRIFT_VERDICTS: dict[DriftVerdict, int] = {"OK": 0, "ALERT": 1, "NOT_ENOUGH_DATA": 2}
NEVER_CHECKED = -1
LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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
        self._declare_model_and_log(registry)
        self._declare_comparisons(registry)
        self._declare_drift(registry)
        self._page = self._processes.page_of(registry)
        PlatformCollector(registry=self._page)
        self._processes.keep("outcomes", _text_of(_outcome_families(None)))

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

    def _declare_drift(self, registry: CollectorRegistry) -> None:
        """Declare what is known of drift; the newest check is kept as a whole, so that no distance outlives it."""
        self._drift_alerts = Counter("cineclub_drift_alerts", "Drift checks that ended in an alert.", registry=registry)
        self._drift_told_until = datetime.now(tz=UTC)
        self._processes.keep("drift", _text_of(_drift_families(NEVER_CHECKED, {}, 0.0)))

    def drift_checked(self, verdict: DriftVerdict, distances: Mapping[str, float], checked_at: datetime) -> None:
        """Note the newest check of drift; an alert counts once."""
        families = _drift_families(DRIFT_VERDICTS[verdict], distances, checked_at.timestamp())
        self._processes.keep("drift", _text_of(families))
        if checked_at > self._drift_told_until:
            self._drift_told_until = checked_at
            self._drift_alerts.inc(verdict == "ALERT")

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
        known_method = method if method in METHODS else OTHER_METHOD
        self._requests.labels(known_method, route, str(status)).inc()
        self._latency.labels(known_method, route).observe(latency_seconds)

    def count_answer(self, strategy: str, model_version: int | None, *, degraded: bool) -> None:
        """Count one answer."""
        self._predictions.labels(strategy, _version_label(model_version), "true" if degraded else "false").inc()

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
        self._processes.keep("outcomes", _text_of(_outcome_families(outcomes)))

    def rows_dropped(self, n_rows: int) -> None:
        """Count answers that were not logged."""
        self._dropped.inc(n_rows)

    def rows_waiting(self, n_rows: int) -> None:
        """Note how many answers wait to be logged."""
        self._waiting.set(n_rows)

    def exposition(self) -> tuple[bytes, str]:
        """Return every metric in Prometheus' text format, with its media type."""
        return generate_latest(self._page) + self._processes.kept(), CONTENT_TYPE_LATEST


class _Families:
    """Metrics of which all values are known at once, in place of those of before."""

    def __init__(self, families: list[Metric]) -> None:
        """Take them."""
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self._families


def _text_of(families: list[Metric]) -> bytes:
    """Return metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return generate_latest(registry)


def _drift_families(verdict: int, distances: Mapping[str, float], checked_seconds: float) -> list[Metric]:
    """Return what the newest check of drift found."""
    found = GaugeMetricFamily(
        "cineclub_drift_distance",
        "Distance of a statistic from its baseline at the newest check, in the statistic's own measure.",
        labels=["statistic"],
    )
    for statistic, distance in sorted(distances.items()):
        found.add_metric([statistic], distance)
    return [
        GaugeMetricFamily(
            "cineclub_drift_verdict",
            "Verdict of the newest drift check: 0 OK, 1 ALERT, 2 not enough data, -1 never checked.",
            value=verdict,
        ),
        found,
        GaugeMetricFamily(
            "cineclub_drift_checked_timestamp_seconds",
            "When drift was last checked, in seconds since 1970; 0 before.",
            value=checked_seconds,
        ),
    ]


def _outcome_families(outcomes: Outcomes | None) -> list[Metric]:
    """Return what became of the answers of 30 days by model version and strategy; a figure of nothing is left out."""
    figures = {
        name: GaugeMetricFamily(f"cineclub_recommendation_{name}", meaning, labels=["model_version", "strategy"])
        for name, meaning in OUTCOMES.items()
    }
    cold_start = GaugeMetricFamily(
        "cineclub_recommendation_cold_start_share",
        "Answers with popular films in place of a personal model, 30 days.",
        labels=["model_version"],
    )
    counted = GaugeMetricFamily(
        "cineclub_recommendation_outcomes_timestamp_seconds",
        "When outcomes were last counted, in seconds since 1970; 0 before.",
        value=outcomes.until.timestamp() if outcomes else 0.0,
    )
    for version in by_version(outcomes.strategies) if outcomes else ():
        label = _version_label(version.model_version)
        if version.cold_start_share is not None:
            cold_start.add_metric([label], version.cold_start_share)
        for one in version.strategies:
            for name, value in _figures_of(one, outcomes.n_movies if outcomes else 0).items():
                if value is not None:
                    figures[name].add_metric([label, one.strategy], value)
    return [*figures.values(), cold_start, counted]


def _version_label(model_version: int | None) -> str:
    """Return a version as labels have it."""
    return NO_MODEL if model_version is None else str(model_version)


def _figures_of(one: StrategyOutcomes, n_movies: int) -> dict[str, float | None]:
    """Return the figures of ``OUTCOMES``; None for those of nothing."""
    return {
        "answers": one.n_answers,
        "named_answers": one.n_answers - one.n_anonymous,
        "hit_rate": one.hit_rate,
        "taken_films": one.n_taken,
        "mean_taken_rating": one.mean_taken_rating,
        "coverage": one.coverage(n_movies),
        "popularity_share": one.popularity_share,
    }

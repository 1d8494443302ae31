"""Metrics computed from rows of PostgreSQL: trainings, drift and outcomes."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from cineclub.domain.recommend.outcomes import Outcomes, StrategyOutcomes, by_version
from cineclub.domain.training.records import TrainingFacts, TrainingOutcome, TrainingTrigger

NO_MODEL = "none"
OUTCOMES = {
    "answers": "Logged responses, 30 days.",
    "named_answers": "Logged responses to people with an account, 30 days: the denominator of the hit rate.",
    "hit_rate": "Share of the responses to people with an account of which a film was rated afterwards, 30 days.",
    "taken_films": "Recommended films that were rated afterwards, 30 days.",
    "mean_taken_rating": "Mean rating of recommended films that were rated afterwards, 30 days.",
    "coverage": "Share of the catalogue that was recommended, 30 days.",
    "popularity_share": "Share of the recommended films that are among the most rated tenth, 30 days.",
}
TRIGGERS: tuple[TrainingTrigger, ...] = ("request", "schedule", "new_ratings", "drift")
ENDS: tuple[TrainingOutcome, ...] = ("succeeded", "failed", "cancelled")
VERDICTS = ("PROMOTE", "REFRESH", "HOLD", "REJECT")


class _Families:
    """A collector of metrics whose values are known already."""

    def __init__(self, families: list[Metric]) -> None:
        """Collect these metrics."""
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._families


def text_of(families: list[Metric]) -> bytes:
    """Return metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return generate_latest(registry)


def training_families(facts: TrainingFacts) -> list[Metric]:
    """Return the metrics of the queue, its worker and the trainings.

    They appear with the first read of PostgreSQL: a counter that began at 0 would seem to rise at each start.
    """
    versions = GaugeMetricFamily("cineclub_versions", "Registered versions by the gate's verdict.", labels=["verdict"])
    for verdict in VERDICTS:
        versions.add_metric([verdict], facts.n_versions.get(verdict, 0))
    steps = GaugeMetricFamily(
        "cineclub_training_step_duration_seconds",
        "Seconds that each step of the newest successful training took.",
        labels=["step"],
    )
    for step, seconds in facts.step_seconds.items():
        steps.add_metric([step], seconds)
    return [
        _gauge("cineclub_worker_up", "1 while a worker process is alive, else 0.", facts.is_worker_alive),
        _gauge("cineclub_trainings_queued", "Trainings that wait for a worker.", facts.n_queued),
        _gauge("cineclub_trainings_running", "Trainings that run.", facts.n_running),
        _gauge(
            "cineclub_training_heartbeat_age_seconds",
            "Seconds since the last heartbeat of the running training; 0 while none runs.",
            facts.heartbeat_age_seconds,
        ),
        _gauge(
            "cineclub_trainings_known_timestamp_seconds",
            "When the trainings were last read from PostgreSQL, in seconds since 1970.",
            facts.known_at.timestamp(),
        ),
        versions,
        _gauge(
            "cineclub_served_version_rejected",
            "1 while a version serves that the gate rejected and a person promoted nevertheless, else 0.",
            facts.is_served_rejected,
        ),
        steps,
    ]


def ended_families(facts: TrainingFacts) -> list[Metric]:
    """Return the counts of ended trainings; outcomes that never occurred are 0, so that a first failure is a rise."""
    by_kind = {(group.outcome, group.trigger): group for group in facts.ended}
    ended = CounterMetricFamily(
        "cineclub_trainings", "Trainings that ended, by outcome and trigger.", labels=["outcome", "trigger"]
    )
    seconds = CounterMetricFamily(
        "cineclub_training_duration_seconds", "Seconds that ended trainings ran, by outcome.", labels=["outcome"]
    )
    newest = GaugeMetricFamily(
        "cineclub_training_ended_timestamp_seconds",
        "When the newest training of each outcome ended, in seconds since 1970; 0 before.",
        labels=["outcome"],
    )
    for outcome in ENDS:
        for trigger in TRIGGERS:
            group = by_kind.get((outcome, trigger))
            ended.add_metric([outcome, trigger], group.n_ended if group else 0)
        groups = [group for group in facts.ended if group.outcome == outcome]
        seconds.add_metric([outcome], sum(group.seconds for group in groups))
        newest.add_metric([outcome], max((group.newest_at.timestamp() for group in groups), default=0.0))
    return [ended, seconds, newest]


def _gauge(name: str, meaning: str, value: float) -> Metric:
    """Return a metric without labels."""
    return GaugeMetricFamily(name, meaning, value=value)


def drift_families(verdict: int, distances: Mapping[str, float], checked_seconds: float) -> list[Metric]:
    """Return the metrics of the newest drift check."""
    distance_family = GaugeMetricFamily(
        "cineclub_drift_distance",
        "Distance of a statistic from its baseline at the newest check, in the unit of the statistic.",
        labels=["statistic"],
    )
    for statistic, distance in sorted(distances.items()):
        distance_family.add_metric([statistic], distance)
    return [
        _gauge(
            "cineclub_drift_verdict",
            "Verdict of the newest drift check: 0 OK, 1 ALERT, 2 not enough data, -1 never checked.",
            verdict,
        ),
        distance_family,
        _gauge(
            "cineclub_drift_checked_timestamp_seconds",
            "When drift was last checked, in seconds since 1970; 0 before.",
            checked_seconds,
        ),
    ]


def drift_interval_family(interval: timedelta) -> Metric:
    """Return the interval of the drift checks."""
    meaning = "Seconds between two drift checks of the service."
    return _gauge("cineclub_drift_check_interval_seconds", meaning, interval.total_seconds())


def outcome_families(outcomes: Outcomes | None) -> list[Metric]:
    """Return the outcomes of 30 days by model version and strategy, without undefined figures."""
    figures = {
        name: GaugeMetricFamily(f"cineclub_recommendation_{name}", meaning, labels=["model_version", "strategy"])
        for name, meaning in OUTCOMES.items()
    }
    cold_start = GaugeMetricFamily(
        "cineclub_recommendation_cold_start_share",
        "Share of the responses with popular films in place of a personal model, 30 days.",
        labels=["model_version"],
    )
    counted = _gauge(
        "cineclub_recommendation_outcomes_timestamp_seconds",
        "When outcomes were last counted, in seconds since 1970; 0 before.",
        outcomes.until.timestamp() if outcomes else 0.0,
    )
    for version in by_version(outcomes.strategies) if outcomes else ():
        label = version_label(version.model_version)
        if version.cold_start_share is not None:
            cold_start.add_metric([label], version.cold_start_share)
        for strategy in version.strategies:
            for name, value in _figures_of(strategy, outcomes.n_movies if outcomes else 0).items():
                if value is not None:
                    figures[name].add_metric([label, strategy.strategy], value)
    return [*figures.values(), cold_start, counted]


def version_label(model_version: int | None) -> str:
    """Return the label of a version."""
    return NO_MODEL if model_version is None else str(model_version)


def _figures_of(outcomes: StrategyOutcomes, n_movies: int) -> dict[str, float | None]:
    """Return the figures of ``OUTCOMES``; undefined ones are None."""
    return {
        "answers": outcomes.n_answers,
        "named_answers": outcomes.n_answers - outcomes.n_anonymous,
        "hit_rate": outcomes.hit_rate,
        "taken_films": outcomes.n_taken,
        "mean_taken_rating": outcomes.mean_taken_rating,
        "coverage": outcomes.coverage(n_movies),
        "popularity_share": outcomes.popularity_share,
    }

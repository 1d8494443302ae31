"""Metrics of which all values are known at once: what PostgreSQL says of trainings, drift and outcomes."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from cineclub.domain.outcomes import Outcomes, StrategyOutcomes, by_version
from cineclub.ports import TrainingFacts, TrainingOutcome, TrainingTrigger

NO_MODEL = "none"
OUTCOMES = {
    "answers": "Logged answers, 30 days.",
    "named_answers": "Logged answers to people with an account, 30 days: those that the hit rate is of.",
    "hit_rate": "Answers to people with an account with a film that was rated afterwards, 30 days.",
    "taken_films": "Recommended films that were rated afterwards, 30 days.",
    "mean_taken_rating": "Mean rating of recommended films that were rated afterwards, 30 days.",
    "coverage": "Share of the catalogue that was recommended, 30 days.",
    "popularity_share": "Share of the recommended films that are among the most rated tenth, 30 days.",
}
TRIGGERS: tuple[TrainingTrigger, ...] = ("request", "schedule", "new_ratings", "drift")
ENDS: tuple[TrainingOutcome, ...] = ("succeeded", "failed", "cancelled")
VERDICTS = ("PROMOTE", "REFRESH", "HOLD", "REJECT")


class _Families:
    """Metrics of which all values are known at once, in place of those of before."""

    def __init__(self, families: list[Metric]) -> None:
        """Take them."""
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self._families


def text_of(families: list[Metric]) -> bytes:
    """Return metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return generate_latest(registry)


def training_families(facts: TrainingFacts) -> list[Metric]:
    """Return how the queue and its worker stand, and what came of the trainings.

    There is none of it before the first look: a counter that began at 0 would seem to have risen at each start.
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
        _gauge(
            "cineclub_worker_up",
            "1 while a worker process is there to run what is queued, else 0.",
            facts.is_worker_alive,
        ),
        _gauge("cineclub_trainings_queued", "Trainings that wait for a worker.", facts.n_queued),
        _gauge("cineclub_trainings_running", "Trainings that run.", facts.n_running),
        _gauge(
            "cineclub_training_heartbeat_age_seconds",
            "Seconds since the running training gave a sign of life; 0 while none runs.",
            facts.heartbeat_age_seconds,
        ),
        _gauge(
            "cineclub_trainings_known_timestamp_seconds",
            "When PostgreSQL was last asked about trainings, in seconds since 1970.",
            facts.known_at.timestamp(),
        ),
        versions,
        _gauge(
            "cineclub_served_version_rejected",
            "1 while a version serves that the gate rejected and a person promoted all the same, else 0.",
            facts.is_served_rejected,
        ),
        steps,
    ]


def ended_families(facts: TrainingFacts) -> list[Metric]:
    """Return how trainings ended, those that never did with 0: a first failure must be seen to rise."""
    found = {(one.outcome, one.trigger): one for one in facts.ended}
    ended = CounterMetricFamily(
        "cineclub_trainings",
        "Trainings that ended, by outcome and by what started them.",
        labels=["outcome", "trigger"],
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
            one = found.get((outcome, trigger))
            ended.add_metric([outcome, trigger], one.n_ended if one else 0)
        alike = [one for one in facts.ended if one.outcome == outcome]
        seconds.add_metric([outcome], sum(one.seconds for one in alike))
        newest.add_metric([outcome], max((one.newest_at.timestamp() for one in alike), default=0.0))
    return [ended, seconds, newest]


def _gauge(name: str, meaning: str, value: float) -> Metric:
    """Return a metric without labels."""
    return GaugeMetricFamily(name, meaning, value=value)


def drift_families(verdict: int, distances: Mapping[str, float], checked_seconds: float) -> list[Metric]:
    """Return what the newest check of drift found."""
    found = GaugeMetricFamily(
        "cineclub_drift_distance",
        "Distance of a statistic from its baseline at the newest check, in the statistic's own measure.",
        labels=["statistic"],
    )
    for statistic, distance in sorted(distances.items()):
        found.add_metric([statistic], distance)
    return [
        _gauge(
            "cineclub_drift_verdict",
            "Verdict of the newest drift check: 0 OK, 1 ALERT, 2 not enough data, -1 never checked.",
            verdict,
        ),
        found,
        _gauge(
            "cineclub_drift_checked_timestamp_seconds",
            "When drift was last checked, in seconds since 1970; 0 before.",
            checked_seconds,
        ),
    ]


def drift_watch_families(interval: timedelta) -> list[Metric]:
    """Return how drift is watched."""
    return [
        _gauge(
            "cineclub_drift_check_interval_seconds",
            "Seconds after which the service checks drift again by itself.",
            interval.total_seconds(),
        )
    ]


def outcome_families(outcomes: Outcomes | None) -> list[Metric]:
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
    counted = _gauge(
        "cineclub_recommendation_outcomes_timestamp_seconds",
        "When outcomes were last counted, in seconds since 1970; 0 before.",
        outcomes.until.timestamp() if outcomes else 0.0,
    )
    for version in by_version(outcomes.strategies) if outcomes else ():
        label = version_label(version.model_version)
        if version.cold_start_share is not None:
            cold_start.add_metric([label], version.cold_start_share)
        for one in version.strategies:
            for name, value in _figures_of(one, outcomes.n_movies if outcomes else 0).items():
                if value is not None:
                    figures[name].add_metric([label, one.strategy], value)
    return [*figures.values(), cold_start, counted]


def version_label(model_version: int | None) -> str:
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

"""Two versions judged on the same people: metric by metric, with how sure each difference is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.contest import gate_rng
from cineclub.domain.documents import to_document
from cineclub.domain.evaluation import RANKING_METRICS, SEGMENTS, Judgement
from cineclub.domain.promotion import Comparison, Verdict
from cineclub.domain.significance import Interval, paired_bootstrap
from cineclub.domain.training_plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """One metric of both versions.

    Attributes:
        name: of the metric.
        first: the first version's value; NaN where it has none.
        second: the second version's value.
        difference: second minus first.
        low: the low end of the interval of the difference; NaN where none can be had.
        high: its high end.
    """

    name: str
    first: float
    second: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ComparedVersion:
    """One of the two: its number and recipe, and until when it may have learned; None if unknown."""

    version: int
    recipe: str
    newest_rated_at: datetime | None


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """What came of judging two versions on the same rows.

    Attributes:
        first: the one that the gate would have in production.
        second: the one that the gate would have as the challenger.
        comparison: whether the registered arrays were judged, or both recipes fitted anew.
        window_starts: where the judged windows begin.
        n_people: how many people could be judged.
        confidence: of every interval, which is that of the gate.
        top_k: the length of the judged lists.
        metrics: every metric of both.
        verdict: what the gate would say of the second version.
        reason: why, in one sentence.
    """

    first: ComparedVersion
    second: ComparedVersion
    comparison: Comparison
    window_starts: tuple[datetime, ...]
    n_people: int
    confidence: float
    top_k: int
    metrics: tuple[MetricDifference, ...]
    verdict: Verdict
    reason: str

    @property
    def has_one_recipe(self) -> bool:
        """Whether both were fitted by the same recipe."""
        return self.first.recipe == self.second.recipe

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON document."""
        document: dict[str, Any] = to_document(self)
        return document


def metric_differences(first: Judgement, second: Judgement, plan: TrainingPlan) -> tuple[MetricDifference, ...]:
    """Return every metric of two judgements of the same windows, with the interval of second minus first.

    Coverage has none: it is a property of all lists together, not a mean over people.
    """
    ours, theirs = _values(first), _values(second)
    per_person = _per_person_differences(first, second)
    return tuple(_difference(name, ours[name], theirs[name], per_person.get(name), plan) for name in ours)


def _difference(
    name: str, first: float, second: float, per_person: NDArray[np.float64] | None, plan: TrainingPlan
) -> MetricDifference:
    """Return one metric with its interval, from a difference for each person, shape (n_people,), if there are any."""
    if per_person is None:
        return MetricDifference(name, first, second, second - first, float("nan"), float("nan"))
    interval = _interval(per_person, plan)
    return MetricDifference(name, first, second, interval.mean, interval.low, interval.high)


def _interval(differences: NDArray[np.float64], plan: TrainingPlan) -> Interval:
    """Return the interval as the gate makes it."""
    return paired_bootstrap(differences, gate_rng(plan), plan.n_resamples, plan.gate_confidence)


def _values(judgement: Judgement) -> dict[str, float]:
    """Return every metric by name, the primary one's segments last."""
    segments = judgement.ndcg_by_segment()
    return judgement.metrics() | {_segment_name(judgement, name): value for name, value in segments.items()}


def _per_person_differences(first: Judgement, second: Judgement) -> Mapping[str, NDArray[np.float64]]:
    """Return second minus first person by person, shape (n_people,), for each metric that is a mean over people."""
    at_k = f"at_{first.top_k}"
    found = {
        f"{name}_{at_k}": second.by_person(second.per_user[name] - first.per_user[name]) for name in RANKING_METRICS
    }
    found[f"novelty_{at_k}_bits"] = second.by_person(second.novelty_bits - first.novelty_bits)
    ndcg = second.ndcg - first.ndcg
    for segment in SEGMENTS:
        inside = np.where(second.in_segment(segment), ndcg, np.nan)
        found[_segment_name(second, segment)] = second.by_person(inside)
    if first.predicts_stars and second.predicts_stars:
        found["rmse"] = _contributions(second, "rmse") - _contributions(first, "rmse")
        found["mae"] = _contributions(second, "mae") - _contributions(first, "mae")
    return found


def _contributions(judgement: Judgement, name: str) -> NDArray[np.float64]:
    """Return what each person adds to a rating error, shape (n_people,); the mean of it is the error itself.

    A rating error is a ratio of sums over people, so it is taken to first order in each person's share of them
    (the delta method), which makes it a mean over people that can be resampled like every other.
    """
    errors = judgement.squared_errors if name == "rmse" else judgement.absolute_errors
    _, people = np.unique(judgement.user_ids, return_inverse=True)
    sums = np.bincount(people, weights=errors)
    counts = np.bincount(people, weights=judgement.n_predicted)
    ratio = sums.sum() / counts.sum()
    shares = (sums - ratio * counts) * len(sums) / counts.sum()
    if name == "mae":
        return np.asarray(ratio + shares, np.float64)
    root = np.sqrt(ratio)
    return np.asarray(root + (shares / (2 * root) if root > 0 else 0 * shares), np.float64)


def _segment_name(judgement: Judgement, segment: str) -> str:
    """Return the name of the primary metric of people with histories of some length."""
    return f"ndcg_at_{judgement.top_k} of {segment}"

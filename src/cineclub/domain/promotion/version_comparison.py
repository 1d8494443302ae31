"""Comparison of two versions on the same users: each metric with the interval of its difference."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.documents import to_document
from cineclub.domain.evaluation.evaluate import RANKING_METRICS, SEGMENTS, WITHOUT_HISTORY, Evaluation
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.significance import clustered_mean, paired_bootstrap
from cineclub.domain.promotion.backtest import gate_rng
from cineclub.domain.promotion.gate import Comparison, Verdict


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """One metric of both versions.

    Attributes:
        name: of the metric.
        first: the first version's value; NaN where it has none.
        second: the second version's value.
        difference: second minus first.
        low: the low end of the interval of the difference; NaN without an interval.
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
    """One of the two versions: its number, its recipe, and its newest rating; None if unknown."""

    version: int
    recipe: str
    newest_rated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Figures:
    """The nDCG of one model in the table of both versions and the baselines.

    Attributes:
        name: the version or the baseline.
        ndcg: the mean of users.
        low: the low end of its 95 % interval; NaN without one.
        high: its high end.
        ndcg_of_likes: the mean of likes.
        ndcg_without_history: the mean of users before their first rating; NaN without any.
    """

    name: str
    ndcg: float
    low: float
    high: float
    ndcg_of_likes: float
    ndcg_without_history: float

    @classmethod
    def of(cls, name: str, evaluation: Evaluation) -> "Figures":
        """Return the figures of an evaluation."""
        metrics, interval, top_k = evaluation.metrics(), evaluation.ndcg_interval(), evaluation.top_k
        return cls(
            name=name,
            ndcg=metrics[f"ndcg_at_{top_k}"],
            low=interval["low"],
            high=interval["high"],
            ndcg_of_likes=metrics[f"ndcg_of_likes_at_{top_k}"],
            ndcg_without_history=evaluation.ndcg_by_segment()[WITHOUT_HISTORY],
        )


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """Two versions evaluated on the same windows.

    Attributes:
        first: the version in the role of production.
        second: the version in the role of the challenger.
        comparison: whether the registered arrays were evaluated, or both recipes fitted anew.
        window_starts: the starts of the evaluation windows.
        n_people: the number of evaluated users.
        confidence: of every interval: that of the gate.
        top_k: the length of the evaluated lists.
        metrics: every metric of both.
        verdict: the gate's verdict on the second version.
        reason: its reason, in one sentence.
        n_likes: the number of ranked likes; None if a row is a user.
        n_people_without_history: the number of users with a like before which they had given no rating.
        figures: the nDCG of both versions and of every baseline.
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
    n_likes: int | None = None
    n_people_without_history: int = 0
    figures: tuple[Figures, ...] = ()

    @property
    def has_one_recipe(self) -> bool:
        """Whether both were fitted by the same recipe."""
        return self.first.recipe == self.second.recipe

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON document."""
        document: dict[str, Any] = to_document(self)
        return document


def metric_differences(first: Evaluation, second: Evaluation, plan: TrainingPlan) -> tuple[MetricDifference, ...]:
    """Return every metric of two evaluations of the same windows, with the interval of second minus first.

    Coverage has no interval: it is a property of all lists together, not a mean over users.
    """
    of_first, of_second = _values(first), _values(second)
    differences = _row_differences(first, second)
    return tuple(
        _difference(name, of_first[name], of_second[name], differences.get(name), second, plan) for name in of_first
    )


def _difference(
    name: str,
    first: float,
    second: float,
    differences: NDArray[np.float64] | None,
    evaluation: Evaluation,
    plan: TrainingPlan,
) -> MetricDifference:
    """Return one metric with the gate's interval of the differences by row, shape (n_rows,), if there are any.

    With one day, or one movie, nothing tells how far the ends are, and they are NaN.
    """
    if differences is None:
        return MetricDifference(name, first, second, second - first, float("nan"), float("nan"))
    is_over_rows = name in {"rmse", "mae", _name_of_likes(evaluation)}
    if len(evaluation.days):
        mean = clustered_mean(differences, evaluation.rows, is_over_rows=is_over_rows)
        interval = mean.interval(plan.gate_confidence)
    else:
        by_user = differences[~np.isnan(differences)] if is_over_rows else evaluation.by_person(differences)
        interval = paired_bootstrap(by_user, gate_rng(plan), plan.n_resamples, plan.gate_confidence)
    low, high = (end if np.isfinite(end) else np.nan for end in (interval.low, interval.high))
    return MetricDifference(name, first, second, interval.mean, low, high)


def _values(evaluation: Evaluation) -> dict[str, float]:
    """Return every metric by name, the primary metric by segment last."""
    segments = evaluation.ndcg_by_segment()
    return evaluation.metrics() | {_segment_name(evaluation, name): value for name, value in segments.items()}


def _row_differences(first: Evaluation, second: Evaluation) -> Mapping[str, NDArray[np.float64]]:
    """Return second minus first by row, shape (n_rows,), for each metric that is a mean over users or rows."""
    at_k = f"at_{first.top_k}"
    differences = {f"{name}_{at_k}": second.per_user[name] - first.per_user[name] for name in RANKING_METRICS}
    differences[f"novelty_{at_k}_bits"] = second.novelty_bits - first.novelty_bits
    ndcg = second.ndcg - first.ndcg
    for segment in SEGMENTS:
        differences[_segment_name(second, segment)] = np.where(second.in_segment(segment), ndcg, np.nan)
    differences[_name_of_likes(second)] = ndcg
    if first.predicts_stars and second.predicts_stars:
        differences["rmse"] = _contributions(second, "rmse") - _contributions(first, "rmse")
        differences["mae"] = _contributions(second, "mae") - _contributions(first, "mae")
    return differences


def _contributions(evaluation: Evaluation, name: str) -> NDArray[np.float64]:
    """Return the contribution of each user, or each judged rating, to a rating error; their mean is the error itself.

    A rating error is a ratio of sums over users. It is linearised in each user's share of them (the delta method),
    which makes it a mean over users that can be resampled like every other.
    """
    errors = evaluation.squared_errors if name == "rmse" else evaluation.absolute_errors
    _, units = np.unique(evaluation.user_ids, return_inverse=True)
    if len(evaluation.days):
        units = np.arange(len(errors))
    sums = np.bincount(units, weights=errors)
    counts = np.bincount(units, weights=evaluation.n_predicted)
    ratio = sums.sum() / counts.sum()
    shares = (sums - ratio * counts) * len(sums) / counts.sum()
    if name == "mae":
        return np.asarray(ratio + shares, np.float64)
    root = np.sqrt(ratio)
    return np.asarray(root + (shares / (2 * root) if root > 0 else 0 * shares), np.float64)


def _name_of_likes(evaluation: Evaluation) -> str:
    """Return the name of the primary metric's mean over likes."""
    return f"ndcg_of_likes_at_{evaluation.top_k}"


def _segment_name(evaluation: Evaluation, segment: str) -> str:
    """Return the name of the primary metric of a segment."""
    return f"ndcg_at_{evaluation.top_k} of {segment}"

"""The evidence of the gate: the difference of two models with its interval, and what would make it certain."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cineclub.domain.evaluation.evaluate import Evaluation
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.significance import (
    FEWEST_CLUSTERS,
    ClusteredMean,
    Clustering,
    Interval,
    clustered_mean,
    paired_bootstrap,
)
from cineclub.domain.promotion.guardrails import short_history_ndcg

MOST_EVIDENCE = 100.0
"""A difference that needs more than so many times the evidence is not worth waiting for: no number is stated."""


_WORDS: Mapping[Clustering, str] = {"users": "users", "movies": "films", "days": "days"}


@dataclass(frozen=True, slots=True)
class NeededEvidence:
    """The evaluated users and days that would make a difference certain; NaN where more of them would not."""

    n_users: float = math.nan
    n_days: float = math.nan

    def in_words(self) -> str:
        """Return the sentence part, empty without numbers."""
        if math.isnan(self.n_users):
            return ""
        days = f" over {self.n_days:,.0f} days" if self.n_days > 0 else ""
        return f"about {self.n_users:,.0f} evaluated users{days} would make it certain at this difference"


def compare(
    challenger: Evaluation,
    opponent: Evaluation,
    plan: TrainingPlan,
    rng: np.random.Generator,
    confidence: float | None = None,
) -> Interval:
    """Return the interval of the difference in nDCG, challenger minus opponent, over the users of both.

    It is the widest by user, movie and day, and with all at once, if the evaluations were walked in time. Rows of other
    evaluations are users, which are resampled; only then ``rng`` is used. The confidence is the gate's unless given.
    """
    wanted = plan.gate_confidence if confidence is None else confidence
    if len(challenger.days):
        return difference_of(challenger, opponent).interval(wanted)
    differences = challenger.by_person(challenger.ndcg - opponent.ndcg)
    return paired_bootstrap(differences, rng, plan.n_resamples, wanted)


def difference_of(challenger: Evaluation, opponent: Evaluation) -> ClusteredMean:
    """Return the mean difference in nDCG over users, challenger minus opponent, with its spread by clustering."""
    return clustered_mean(challenger.ndcg - opponent.ndcg, challenger.rows)


def best_of(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Return the evaluation with the highest nDCG, the first of equals."""
    return max(evaluations, key=lambda evaluation: -math.inf if math.isnan(mean := mean_ndcg(evaluation)) else mean)


def mean_ndcg(evaluation: Evaluation) -> float:
    """Return the mean nDCG over users, NaN if there are none."""
    by_person = evaluation.by_person(evaluation.ndcg)
    return float(by_person.mean()) if len(by_person) else math.nan


def gain_over(challenger: Evaluation, opponent: Evaluation) -> float:
    """Return the mean difference in nDCG over users, challenger minus opponent; NaN if there are none."""
    differences = challenger.by_person(challenger.ndcg - opponent.ndcg)
    return float(differences.mean()) if len(differences) else math.nan


def lack_of_evidence(interval: Interval, plan: TrainingPlan) -> str:
    """Return why nothing can be concluded from a comparison, empty if it can."""
    if interval.n_users < plan.min_judged_users:
        return f"not enough evidence: {interval.n_users} evaluated users, {plan.min_judged_users} needed"
    for n_seen, what in ((interval.n_days, "day"), (interval.n_movies, "film")):
        if 0 < n_seen < FEWEST_CLUSTERS:
            return f"not enough evidence: all evaluated ratings are of one {what}, at least {FEWEST_CLUSTERS} needed"
    return ""


def needed_for_certainty(
    challenger: Evaluation, opponent: Evaluation, interval: Interval, plan: TrainingPlan
) -> NeededEvidence:
    """Return the evidence that would put the interval above zero, at the difference and the spread of these windows.

    Users, movies and days are taken to grow alike. Nothing is returned if it is above zero already, or if the
    challenger is not better by estimate.
    """
    if interval.low > 0:
        return NeededEvidence()
    difference = difference_of(challenger, opponent)
    growth = difference.growth_for_certainty(plan.gate_confidence)
    if not growth <= MOST_EVIDENCE:
        return NeededEvidence()
    n_users = max(growth * difference.n_users, difference.n_users + 1, plan.min_judged_users)
    return NeededEvidence(_rounded_up(n_users), _rounded_up(growth * difference.n_days))


def in_words(interval: Interval, plan: TrainingPlan) -> str:
    """Return an interval as a clause."""
    span = f"{interval.confidence * 100:.3g} % interval {interval.low:+.4f} to {interval.high:+.4f}"
    difference = f"nDCG@{plan.top_k} {interval.mean:+.4f} over {interval.n_users} users"
    if not interval.n_days:
        return f"{difference}, {span}"
    is_joint = interval.clusters == "all at once"
    by = "users, films and days at once" if is_joint else f"the widest, by {_WORDS[interval.clusters]}"
    return f"{difference}, {interval.n_movies} films and {interval.n_days} days, {span} ({by})"


def numbers_of(
    challenger: Evaluation, opponent: Evaluation, interval: Interval, needed: NeededEvidence
) -> dict[str, float]:
    """Return the numbers of a decision by name."""
    return {
        "challenger_ndcg": mean_ndcg(challenger),
        "opponent_ndcg": mean_ndcg(opponent),
        "difference": interval.mean,
        "difference_low": interval.low,
        "difference_high": interval.high,
        "confidence": interval.confidence,
        "n_judged_users": interval.n_users,
        "users_for_certainty": needed.n_users,
        "days_for_certainty": needed.n_days,
        "challenger_rmse": challenger.rmse,
        "opponent_rmse": opponent.rmse,
        "challenger_coverage": challenger.coverage,
        "opponent_coverage": opponent.coverage,
        "challenger_short_history_ndcg": short_history_ndcg(challenger),
        "opponent_short_history_ndcg": short_history_ndcg(opponent),
    }


def _rounded_up(value: float) -> float:
    """Return a number rounded up to two digits; 0 stays."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** max(math.floor(math.log10(value)) - 1, 0)
    return math.ceil(value / unit) * unit

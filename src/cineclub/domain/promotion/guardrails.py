"""Guardrails of the gate: what better lists do not make up for."""

from collections.abc import Iterator

import numpy as np

from cineclub.domain.evaluation.evaluate import Evaluation
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.significance import clustered_mean

SHORT_HISTORIES = "1-4"
MIN_SHORT_HISTORY_USERS = 20
"""With fewer users of short histories their mean is not reliable, and its guardrail does not apply."""

HIGHEST_USUAL_STARS = 5.0
"""The plan states the margin of the rating error for a scale that ends here; it is scaled for others."""


def broken_guardrails(
    challenger: Evaluation, production: Evaluation, plan: TrainingPlan, confidence: float = 0.0
) -> tuple[str, ...]:
    """Return a clause for each guardrail that the challenger breaks: rating error, coverage, short histories.

    With a ``confidence`` a fall of the few users of short histories must exceed its own interval too.
    """
    return tuple(_broken_guardrails(challenger, production, plan, confidence))


def short_history_ndcg(evaluation: Evaluation) -> float:
    """Return the mean nDCG of users with short histories, NaN if there are none."""
    return evaluation.ndcg_by_segment()[SHORT_HISTORIES]


def _broken_guardrails(
    challenger: Evaluation, production: Evaluation, plan: TrainingPlan, confidence: float
) -> Iterator[str]:
    """Yield a clause for each broken guardrail; a number that one of the two lacks breaks none."""
    max_rise = plan.max_rmse_rise * challenger.scale.highest / HIGHEST_USUAL_STARS
    if challenger.rmse - production.rmse > max_rise:
        yield f"RMSE rose from {production.rmse:.3f} to {challenger.rmse:.3f} (at most +{max_rise:.3f})"
    reached = challenger.n_recommended / max(production.n_movies, 1)  # of one vocabulary: another may be larger
    if reached < (1 - plan.max_coverage_fall) * production.coverage:
        allowed = f"at most -{plan.max_coverage_fall:.0%}"
        yield f"coverage fell from {production.coverage:.1%} to {reached:.1%} ({allowed})"
    fall = short_history_ndcg(production) - short_history_ndcg(challenger)
    n_short = challenger.users_by_segment()[SHORT_HISTORIES]
    is_large = n_short >= MIN_SHORT_HISTORY_USERS and fall > plan.max_short_history_fall
    if is_large and _is_fall_certain(challenger, production, confidence):
        allowed = f"at most -{plan.max_short_history_fall:.3f}"
        yield f"nDCG of users with {SHORT_HISTORIES} ratings fell by {fall:.3f} ({allowed})"


def _is_fall_certain(challenger: Evaluation, production: Evaluation, confidence: float) -> bool:
    """Return whether the interval of the difference for short histories is below zero; always without confidence."""
    if not confidence:
        return True
    differences = np.where(challenger.in_segment(SHORT_HISTORIES), challenger.ndcg - production.ndcg, np.nan)
    return clustered_mean(differences, challenger.rows).interval(confidence).high < 0

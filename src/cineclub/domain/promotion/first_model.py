"""The first model: what serves when nothing is in production yet.

A challenger that is better for certain serves, as everywhere. With few users hardly anything is certain, and nothing
in production is replaced; so a challenger serves already if it is not worse than the floor by more than a margin
(non-inferiority; Piaggio et al. 2012, the CONSORT statement on such trials), and later gates hold it against the floor.
"""

from dataclasses import dataclass

import numpy as np

from cineclub.domain.evaluation.evaluate import Evaluation
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.significance import Interval
from cineclub.domain.promotion.evidence import (
    compare,
    in_words,
    lack_of_evidence,
    mean_ndcg,
    needed_for_certainty,
    numbers_of,
)
from cineclub.domain.promotion.guardrails import broken_guardrails


@dataclass(frozen=True, slots=True)
class FirstModel:
    """The model that serves first, the reason, and the comparison of the challenger with the floor."""

    winner: Evaluation
    reason: str
    interval: Interval
    numbers: dict[str, float]


def first_model(challenger: Evaluation, floor: Evaluation, plan: TrainingPlan, rng: np.random.Generator) -> FirstModel:
    """Return the challenger if it beats the floor or is shown to be not worse beyond the margin, else the floor."""
    interval = compare(challenger, floor, plan, rng)
    lenient = compare(challenger, floor, plan, rng, plan.first_model_confidence)
    margin = plan.floor_margin * mean_ndcg(floor)
    needed = needed_for_certainty(challenger, floor, interval, plan)
    numbers = numbers_of(challenger, floor, interval, needed)
    numbers |= {"floor_margin": margin, "first_model_low": lenient.low, "first_model_high": lenient.high}
    name, other = challenger.recipe.title, floor.recipe.title
    versus = "; ".join(filter(None, (f"{name} against {other}: {in_words(interval, plan)}", needed.in_words())))
    if challenger.recipe == floor.recipe:
        winner, reason = floor, f"{other} is the best candidate and nothing is in production yet"
    elif lack := lack_of_evidence(interval, plan):
        winner, reason = floor, f"{lack}, so {other} is promoted until there is some, because nothing serves yet"
    elif broken := broken_guardrails(challenger, floor, plan, plan.first_model_confidence):
        winner, reason = floor, f"{name} broke a guardrail ({broken[0]}), so {other} is promoted; {versus}"
    elif interval.low > 0:
        winner, reason = challenger, f"nothing is in production yet and {versus}"
    elif lenient.low >= -margin and lenient.high >= 0:
        not_worse = _not_worse(name, other, lenient, margin, plan)
        winner, reason = challenger, f"nothing is in production yet and {not_worse}; {versus}"
    else:
        winner, reason = floor, f"{_not_shown(lenient, other)}, so {other} is promoted; {versus}"
    return FirstModel(winner, reason, interval, numbers)


def _not_worse(name: str, other: str, lenient: Interval, margin: float, plan: TrainingPlan) -> str:
    """Return the clause of a challenger that is not worse beyond the margin, with the chance that this is wrong."""
    chance = (1 - lenient.confidence) / 2
    loss = f"{margin:.4f} nDCG, {plan.floor_margin:.0%} of it"
    return f"{name} is not shown to be better than {other}, but not worse by more than {loss} (error {chance:.0%})"


def _not_shown(lenient: Interval, other: str) -> str:
    """Return the clause of a challenger that is worse than the floor, or may be."""
    if lenient.high < 0:
        return f"no candidate is better than {other}"
    span = f"{lenient.confidence:.0%} interval {lenient.low:+.4f} to {lenient.high:+.4f}"
    return f"nothing is shown to be better than {other}, or not worse ({span})"

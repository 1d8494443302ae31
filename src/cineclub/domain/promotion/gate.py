"""The gate: the decision whether a challenger replaces production, with its reason and numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cineclub.domain.evaluation.evaluate import Evaluation
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.significance import Interval, paired_bootstrap
from cineclub.domain.promotion.evidence import (
    NeededEvidence,
    compare,
    gain_over,
    in_words,
    lack_of_evidence,
    mean_ndcg,
    needed_for_certainty,
    numbers_of,
)
from cineclub.domain.promotion.first_model import first_model
from cineclub.domain.promotion.guardrails import broken_guardrails
from cineclub.domain.recommend.recipe import Recipe

Verdict = Literal["PROMOTE", "REFRESH", "HOLD", "REJECT"]
Comparison = Literal["as deployed", "recipe refitted"]
"""Production as it serves, on ratings newer than its own; or its recipe, refitted on the challenger's ratings."""

MIN_LIST_OVERLAP = 0.1
"""The lists of a sane refit share at least this part with production's."""


@dataclass(frozen=True, slots=True)
class Incumbent:
    """Production as the gate needs it.

    Attributes:
        evaluation: on the challenger's windows.
        age_days: days since it was registered.
        comparison: whether the deployed model or a refit of its recipe was evaluated.
        is_in_drift: whether the ratings drift from those that it learned from.
    """

    evaluation: Evaluation
    age_days: float
    comparison: Comparison = "recipe refitted"
    is_in_drift: bool = False


@dataclass(frozen=True, slots=True)
class PromotionDecision:
    """A verdict on a model, its reason in one sentence, and its numbers."""

    verdict: Verdict
    reason: str
    recipe: Recipe
    interval: Interval
    numbers: Mapping[str, float]

    @property
    def is_promoted(self) -> bool:
        """Whether the model goes into production."""
        return self.verdict in {"PROMOTE", "REFRESH"}


def decide_promotion(
    challenger: Evaluation,
    floor: Evaluation,
    incumbent: Incumbent | None,
    plan: TrainingPlan,
    rng: np.random.Generator,
) -> PromotionDecision:
    """Return the verdict on a challenger, evaluated beside the floor and production on the same users.

    The floor is the best trend: the best of popular over all time and over the last days. Without a production model
    the challenger serves if it is not worse than the floor beyond a margin, else the floor, so that a model serves.
    """
    if incumbent is None:
        first = first_model(challenger, floor, plan, rng)
        return PromotionDecision("PROMOTE", first.reason, first.winner.recipe, first.interval, first.numbers)
    production = incumbent.evaluation
    interval = compare(challenger, production, plan, rng)
    verdict, reason = _verdict(challenger, floor, incumbent, interval, plan)
    needed = NeededEvidence()
    if verdict == "HOLD" and challenger.recipe != production.recipe:
        needed = needed_for_certainty(challenger, production, interval, plan)
        reason = "; ".join(filter(None, (reason, needed.in_words())))
    numbers = numbers_of(challenger, production, interval, needed) | {"production_age_days": incumbent.age_days}
    return PromotionDecision(verdict, reason, challenger.recipe, interval, numbers)


def floor_takes_over(
    verdict: PromotionDecision,
    challenger: Evaluation,
    floor: Evaluation,
    incumbent: Incumbent,
    plan: TrainingPlan,
    rng: np.random.Generator,
) -> PromotionDecision | None:
    """Return the decision to replace production by the floor, because production is worse than it for certain.

    The floor is the best of several trends on these very windows, so its interval has a higher confidence. None if
    production is not worse for certain, or if the challenger is promoted and is no worse than the floor.
    """
    production = incumbent.evaluation
    interval = compare(floor, production, plan, rng, plan.floor_confidence)
    is_challenger_better = verdict.is_promoted and gain_over(challenger, floor) >= 0
    if floor.recipe == production.recipe or lack_of_evidence(interval, plan) or is_challenger_better:
        return None
    if not interval.low > 0:
        return None
    reason = (
        f"production is worse than the best trend, so that serves; {_versus(floor, incumbent, interval, plan)}; "
        f"the challenger's verdict was {verdict.verdict}: {verdict.reason}"
    )
    numbers = numbers_of(floor, production, interval, NeededEvidence()) | {"production_age_days": incumbent.age_days}
    return PromotionDecision("PROMOTE", reason, floor.recipe, interval, numbers)


def fallback_refit(
    decision: PromotionDecision, floor: Evaluation, incumbent: Incumbent, plan: TrainingPlan
) -> PromotionDecision | None:
    """Return the decision for the fallback refit of production's recipe if another recipe did not replace it.

    Without it production would not learn from new ratings while challengers come close without winning. None if the
    challenger is promoted or has production's recipe, or if a refit would not be promoted either.
    """
    production = incumbent.evaluation
    has_evidence = decision.interval.n_users >= plan.min_judged_users
    if decision.is_promoted or decision.recipe == production.recipe or not has_evidence:
        return None
    verdict, reason = _refresh(production, floor, plan)
    if verdict != "REFRESH":
        return None
    outcome = f"{reason}; the challenger's verdict was {decision.verdict}: {decision.reason}"
    return PromotionDecision("REFRESH", outcome, production.recipe, decision.interval, decision.numbers)


def refit_after_erasure(verdict: PromotionDecision, incumbent: Incumbent) -> PromotionDecision:
    """Return the decision for the refit of production's recipe, as production has learned from an erased user.

    It needs no evidence that the refit is better; the refit must be sane, as any other.
    """
    reason = (
        "production may have learned from a user who was erased, so its recipe takes over, fitted without them; "
        f"the challenger's verdict was {verdict.verdict}: {verdict.reason}"
    )
    return PromotionDecision("REFRESH", reason, incumbent.evaluation.recipe, verdict.interval, verdict.numbers)


@dataclass(frozen=True, slots=True)
class RefitSimilarity:
    """Overlap and coverage of a refit's lists compared with the served model's, for the same users.

    Attributes:
        list_overlap: the mean share of movies that a user's two lists have in common, 0 to 1; NaN without users.
        relative_coverage: the number of different movies on the refit's lists as a share of those on the served lists.
    """

    list_overlap: float
    relative_coverage: float

    def fault(self, recipe: Recipe, plan: TrainingPlan) -> str:
        """Return the evidence that the refit of a recipe is broken; empty if it is sane."""
        min_coverage = 1 - plan.max_coverage_fall
        if self.list_overlap < MIN_LIST_OVERLAP:
            fault = f"its lists share {self.list_overlap:.0%} with production's, at least {MIN_LIST_OVERLAP:.0%} needed"
        elif self.relative_coverage < min_coverage:
            share, needed = f"{self.relative_coverage:.0%}", f"{min_coverage:.0%}"
            fault = f"it recommends {share} as many different films as production, at least {needed} needed"
        else:
            return ""
        return f"the refit of {recipe.model} is not sane: {fault}"


def without_refresh(verdict: PromotionDecision, fault: str) -> PromotionDecision:
    """Return the decision after a refit of production's recipe turned out broken.

    The refit is rejected if it was the challenger itself; after a fallback refit the challenger's ``verdict`` stands.
    """
    if verdict.is_promoted:
        return replace(verdict, verdict="REJECT", reason=fault)
    return replace(verdict, reason=f"{verdict.reason}; {fault}")


def hold(challenger: Evaluation, floor: Evaluation, reason: str, plan: TrainingPlan) -> PromotionDecision:
    """Return HOLD because production could not be evaluated, for the given reason."""
    no_interval = paired_bootstrap(np.empty(0), np.random.default_rng(plan.seed))
    numbers = numbers_of(challenger, floor, no_interval, NeededEvidence())
    return PromotionDecision("HOLD", reason, challenger.recipe, no_interval, numbers)


def _verdict(
    challenger: Evaluation, floor: Evaluation, incumbent: Incumbent, interval: Interval, plan: TrainingPlan
) -> tuple[Verdict, str]:
    """Return the verdict against a production model, and its reason."""
    production, lack = incumbent.evaluation, lack_of_evidence(interval, plan)
    is_refit = challenger.recipe == production.recipe
    if lack and (interval.n_users < plan.min_judged_users or not is_refit):
        return "HOLD", lack
    if broken := broken_guardrails(challenger, production, plan):
        return "REJECT", f"{challenger.recipe.title} broke a guardrail: {'; '.join(broken)}"
    if is_refit and interval.high < 0:
        return "REJECT", f"the refit of {_versus(challenger, incumbent, interval, plan)}"
    if is_refit:
        return _refresh(challenger, floor, plan)
    verdict, reason = _compare_recipes(challenger, incumbent, interval, plan)
    if verdict == "PROMOTE" and (below := _below(challenger, floor, plan)):
        return "HOLD", f"{below}; {reason}"
    return verdict, reason


def _compare_recipes(
    challenger: Evaluation, incumbent: Incumbent, interval: Interval, plan: TrainingPlan
) -> tuple[Verdict, str]:
    """Return the verdict on a recipe other than production's, by the interval of the difference."""
    versus = _versus(challenger, incumbent, interval, plan)
    if interval.high < 0:
        return "REJECT", versus
    if interval.low > 0:
        return "PROMOTE", versus
    is_old = incumbent.age_days > plan.max_model_age_days
    if (is_old or incumbent.is_in_drift) and interval.low >= -plan.non_inferiority_margin:
        state = f"{incumbent.age_days:.0f} days old" if is_old else "in drift"
        return "PROMOTE", f"production is {state} and the challenger is not worse; {versus}"
    return "HOLD", f"inconclusive, {versus}"


def _refresh(refit: Evaluation, floor: Evaluation, plan: TrainingPlan) -> tuple[Verdict, str]:
    """Return the verdict on production's recipe fitted on newer ratings: it must not be below the floor."""
    if below := _below(refit, floor, plan):
        return "HOLD", below
    gain = gain_over(refit, floor)
    return "REFRESH", f"the recipe of production on newer ratings; nDCG {gain:+.4f} against {floor.recipe.title}"


def _below(evaluation: Evaluation, floor: Evaluation, plan: TrainingPlan) -> str:
    """Return a clause if a model is below the floor, by estimate, by more than the margin; empty for a trend.

    A production that is worse for certain is replaced; until then a refit serves better than the older fit.
    """
    gain, margin = gain_over(evaluation, floor), plan.floor_margin * mean_ndcg(floor)
    if evaluation.recipe.model == floor.recipe.model or gain >= -margin:
        return ""
    allowed = f"at most -{margin:.4f}"
    return f"{evaluation.recipe.title} is below {floor.recipe.title}: nDCG {gain:+.4f} ({allowed})"


def _versus(challenger: Evaluation, incumbent: Incumbent, interval: Interval, plan: TrainingPlan) -> str:
    """Return the compared models, the kind of comparison, and the interval as a clause."""
    opponent = f"{incumbent.evaluation.recipe.title} ({incumbent.comparison})"
    return f"{challenger.recipe.title} against {opponent}: {in_words(interval, plan)}"

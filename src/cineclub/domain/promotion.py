"""Whether a challenger replaces the model in production: one pure decision that explains itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation import Judgement
from cineclub.domain.recipe import Recipe
from cineclub.domain.significance import Interval, paired_bootstrap
from cineclub.domain.training_plan import TrainingPlan

Verdict = Literal["PROMOTE", "REFRESH", "HOLD", "REJECT"]
Comparison = Literal["as deployed", "recipe refitted"]
"""Production as it serves, on ratings newer than all it learned from; or its recipe fitted on the challenger's rows."""

MIN_LIST_OVERLAP = 0.1
"""A refit of the same recipe shares at least this part of its lists with production's, or something is broken."""

SHORT_HISTORIES = "1-4"
MIN_SHORT_HISTORY_USERS = 20
"""Below this many people with short histories their mean says nothing, and its guardrail does not apply."""

HIGHEST_USUAL_STARS = 5.0
"""The plan states the margin of the rating error for a scale that ends here; others stretch it."""


@dataclass(frozen=True, slots=True)
class Incumbent:
    """The model in production as the gate sees it.

    Attributes:
        judgement: how it did on the challenger's windows: its recipe fitted on the challenger's rows, or the model
            as it is deployed.
        age_days: how long ago it was registered.
        comparison: which of the two was judged.
        is_in_drift: whether what people rate has moved away from what it learned.
    """

    judgement: Judgement
    age_days: float
    comparison: Comparison = "recipe refitted"
    is_in_drift: bool = False


@dataclass(frozen=True, slots=True)
class PromotionDecision:
    """What happens to which model, why in one sentence, and the numbers behind it."""

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
    challenger: Judgement, popular: Judgement, incumbent: Incumbent | None, plan: TrainingPlan, rng: np.random.Generator
) -> PromotionDecision:
    """Return the verdict on a challenger, judged beside Popular and production on the same people.

    Without a production model the challenger must beat Popular; where it does not, Popular is promoted, so that
    something serves.
    """
    if incumbent is None:
        return _first_promotion(challenger, popular, plan, rng)
    production = incumbent.judgement
    interval = compare(challenger, production, plan, rng)
    verdict, reason = _verdict(challenger, popular, incumbent, interval, plan)
    numbers = _numbers(challenger, production, interval) | {"production_age_days": incumbent.age_days}
    return PromotionDecision(verdict, reason, challenger.recipe, interval, numbers)


def refresh_instead(
    decision: PromotionDecision, popular: Judgement, incumbent: Incumbent, plan: TrainingPlan
) -> PromotionDecision | None:
    """Return the decision to refit production's own recipe where a challenger of another recipe did not replace it.

    Else production would learn nothing new for as long as challengers come close without winning. None where the
    challenger is promoted or has production's recipe, or a refit would not go live either.
    """
    production = incumbent.judgement
    has_evidence = decision.interval.n_users >= plan.min_judged_users
    if decision.is_promoted or decision.recipe == production.recipe or not has_evidence:
        return None
    verdict, reason = _refresh(production, popular)
    if verdict != "REFRESH":
        return None
    outcome = f"{reason}; the challenger's verdict was {decision.verdict}: {decision.reason}"
    return PromotionDecision("REFRESH", outcome, production.recipe, decision.interval, decision.numbers)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How a refit's lists resemble those of the model that serves, for the same people.

    Attributes:
        list_overlap: the mean share of films that the lists of a person have in common, 0 to 1; NaN without people.
        kept_coverage: how many different films the refit lists, as a share of what the served model lists.
    """

    list_overlap: float
    kept_coverage: float

    def fault(self, recipe: Recipe, plan: TrainingPlan) -> str:
        """Return what shows that the refit of a recipe is broken, empty where it is sane."""
        least_kept = 1 - plan.max_coverage_fall
        if self.list_overlap < MIN_LIST_OVERLAP:
            found = f"its lists share {self.list_overlap:.0%} with production's, at least {MIN_LIST_OVERLAP:.0%} needed"
        elif self.kept_coverage < least_kept:
            kept, least = f"{self.kept_coverage:.0%}", f"{least_kept:.0%}"
            found = f"it recommends {kept} of as many films as production, at least {least} needed"
        else:
            return ""
        return f"the refit of {recipe.model} is not sane: {found}"


def without_refresh(verdict: PromotionDecision, fault: str) -> PromotionDecision:
    """Return what happens where the refit of production's recipe turned out broken: its rejection, or nothing else.

    ``verdict`` is the challenger's own: it stands where the refit was made instead of another recipe.
    """
    if verdict.is_promoted:
        return replace(verdict, verdict="REJECT", reason=fault)
    return replace(verdict, reason=f"{verdict.reason}; {fault}")


def hold(challenger: Judgement, popular: Judgement, reason: str, plan: TrainingPlan) -> PromotionDecision:
    """Return the decision to change nothing because production could not be judged, for the reason given."""
    no_interval = paired_bootstrap(np.empty(0), np.random.default_rng(plan.seed))
    numbers = _numbers(challenger, popular, no_interval)
    return PromotionDecision("HOLD", reason, challenger.recipe, no_interval, numbers)


def compare(one: Judgement, other: Judgement, plan: TrainingPlan, rng: np.random.Generator) -> Interval:
    """Return the interval of the difference in nDCG, ``one`` minus ``other``, over the people both were judged on."""
    differences = one.by_person(one.ndcg - other.ndcg)
    return paired_bootstrap(differences, rng, plan.n_resamples, plan.gate_confidence)


def broken_guardrails(challenger: Judgement, production: Judgement, plan: TrainingPlan) -> tuple[str, ...]:
    """Return a clause for each guardrail that the challenger breaks: rating error, coverage, short histories."""
    return tuple(_broken_guardrails(challenger, production, plan))


def _broken_guardrails(challenger: Judgement, production: Judgement, plan: TrainingPlan) -> Iterator[str]:
    """Yield a clause for each broken guardrail; a number that one of the two lacks breaks nothing."""
    max_rise = plan.max_rmse_rise * challenger.scale.highest / HIGHEST_USUAL_STARS
    if challenger.rmse - production.rmse > max_rise:
        yield f"RMSE rose from {production.rmse:.3f} to {challenger.rmse:.3f} (at most +{max_rise:.3f})"
    if challenger.coverage < (1 - plan.max_coverage_fall) * production.coverage:
        allowed = f"at most -{plan.max_coverage_fall:.0%}"
        yield f"coverage fell from {production.coverage:.1%} to {challenger.coverage:.1%} ({allowed})"
    fall = _short_history_ndcg(production) - _short_history_ndcg(challenger)
    n_short = challenger.users_by_segment()[SHORT_HISTORIES]
    if n_short >= MIN_SHORT_HISTORY_USERS and fall > plan.max_short_history_fall:
        allowed = f"at most -{plan.max_short_history_fall:.3f}"
        yield f"nDCG of users with {SHORT_HISTORIES} ratings fell by {fall:.3f} ({allowed})"


def _first_promotion(
    challenger: Judgement, popular: Judgement, plan: TrainingPlan, rng: np.random.Generator
) -> PromotionDecision:
    """Return the decision where nothing serves yet: the challenger if it beats Popular, else Popular."""
    interval = compare(challenger, popular, plan, rng)
    numbers = _numbers(challenger, popular, interval)
    versus = f"{challenger.recipe.model} against popular: {_in_words(interval, plan)}"
    if challenger.recipe == popular.recipe:
        winner, reason = popular, "popular is the best candidate and nothing is in production yet"
    elif interval.n_users < plan.min_judged_users:
        few = f"not enough evidence ({interval.n_users} judged users, {plan.min_judged_users} needed)"
        winner, reason = popular, f"{few}, so popular is promoted until there is some, because nothing serves yet"
    elif interval.low <= 0:
        winner, reason = popular, f"nothing beat popular for certain, so popular is promoted; {versus}"
    elif broken := broken_guardrails(challenger, popular, plan):
        winner, reason = popular, f"{challenger.recipe.model} broke a guardrail ({broken[0]}), so popular is promoted"
    else:
        winner, reason = challenger, f"nothing is in production yet and {versus}"
    return PromotionDecision("PROMOTE", reason, winner.recipe, interval, numbers)


def _verdict(
    challenger: Judgement, popular: Judgement, incumbent: Incumbent, interval: Interval, plan: TrainingPlan
) -> tuple[Verdict, str]:
    """Return the verdict against a production model, and its reason."""
    production = incumbent.judgement
    if interval.n_users < plan.min_judged_users:
        return "HOLD", f"not enough evidence: {interval.n_users} judged users, {plan.min_judged_users} needed"
    if broken := broken_guardrails(challenger, production, plan):
        return "REJECT", f"{challenger.recipe.model} broke a guardrail: {'; '.join(broken)}"
    if challenger.recipe == production.recipe:
        if interval.high < 0:
            return "REJECT", f"the refit of {_versus(challenger, incumbent, interval, plan)}"
        return _refresh(challenger, popular)
    return _contest(challenger, incumbent, interval, plan)


def _contest(
    challenger: Judgement, incumbent: Incumbent, interval: Interval, plan: TrainingPlan
) -> tuple[Verdict, str]:
    """Return the verdict on another recipe than production's, by the interval of the difference."""
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


def _refresh(refit: Judgement, popular: Judgement) -> tuple[Verdict, str]:
    """Return the verdict on production's own recipe, fitted on newer data: it must beat Popular still."""
    recipe = refit.recipe
    gain = _mean(refit.by_person(refit.ndcg - popular.ndcg))
    if recipe != popular.recipe and gain <= 0:
        return "HOLD", f"{recipe.model} no longer beats popular: nDCG {gain:+.4f}"
    return "REFRESH", f"the recipe of production on newer ratings; nDCG {gain:+.4f} against popular"


def _versus(challenger: Judgement, incumbent: Incumbent, interval: Interval, plan: TrainingPlan) -> str:
    """Return who was compared with whom, how, and what came of it."""
    rival = f"{incumbent.judgement.recipe.model} ({incumbent.comparison})"
    return f"{challenger.recipe.model} against {rival}: {_in_words(interval, plan)}"


def _numbers(challenger: Judgement, opponent: Judgement, interval: Interval) -> dict[str, float]:
    """Return what the decision looked at, by name."""
    return {
        "challenger_ndcg": _mean(challenger.by_person(challenger.ndcg)),
        "opponent_ndcg": _mean(opponent.by_person(opponent.ndcg)),
        "difference": interval.mean,
        "difference_low": interval.low,
        "difference_high": interval.high,
        "confidence": interval.confidence,
        "n_judged_users": interval.n_users,
        "challenger_rmse": challenger.rmse,
        "opponent_rmse": opponent.rmse,
        "challenger_coverage": challenger.coverage,
        "opponent_coverage": opponent.coverage,
        "challenger_short_history_ndcg": _short_history_ndcg(challenger),
        "opponent_short_history_ndcg": _short_history_ndcg(opponent),
    }


def _in_words(interval: Interval, plan: TrainingPlan) -> str:
    """Return the interval as a clause."""
    span = f"{interval.confidence * 100:.3g} % interval {interval.low:+.4f} to {interval.high:+.4f}"
    return f"nDCG@{plan.top_k} {interval.mean:+.4f} over {interval.n_users} users, {span}"


def _short_history_ndcg(judgement: Judgement) -> float:
    """Return the mean nDCG of people with short histories, NaN where there are none."""
    return judgement.ndcg_by_segment()[SHORT_HISTORIES]


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of what is not NaN, NaN of nothing."""
    judged = values[~np.isnan(values)]
    return float(judged.mean()) if len(judged) else float("nan")

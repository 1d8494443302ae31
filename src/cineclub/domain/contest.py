"""A challenger, the baselines and production on common ground, and what follows from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cineclub.domain.errors import NotEnoughData
from cineclub.domain.evaluation import Judgement, judge, list_overlap
from cineclub.domain.filtering import FilterReport
from cineclub.domain.promotion import (
    Comparison,
    Incumbent,
    Likeness,
    PromotionDecision,
    decide_promotion,
    hold,
    refresh_instead,
)
from cineclub.domain.ratings import RatingLog
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel
from cineclub.domain.scoreboard import Fit, Meters, Scoreboard, Trial, filtered, pooled_board
from cineclub.domain.setbacks import Setback, barring
from cineclub.domain.splitting import Split, TimeCuts, split_at
from cineclub.domain.training_plan import TrainingPlan

GATE_STREAM, WINDOW_STREAM = 1, 3
"""Keep the gate's resamples and the sample of judged people apart from the fits, which derive from seed and name."""


@dataclass(frozen=True, slots=True)
class Production:
    """What is in production.

    Attributes:
        recipe: with every hyperparameter that its model has.
        age_days: how long ago it was registered.
        newest_rated_at: the newest rating it learned from, microseconds since 1970-01-01 UTC; None if unknown.
        served: the model as deployed; None where it does not load.
        is_up_to_date: whether there are no other ratings now than those it learned from.
        is_in_drift: whether what people rate has moved away from what it learned.
        setbacks: what probation rolled back a short while ago, newest first.
    """

    recipe: Recipe
    age_days: float
    newest_rated_at: int | None
    served: FittedModel | None
    is_up_to_date: bool = False
    is_in_drift: bool = False
    setbacks: tuple[Setback, ...] = ()


@dataclass(frozen=True, slots=True)
class DeployedPeriod:
    """When production can be judged as deployed, and what a challenger may learn from; microseconds since 1970."""

    start: int
    fitted_before: int


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the challenger meets production: the windows, and what is fitted before them.

    Attributes:
        trials: a trial for each window, oldest first.
        starts: where the windows begin, microseconds since 1970-01-01 UTC.
        fitted_before: only ratings before this moment are learned from in the newest trial.
        fit_filter: what the filter left of the newest trial's ratings.
        is_deployed: whether production is judged as deployed: every window is newer than anything it learned from.
    """

    trials: tuple[Trial, ...]
    starts: tuple[int, ...]
    fitted_before: int
    fit_filter: FilterReport
    is_deployed: bool = False


def deployed_period(challenger: Recipe, production: Production, test_start: int) -> DeployedPeriod | None:
    """Return when production can be judged as deployed beside a challenger; None where it cannot.

    The period is newer than all that production learned from, and than all that the challenger was chosen by. Another
    recipe learns from what production learned from. The same recipe learns from everything before the period, for there
    the question is whether the refit is worse; where that holds nothing new there is nothing to compare.
    """
    if production.newest_rated_at is None or production.served is None:
        return None
    learned_before = production.newest_rated_at + 1
    start = max(learned_before, test_start)
    if challenger != production.recipe:
        return DeployedPeriod(start, learned_before)
    return DeployedPeriod(start, start) if start > learned_before else None


def trial_of(split: Split, plan: TrainingPlan, fit: Fit, meters: Meters) -> tuple[Trial, FilterReport]:
    """Return the common ground of the candidates of one window, and what the filter left to learn from.

    Raises:
        NotEnoughData: the filter left nothing.
    """
    ratings, report = filtered(split.fit, plan.min_ratings_per_user, plan.min_ratings_per_movie)
    window = split.window.sampled(plan.max_judged_users, np.random.default_rng([plan.seed, WINDOW_STREAM]))
    return Trial(ratings, window, plan.top_k, plan.seed, fit, meters), report


def rolling_ground(log: RatingLog, cuts: TimeCuts, plan: TrainingPlan, fit: Fit, meters: Meters) -> Ground:
    """Return the test windows of the cuts, where recipes meet that are fitted anew before each.

    Raises:
        NotEnoughData: the filter left nothing before one of them.
    """
    tests = [trial_of(split_at(log, start, end), plan, fit, meters) for start, end in cuts.windows]
    return Ground(tuple(trial for trial, _ in tests), cuts.test_starts, cuts.test_starts[-1], tests[-1][1])


def deployed_ground(
    log: RatingLog, period: DeployedPeriod, plan: TrainingPlan, fit: Fit, meters: Meters
) -> Ground | None:
    """Return the ground on which models are judged as deployed; None where too few people can be judged there.

    Raises:
        NotEnoughData: the filter left nothing to learn from before it.
    """
    window = split_at(log, period.start).window
    if len(window.user_ids_who_like()) < plan.wanted_judged_users:
        return None
    split = Split(log.take(log.rated_at < period.fitted_before), window)
    trial, report = trial_of(split, plan, fit, meters)
    return Ground((trial,), (period.start,), period.fitted_before, report, is_deployed=True)


def gate_rng(plan: TrainingPlan) -> np.random.Generator:
    """Return where the gate's resamples come from."""
    return np.random.default_rng([plan.seed, GATE_STREAM])


def judge_all(
    challenger: Recipe, rivals: Sequence[Recipe], trials: Sequence[Trial], tell: Callable[[Recipe, float], None]
) -> tuple[Scoreboard, FittedModel]:
    """Return everybody's scoreboard over all windows, and the challenger as fitted for the newest of them.

    Args:
        challenger: judged first; its fit must not be refused.
        rivals: judged beside it, or left out.
        trials: one for each window, oldest first.
        tell: told which recipe is under way and the finished fraction of all; may raise to stop.
    """
    boards = []
    for nth, trial in enumerate(trials):
        judged, fitted = trial.run(challenger, _part(tell, 2 * nth, 2 * len(trials), challenger))
        board = trial.run_all(rivals, _parts(tell, 2 * nth + 1, 2 * len(trials)))
        boards.append(Scoreboard((judged, *board.candidates), board.left_out))
    return pooled_board(boards), fitted


def decide(
    board: Scoreboard,
    challenger: Recipe,
    popular: Recipe,
    production: Production | None,
    ground: Ground,
    plan: TrainingPlan,
    rng: np.random.Generator,
) -> tuple[PromotionDecision, PromotionDecision]:
    """Return the gate's verdict on the challenger, and what is to happen: that, or a refit of production's recipe."""
    contender, floor = judgement_of(board, challenger), judgement_of(board, popular)
    if production is None:
        verdict = decide_promotion(contender, floor, None, plan, rng)
        return verdict, verdict
    rival = _rival(board, production, ground)
    if isinstance(rival, str):
        held = hold(contender, floor, rival, plan)
        return held, held
    incumbent = incumbent_of(rival, production, ground)
    verdict = held_after_setback(decide_promotion(contender, floor, incumbent, plan, rng), production)
    instead = None if production.is_up_to_date else refresh_instead(verdict, floor, incumbent, plan)
    return verdict, held_after_setback(instead or verdict, production)


def held_after_setback(decision: PromotionDecision, production: Production) -> PromotionDecision:
    """Return a decision, turned into HOLD where it would promote again what probation has just rolled back."""
    setback = barring(production.setbacks, decision.recipe, production.recipe)
    if setback is None or not decision.is_promoted:
        return decision
    reason = (
        f"{decision.recipe.model} was rolled back by probation (version {setback.version}, "
        f"{setback.rolled_back_at:%Y-%m-%d}): people liked other lists better, and a person may promote it; "
        f"the gate's own verdict was {decision.verdict}: {decision.reason}"
    )
    return replace(decision, verdict="HOLD", reason=reason)


def _rival(board: Scoreboard, production: Production, ground: Ground) -> Judgement | str:
    """Return how production did, or why it could not be judged."""
    if ground.is_deployed and production.served is not None:
        return judge_as_deployed(production.served, production.recipe, ground)
    if (rival := board.of(production.recipe)) is not None:
        return rival.judgement
    why = next(left.reason for left in board.left_out if left.recipe == production.recipe)
    return f"production's recipe {production.recipe} could not be fitted for the comparison: {why}"


def judge_as_deployed(served: FittedModel, recipe: Recipe, ground: Ground) -> Judgement:
    """Return how a registered model did on the newest window, under the name of its completed recipe."""
    trial = ground.trials[-1]
    return replace(judge(served, trial.window, trial.top_k), recipe=recipe)


def incumbent_of(rival: Judgement, production: Production, ground: Ground) -> Incumbent:
    """Return production as the gate sees it."""
    comparison: Comparison = "as deployed" if ground.is_deployed else "recipe refitted"
    return Incumbent(rival, production.age_days, comparison, production.is_in_drift)


def fault_of_refit(refit: FittedModel, served: FittedModel, trial: Trial, plan: TrainingPlan) -> str:
    """Return what shows that a refit is broken, beside the served model for a trial's people; empty where it is sane.

    The refit is the one that would serve. One that was fitted before a window has seen fewer ratings and films than
    production has, and lists fewer films for that reason alone.
    """
    ours, theirs = (judge(one, trial.window, trial.top_k) for one in (refit, served))
    likeness = Likeness(list_overlap(ours, theirs), ours.n_recommended / max(theirs.n_recommended, 1))
    return likeness.fault(refit.recipe, plan)


def judgement_of(board: Scoreboard, recipe: Recipe) -> Judgement:
    """Return how a recipe did that nothing refuses, on any data."""
    candidate = board.of(recipe)
    if candidate is None:
        message = f"{recipe} could not be fitted: import more ratings"
        raise NotEnoughData(message)
    return candidate.judgement


def _part(tell: Callable[[Recipe, float], None], nth: int, n_parts: int, recipe: Recipe) -> Callable[[float], None]:
    """Return the progress of one recipe as a part of the whole."""
    return lambda fraction: tell(recipe, (nth + fraction) / n_parts)


def _parts(tell: Callable[[Recipe, float], None], nth: int, n_parts: int) -> Callable[[Recipe, float], None]:
    """Return the progress of several recipes as a part of the whole."""
    return lambda recipe, fraction: tell(recipe, (nth + fraction) / n_parts)

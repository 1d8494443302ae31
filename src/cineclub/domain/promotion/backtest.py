"""Backtests of a challenger beside the baselines and production, and the decision that follows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cineclub.domain.errors import NotEnoughData
from cineclub.domain.evaluation.evaluate import Evaluation, evaluate, list_overlap
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.prequential import (
    AnySplit,
    PrequentialSplit,
    PrequentialWindow,
    SampleSize,
    walk_from,
)
from cineclub.domain.evaluation.progress import RecipeProgress, part_of, part_of_recipe
from cineclub.domain.evaluation.scoreboard import Fit, Fold, Meters, Scoreboard, filtered, pooled_board
from cineclub.domain.evaluation.splitting import TimeCuts
from cineclub.domain.promotion.cooldown import RecentRollback, blocking_rollback
from cineclub.domain.promotion.evidence import best_of
from cineclub.domain.promotion.gate import (
    Comparison,
    Incumbent,
    PromotionDecision,
    RefitSimilarity,
    decide_promotion,
    fallback_refit,
    floor_takes_over,
    hold,
    refit_after_erasure,
)
from cineclub.domain.ratings.filtering import FilterReport
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel

GATE_STREAM, WINDOW_STREAM = 1, 3
"""Random streams of the gate's resamples and of the sample of evaluated users, apart from those of the fits."""


@dataclass(frozen=True, slots=True)
class Production:
    """The production version in a comparison.

    Attributes:
        recipe: its recipe, completed with the hyperparameters that its model has gained since.
        age_days: days since it was registered.
        newest_rated_at: the newest rating it learned from, microseconds since 1970-01-01 UTC; None if unknown.
        served: the deployed model; None if it does not load.
        is_up_to_date: whether the ratings have not changed since its training.
        is_in_drift: whether the ratings drift from those that it learned from.
        recent_rollbacks: recent rollbacks by probation, newest first.
        has_erased_user: whether it may have learned from a user who was erased before the ratings were read.
    """

    recipe: Recipe
    age_days: float
    newest_rated_at: int | None
    served: FittedModel | None
    is_up_to_date: bool = False
    is_in_drift: bool = False
    recent_rollbacks: tuple[RecentRollback, ...] = ()
    has_erased_user: bool = False


@dataclass(frozen=True, slots=True)
class DeployedPeriod:
    """The period of an evaluation as deployed, and the end of the ratings to fit on; microseconds since 1970."""

    start: int
    fitted_before: int


@dataclass(frozen=True, slots=True)
class Backtest:
    """The folds on which a challenger is compared with production.

    Attributes:
        folds: a fold for each window, oldest first.
        starts: the starts of the windows, microseconds since 1970-01-01 UTC.
        fitted_before: the end, exclusive, of the ratings to fit on in the newest fold.
        fit_filter: the report of the filter of the newest fold.
        is_deployed: whether production is evaluated as deployed: every window is newer than all its ratings.
    """

    folds: tuple[Fold, ...]
    starts: tuple[int, ...]
    fitted_before: int
    fit_filter: FilterReport
    is_deployed: bool = False


def deployed_period(challenger: Recipe, production: Production, test_start: int) -> DeployedPeriod | None:
    """Return the period in which production can be evaluated as deployed beside a challenger; None if there is none.

    The period is newer than the ratings that production learned from and than those that chose the challenger. Another
    recipe is fitted on the ratings that production learned from. The same recipe is fitted on all ratings before the
    period, to tell whether a refit is worse; without new ratings there is nothing to compare.
    """
    if production.newest_rated_at is None or production.served is None:
        return None
    learned_before = production.newest_rated_at + 1
    start = max(learned_before, test_start)
    if challenger != production.recipe:
        return DeployedPeriod(start, learned_before)
    return DeployedPeriod(start, start) if start > learned_before else None


def fold_of(split: AnySplit, plan: TrainingPlan, fit: Fit, meters: Meters) -> tuple[Fold, FilterReport]:
    """Return the fold of a split, its window sampled, and the report of the filter.

    Raises:
        NotEnoughData: the filter left no ratings.
    """
    ratings, report = filtered(split.fit, plan.min_ratings_per_user, plan.min_ratings_per_movie)
    window, rng = split.window, np.random.default_rng([plan.seed, WINDOW_STREAM])
    if isinstance(window, PrequentialWindow):
        size = SampleSize(plan.max_judged_users, plan.max_judged_ratings_per_user, plan.max_judged_ratings)
        return Fold(ratings, window.sampled(size, rng), plan.top_k, plan.seed, fit, meters), report
    window = window.sampled(plan.max_judged_users, rng)
    return Fold(ratings, window, plan.top_k, plan.seed, fit, meters), report


def rolling_backtest(log: RatingLog, cuts: TimeCuts, plan: TrainingPlan, fit: Fit, meters: Meters) -> Backtest:
    """Return the backtest on the test windows of the cuts; recipes are fitted anew before each.

    Raises:
        NotEnoughData: the filter left no ratings before one of them.
    """
    tests = [fold_of(walk_from(log, start, end), plan, fit, meters) for start, end in cuts.windows]
    return Backtest(tuple(fold for fold, _ in tests), cuts.test_starts, cuts.test_starts[-1], tests[-1][1])


def deployed_backtest(
    log: RatingLog,
    period: DeployedPeriod,
    deployed: Sequence[FittedModel],
    plan: TrainingPlan,
    fit: Fit,
    meters: Meters,
) -> Backtest | None:
    """Return the backtest of models as deployed; None if the period has too few users to evaluate.

    What is fitted beside them knows the movies that were rated by then and those of the ``deployed`` models: a recipe
    must not win by a catalogue that a version in production could not have.

    Raises:
        NotEnoughData: the filter left no ratings before the period.
    """
    window = walk_from(log, period.start).window
    if len(window.user_ids_who_like()) < plan.wanted_judged_users:
        return None
    earlier = log.take(log.rated_at < period.fitted_before)
    movie_ids = np.concatenate((earlier.movie_ids, *(model.movie_ids for model in deployed)))
    split = PrequentialSplit(earlier.within(movie_ids), window)
    fold, report = fold_of(split, plan, fit, meters)
    return Backtest((fold,), (period.start,), period.fitted_before, report, is_deployed=True)


def gate_rng(plan: TrainingPlan) -> np.random.Generator:
    """Return the generator of the gate's resamples."""
    return np.random.default_rng([plan.seed, GATE_STREAM])


def evaluate_all(
    challenger: Recipe, opponents: Sequence[Recipe], folds: Sequence[Fold], progress: RecipeProgress
) -> tuple[Scoreboard, FittedModel]:
    """Return the scoreboard over all windows, and the challenger as fitted for the newest of them.

    Args:
        challenger: the recipe that is evaluated first; a fit that is refused raises.
        opponents: the other recipes; one whose fit is refused is left out.
        folds: one for each window, oldest first.
        progress: receives the recipe under way and the finished fraction of all; may raise to stop.
    """
    boards = []
    n_parts = 2 * len(folds)
    for nth, fold in enumerate(folds):
        candidate, fitted = fold.run(challenger, part_of_recipe(part_of(progress, 2 * nth, n_parts), challenger))
        board = fold.run_all(opponents, part_of(progress, 2 * nth + 1, n_parts))
        boards.append(Scoreboard((candidate, *board.candidates), board.left_out))
    return pooled_board(boards), fitted


def decide(
    board: Scoreboard,
    challenger: Recipe,
    trends: Sequence[Recipe],
    production: Production | None,
    backtest: Backtest,
    plan: TrainingPlan,
    rng: np.random.Generator,
) -> tuple[PromotionDecision, PromotionDecision]:
    """Return the gate's verdict on the challenger, and the decision: that verdict, the floor, or the fallback refit.

    The floor is the best of the ``trends`` on the same windows. Production that learned from an erased user never stays
    if its recipe can be refitted, during a cool-down neither.
    """
    contender, floor = evaluation_of(board, challenger), floor_of(board, trends)
    if production is None:
        verdict = decide_promotion(contender, floor, None, plan, rng)
        return verdict, verdict
    opponent = _production_evaluation(board, production, backtest)
    if isinstance(opponent, str):
        held = hold(contender, floor, opponent, plan)
        return held, held
    incumbent = incumbent_of(opponent, production, backtest)
    verdict = hold_during_cooldown(decide_promotion(contender, floor, incumbent, plan, rng), production)
    instead = floor_takes_over(verdict, contender, floor, incumbent, plan, rng)
    if instead is None and not production.is_up_to_date:
        instead = fallback_refit(verdict, floor, incumbent, plan)
    decision = hold_during_cooldown(instead or verdict, production)
    if production.has_erased_user and not production.is_up_to_date and not decision.is_promoted:
        decision = refit_after_erasure(verdict, incumbent)
        verdict = decision if verdict.recipe == decision.recipe else verdict
    return verdict, decision


def hold_during_cooldown(decision: PromotionDecision, production: Production) -> PromotionDecision:
    """Return the decision, turned into HOLD if it would promote a recipe during its rollback cool-down."""
    rollback = blocking_rollback(production.recent_rollbacks, decision.recipe, production.recipe)
    if rollback is None or not decision.is_promoted:
        return decision
    reason = (
        f"{decision.recipe.model} was rolled back by probation (version {rollback.version}, "
        f"{rollback.rolled_back_at:%Y-%m-%d}): people liked other lists better, and a person may promote it; "
        f"the gate's own verdict was {decision.verdict}: {decision.reason}"
    )
    return replace(decision, verdict="HOLD", reason=reason)


def _production_evaluation(board: Scoreboard, production: Production, backtest: Backtest) -> Evaluation | str:
    """Return the evaluation of production, or the reason why there is none."""
    if backtest.is_deployed and production.served is not None:
        return evaluate_as_deployed(production.served, production.recipe, backtest)
    if (opponent := board.of(production.recipe)) is not None:
        return opponent.evaluation
    reason = next(left.reason for left in board.left_out if left.recipe == production.recipe)
    return f"production's recipe {production.recipe} could not be fitted for the comparison: {reason}"


def evaluate_as_deployed(served: FittedModel, recipe: Recipe, backtest: Backtest) -> Evaluation:
    """Return the evaluation of a registered model on the newest window, under its completed recipe."""
    fold = backtest.folds[-1]
    return replace(evaluate(served, fold.window, fold.top_k), recipe=recipe)


def incumbent_of(opponent: Evaluation, production: Production, backtest: Backtest) -> Incumbent:
    """Return production with its evaluation, as the gate needs it."""
    comparison: Comparison = "as deployed" if backtest.is_deployed else "recipe refitted"
    return Incumbent(opponent, production.age_days, comparison, production.is_in_drift)


def fault_of_refit(refit: FittedModel, served: FittedModel, fold: Fold, plan: TrainingPlan) -> str:
    """Return the evidence that a refit is broken, compared with the served model on a fold's users; empty if sane.

    The refit must be the one that would serve: a model fitted before a window has seen fewer ratings and movies than
    production, and recommends fewer movies for that reason alone. No movie is hidden: what the ratings have lost is
    what is looked for.
    """
    first, second = (evaluate(model, fold.window, fold.top_k, hides_unrated=False) for model in (refit, served))
    similarity = RefitSimilarity(list_overlap(first, second), first.n_recommended / max(second.n_recommended, 1))
    return similarity.fault(refit.recipe, plan)


def floor_of(board: Scoreboard, trends: Sequence[Recipe]) -> Evaluation:
    """Return the evaluation of the best of the trends on a scoreboard.

    Raises:
        NotEnoughData: the first of them was left out.
    """
    others = [candidate.evaluation for recipe in trends[1:] if (candidate := board.of(recipe)) is not None]
    return best_of((evaluation_of(board, trends[0]), *others))


def evaluation_of(board: Scoreboard, recipe: Recipe) -> Evaluation:
    """Return the evaluation of a recipe on a scoreboard.

    Raises:
        NotEnoughData: the recipe was left out.
    """
    candidate = board.of(recipe)
    if candidate is None:
        message = f"{recipe} could not be fitted: import more ratings"
        raise NotEnoughData(message)
    return candidate.evaluation

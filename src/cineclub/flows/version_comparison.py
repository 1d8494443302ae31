"""Comparison of any two registered versions on the same ratings by the rules of the gate, without side effects."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cineclub.domain.errors import BrokenArtifact, InvalidInput, NotEnoughData
from cineclub.domain.evaluation.evaluate import WITHOUT_HISTORY, Evaluation
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.scoreboard import Scoreboard
from cineclub.domain.evaluation.splitting import rolling_cuts
from cineclub.domain.promotion.backtest import (
    Backtest,
    DeployedPeriod,
    Production,
    deployed_backtest,
    evaluate_all,
    evaluate_as_deployed,
    evaluation_of,
    fault_of_refit,
    floor_of,
    gate_rng,
    incumbent_of,
    rolling_backtest,
)
from cineclub.domain.promotion.gate import decide_promotion, without_refresh
from cineclub.domain.promotion.version_comparison import ComparedVersion, Figures, VersionComparison, metric_differences
from cineclub.domain.promotion.versions import RegisteredVersion
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.domain.training.report import EPOCH, microseconds_of
from cineclub.flows import fit_within_memory
from cineclub.models import catalogue
from cineclub.ports import RatingStore
from cineclub.runtime.machine import METERS


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """A registered version with its model; ``recipe`` is completed with hyperparameters added since."""

    registered: RegisteredVersion
    recipe: Recipe
    fitted: FittedModel

    @property
    def learned_before(self) -> int | None:
        """The end of its training data, exclusive, in microseconds since 1970-01-01 UTC; None if unknown."""
        newest = self.registered.learned_until
        return None if newest is None else microseconds_of(newest) + 1

    def described(self) -> ComparedVersion:
        """Return the entry of the report."""
        return ComparedVersion(self.registered.version, str(self.recipe), self.registered.snapshot.newest_rated_at)


@dataclass(frozen=True, slots=True)
class PairEvaluation:
    """Evaluations of both versions, of the floor, which is the best trend, and of all baselines in one backtest."""

    first: Evaluation
    second: Evaluation
    floor: Evaluation
    baselines: tuple[Evaluation, ...]


@dataclass(frozen=True, slots=True)
class VersionComparisonFlow:
    """Evaluates two versions of the registry on the present ratings.

    Attributes:
        store: the ratings.
        registered: returns a registered version by its number; raises NotFound.
        load: returns the model of a version, checked against its manifest; raises BrokenArtifact.
        plan: every limit, window and margin, as in a training.
        now: the wall clock.
        progress: receives the step under way and its finished fraction; may raise to stop.
    """

    store: RatingStore
    registered: Callable[[int], RegisteredVersion]
    load: Callable[[int], FittedModel]
    plan: TrainingPlan
    now: Callable[[], datetime]
    progress: Callable[[str, float], None]

    def compare(self, first: int, second: int) -> VersionComparison:
        """Return the second version beside the first, with the gate's verdict on it as a challenger.

        Raises:
            InvalidInput: both numbers are the same, or a recipe cannot be fitted again.
            NotFound: there is no such version.
            BrokenArtifact: the files of one version are damaged.
            NotEnoughData: there are too few ratings to evaluate any user.
        """
        if first == second:
            message = f"version {first} is compared with itself: there is no difference, name two versions"
            raise InvalidInput(message)
        models = self._model(first), self._model(second)
        log = self.store.load_snapshot(lambda fraction: self.progress("load ratings", fraction)).log_in_catalogue
        backtest = self._backtest(*models, log)
        evaluate = self._evaluate_as_deployed if backtest.is_deployed else self._evaluate_recipes
        return self._comparison(*models, backtest, evaluate(*models, backtest))

    def _model(self, version: int) -> ComparedModel:
        """Return a version with its model."""
        registered = self.registered(version)
        try:
            fitted = self.load(version)
        except BrokenArtifact as error:
            message = f"version {version} cannot be compared: {error}"
            raise BrokenArtifact(message, error.detail) from error
        return ComparedModel(registered, catalogue.completed(registered.recipe), fitted)

    def _backtest(self, first: ComparedModel, second: ComparedModel, log: RatingLog) -> Backtest:
        """Return a backtest on ratings newer than both versions if enough users rated then, else on rolling windows."""
        if first.learned_before is not None and second.learned_before is not None:
            start = max(first.learned_before, second.learned_before)
            period = DeployedPeriod(start, start)
            versions = (first.fitted, second.fitted)
            if deployed := deployed_backtest(log, period, versions, self.plan, fit_within_memory, METERS):
                return deployed
        return rolling_backtest(log, rolling_cuts(log, self.plan), self.plan, fit_within_memory, METERS)

    def _evaluate_as_deployed(self, first: ComparedModel, second: ComparedModel, backtest: Backtest) -> PairEvaluation:
        """Return the evaluations of the registered arrays; only the baselines are fitted, on the earlier ratings."""
        board = backtest.folds[-1].run_all(catalogue.BASELINES)
        of_first = evaluate_as_deployed(first.fitted, first.recipe, backtest)
        self.progress("evaluate as deployed", 0.5)
        of_second = evaluate_as_deployed(second.fitted, second.recipe, backtest)
        self.progress("evaluate as deployed", 1.0)
        return PairEvaluation(of_first, of_second, floor_of(board, catalogue.FLOORS), _baselines_of(board))

    def _evaluate_recipes(self, first: ComparedModel, second: ComparedModel, backtest: Backtest) -> PairEvaluation:
        """Return the evaluations of both recipes, fitted anew before each window.

        Raises:
            NotEnoughData: the first recipe could not be fitted.
        """
        opponents = [
            recipe for recipe in dict.fromkeys((*catalogue.BASELINES, first.recipe)) if recipe != second.recipe
        ]
        board, _ = evaluate_all(
            second.recipe,
            opponents,
            backtest.folds,
            lambda recipe, fraction: self.progress(f"refit {recipe.model}", fraction),
        )
        for left_out in board.left_out:
            if left_out.recipe == first.recipe:
                message = f"{first.recipe} could not be fitted for the comparison: {left_out.reason}"
                raise NotEnoughData(message)
        return PairEvaluation(
            first=evaluation_of(board, first.recipe),
            second=evaluation_of(board, second.recipe),
            floor=floor_of(board, catalogue.FLOORS),
            baselines=_baselines_of(board),
        )

    def _comparison(
        self, first: ComparedModel, second: ComparedModel, backtest: Backtest, pair: PairEvaluation
    ) -> VersionComparison:
        """Return the metrics of both versions, and the verdict on the second as challenger of the first."""
        production = Production(
            recipe=first.recipe,
            age_days=(self.now() - first.registered.created_at) / timedelta(days=1),
            newest_rated_at=None,
            served=first.fitted,
        )
        incumbent = incumbent_of(pair.first, production, backtest)
        decision = decide_promotion(pair.second, pair.floor, incumbent, self.plan, gate_rng(self.plan))
        if decision.verdict == "REFRESH":
            fault = fault_of_refit(second.fitted, first.fitted, backtest.folds[-1], self.plan)
            decision = without_refresh(decision, fault) if fault else decision
        return VersionComparison(
            first=first.described(),
            second=second.described(),
            comparison=incumbent.comparison,
            window_starts=tuple(EPOCH + timedelta(microseconds=start) for start in backtest.starts),
            n_people=pair.second.n_evaluated_users,
            confidence=self.plan.gate_confidence,
            top_k=self.plan.top_k,
            metrics=metric_differences(pair.first, pair.second, self.plan),
            n_likes=pair.second.n_judged_likes,
            n_people_without_history=pair.second.users_by_segment()[WITHOUT_HISTORY],
            figures=(
                Figures.of(f"A, version {first.registered.version}", pair.first),
                Figures.of(f"B, version {second.registered.version}", pair.second),
                *(Figures.of(baseline.recipe.title, baseline) for baseline in pair.baselines),
            ),
            verdict=decision.verdict,
            reason=decision.reason,
        )


def _baselines_of(board: Scoreboard) -> tuple[Evaluation, ...]:
    """Return the evaluations of the baselines on a scoreboard, without those that were left out."""
    candidates = (board.of(recipe) for recipe in catalogue.BASELINES)
    return tuple(candidate.evaluation for candidate in candidates if candidate is not None)

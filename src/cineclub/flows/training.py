"""The training flow: one method for each box of the drawing, in its order and under its name."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Concatenate, ParamSpec, TypeVar

from cineclub.domain.errors import BrokenArtifact, NotFound
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.prequential import walk_from
from cineclub.domain.evaluation.progress import RecipeProgress, part_of, part_of_recipe
from cineclub.domain.evaluation.scoreboard import Candidate, Fold, Scoreboard, filtered, grid_points, rng_of
from cineclub.domain.evaluation.search import search
from cineclub.domain.evaluation.splitting import TimeCuts, rolling_cuts
from cineclub.domain.promotion.backtest import (
    Backtest,
    Production,
    decide,
    deployed_backtest,
    deployed_period,
    evaluate_all,
    fault_of_refit,
    fold_of,
    gate_rng,
    rolling_backtest,
)
from cineclub.domain.promotion.cooldown import RecentRollback
from cineclub.domain.promotion.gate import PromotionDecision, without_refresh
from cineclub.domain.promotion.versions import RegisteredVersion, VersionRecord
from cineclub.domain.ratings.filtering import FilterReport
from cineclub.domain.ratings.log import Movie, RatingLog, Snapshot, SnapshotIdentity
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import POPULAR, Hyperparameter, Recipe
from cineclub.domain.recommend.recommender import FittedModel, Progress
from cineclub.domain.training.records import StepProgress
from cineclub.domain.training.report import TrainingReport, WindowReport, microseconds_of
from cineclub.domain.training.version_record import recorded_metrics, version_record
from cineclub.flows import fit_within_memory
from cineclub.models import catalogue
from cineclub.ports import RatingStore
from cineclub.runtime.machine import METERS, library_versions

SEARCHED = "svd"
LAST_STEP = "promote_if_better"

Arguments = ParamSpec("Arguments")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The filtered ratings of every fit, with the evaluation windows.

    Attributes:
        log: all ratings, not filtered.
        cuts: the starts of the windows.
        validation: the fold of the validation window.
        rolling: a fold for each test window, oldest first.
        everything: the ratings of the final fit.
        filters: reports of the filter by period: before validation, before test, everything.
    """

    log: RatingLog
    cuts: TimeCuts
    validation: Fold
    rolling: Backtest
    everything: RatingMatrix
    filters: Mapping[str, FilterReport]


@dataclass(frozen=True, slots=True)
class ProductionComparison:
    """The challenger beside production and the baselines on the test windows, and the decision.

    Attributes:
        backtest: the folds: each window and the ratings before it.
        scoreboard: evaluations pooled over the windows.
        challenger: the challenger as fitted for the newest window.
        production: the version in production; None before the first promotion.
        verdict: the gate's verdict on the challenger.
        decision: the verdict, or a refit of production's recipe as the fallback.
        model: the model of the decision; fitted on all ratings if it is promoted.
    """

    backtest: Backtest
    scoreboard: Scoreboard
    challenger: FittedModel
    production: RegisteredVersion | None
    verdict: PromotionDecision
    decision: PromotionDecision
    model: FittedModel


def step(
    method: Callable[Concatenate["TrainingFlow", Arguments], Outcome],
) -> Callable[Concatenate["TrainingFlow", Arguments], Outcome]:
    """Report the start and the end of a step under its name, and record its duration."""
    name = method.__name__

    @functools.wraps(method)
    def reported(self: "TrainingFlow", /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Outcome:
        self.report(StepProgress(name, None, 0.0, "started"))
        started = METERS.seconds()
        outcome = method(self, *args, **kwargs)
        self.step_seconds[name] = METERS.seconds() - started
        if name != LAST_STEP:  # after the promotion a cancel comes too late: only the report remains to be written
            self.report(StepProgress(name, None, 1.0, "done"))
        return outcome

    return reported


@dataclass(frozen=True)
class TrainingFlow:
    """One training, from all ratings to a registered and perhaps promoted model.

    Attributes:
        store: the source of the ratings.
        production: returns the version that was promoted last; None before the first promotion.
        load_version: returns the model of a version, or raises ``NotFound`` or ``BrokenArtifact``.
        register: registers a model as a new version under the training's id; a training registers once in each role.
        record_candidate: records the metrics of an evaluated recipe under the training's id.
        promote: puts a version into production: training, version, verdict, reason, the former production version.
        report: receives the progress of every step; may raise to stop the training (cancelled, lease lost).
        plan: every limit, window and margin.
        training_id: the id under which candidates and versions are recorded.
        now: the wall clock.
        code_version: the version of cineclub, recorded with the model.
        keep_snapshot: stores the snapshot; None stores none.
        is_in_drift: whether the ratings drift from those that production learned from.
        recent_rollbacks: recent rollbacks by probation, newest first; the gate holds their recipes.
        has_erased_user: whether production may have learned from a user who was erased before this training began.
        step_seconds: the duration of each finished step.
    """

    store: RatingStore
    production: Callable[[], RegisteredVersion | None]
    load_version: Callable[[int], FittedModel]
    register: Callable[[str, FittedModel, Sequence[Movie], VersionRecord], RegisteredVersion]
    record_candidate: Callable[[str, Recipe, Mapping[str, float]], None]
    promote: Callable[[str, RegisteredVersion, str, str, RegisteredVersion | None], None]
    report: Callable[[StepProgress], None]
    plan: TrainingPlan
    training_id: str
    now: Callable[[], datetime]
    code_version: str
    keep_snapshot: Callable[[Snapshot], None] | None = None
    is_in_drift: bool = False
    recent_rollbacks: tuple[RecentRollback, ...] = ()
    has_erased_user: bool = False
    step_seconds: dict[str, float] = field(default_factory=dict, init=False)

    def train(self) -> TrainingReport:
        """Run every step once, in the order of the drawing.

        Raises:
            NotEnoughData: too few ratings to learn from; production does not change.
            TrainingCancelled: a person cancelled the training.
            LeaseLost: another worker has taken it over.
        """
        started_at = self.now()
        snapshot = self.load_ratings()
        data = self.filter_users_and_movies(snapshot.log_in_catalogue)
        scoreboard = self.evaluate_models(data)
        scoreboard = self.grid_search_svd(data, scoreboard)
        challenger = scoreboard.best()
        comparison = self.compare_with_production(challenger, data, snapshot.identity)
        report = self._report(started_at, snapshot, data, scoreboard, comparison)
        version = self.register_model(comparison, snapshot, report)
        self.promote_if_better(version, comparison)
        return report.registered_as(version.version, self.step_seconds)

    @step
    def load_ratings(self) -> Snapshot:
        """Return all ratings and movies of one moment, and store them so that the version can be fitted again."""
        snapshot = self.store.load_snapshot(self._progress("load_ratings"))
        if self.keep_snapshot is not None:
            self.keep_snapshot(snapshot)
        return snapshot

    @step
    def filter_users_and_movies(self, log: RatingLog) -> TrainingData:
        """Return the ratings of active users and known movies before each cut, and the evaluation windows after it.

        The filter removes ratings from the fits alone: evaluated users keep their whole history.
        """
        cuts = rolling_cuts(log, self.plan)
        before_test = walk_from(log, cuts.validation_start, cuts.test_start)
        validation, validation_filter = fold_of(before_test, self.plan, fit_within_memory, METERS)
        rolling = rolling_backtest(log, cuts, self.plan, fit_within_memory, METERS)
        everything, last_filter = filtered(log, self.plan.min_ratings_per_user, self.plan.min_ratings_per_movie)
        return TrainingData(
            log=log,
            cuts=cuts,
            validation=validation,
            rolling=rolling,
            everything=everything,
            filters={
                "before_validation": validation_filter,
                "before_test": rolling.fit_filter,
                "everything": last_filter,
            },
        )

    @step
    def evaluate_models(self, data: TrainingData) -> Scoreboard:
        """Return every candidate with its default recipe, fitted before the validation window and evaluated on it."""
        names = self.plan.sized(data.everything.n_ratings).models or tuple(catalogue.CATALOGUE)
        recipes = [catalogue.default_recipe(name) for name in names]
        recipes += catalogue.TRENDS if POPULAR in names else ()
        return data.validation.run_all(recipes, self._candidate_progress("evaluate_models"))

    @step
    def grid_search_svd(self, data: TrainingData, scoreboard: Scoreboard) -> Scoreboard:
        """Return the scoreboard with the best point of SVD's grid added; every point is recorded in the registry.

        The leading model is searched over its own grid in the same way.
        """
        plan = self.plan.sized(data.everything.n_ratings)
        grids = _grids(plan, scoreboard)
        for nth, (name, grid) in enumerate(grids.items()):
            progress = part_of(self._candidate_progress("grid_search_svd"), nth, len(grids))
            points = grid_points(catalogue.default_recipe(name), grid)
            known = scoreboard.candidates
            searched = search(data.validation, points, plan.search, plan.searched_user_share, progress, known)
            for point in searched.grid or searched.candidates:
                self.record_candidate(self.training_id, point.recipe, recorded_metrics(point))
            scoreboard = scoreboard.with_grid(searched)
        return scoreboard

    @step
    def compare_with_production(
        self, challenger: Candidate, data: TrainingData, identity: SnapshotIdentity
    ) -> ProductionComparison:
        """Return the evaluation of the challenger beside baselines and production, and the decision.

        Every recipe is refitted before each test window. Production is evaluated as deployed if enough users rated
        movies after its newest rating. Otherwise its recipe is refitted on the challenger's ratings, so that recipes
        are compared and not the age of the data.
        """
        progress = part_of(self._candidate_progress("compare_with_production"), 0, 2)
        registered = self.production()
        production = self._production(registered, identity)
        backtest = self._backtest(challenger.recipe, production, data)
        opponents = list(catalogue.BASELINES)
        opponents += [production.recipe] if production and not backtest.is_deployed else []
        opponents = [recipe for recipe in dict.fromkeys(opponents) if recipe != challenger.recipe]
        board, fitted = evaluate_all(challenger.recipe, opponents, backtest.folds, progress)
        rng = gate_rng(self.plan)
        verdict, decision = decide(board, challenger.recipe, catalogue.FLOORS, production, backtest, self.plan, rng)
        comparison = ProductionComparison(backtest, board, fitted, registered, verdict, decision, fitted)
        return self.refit_winner(comparison, production, data) if decision.is_promoted else comparison

    def refit_winner(
        self, comparison: ProductionComparison, production: Production | None, data: TrainingData
    ) -> ProductionComparison:
        """Return the comparison with the winner fitted on all ratings; substep of ``compare_with_production``.

        A refit of production's recipe must resemble the served model; the decision falls back to the challenger's
        evaluation otherwise.
        """
        decision = comparison.decision
        progress = part_of_recipe(part_of(self._candidate_progress("compare_with_production"), 1, 2), decision.recipe)
        rng = rng_of(self.plan.seed, decision.recipe)
        refit = fit_within_memory(decision.recipe, data.everything, rng, progress)
        served = production.served if production and decision.verdict == "REFRESH" else None
        fault = fault_of_refit(refit, served, data.rolling.folds[-1], self.plan) if served else ""
        if not fault:
            return replace(comparison, model=refit)
        outcome = without_refresh(comparison.verdict, fault)
        return replace(comparison, verdict=outcome, decision=outcome)

    @step
    def register_model(
        self, comparison: ProductionComparison, snapshot: Snapshot, report: TrainingReport
    ) -> RegisteredVersion:
        """Return the model of the decision as a new version.

        A challenger on HOLD is registered too if production's recipe was refitted as the fallback.
        """
        verdict, decision = comparison.verdict, comparison.decision
        if verdict.verdict == "HOLD" and decision.is_promoted:
            self._register(comparison, verdict, comparison.challenger, snapshot, report)
        return self._register(comparison, decision, comparison.model, snapshot, report)

    @step
    def promote_if_better(self, version: RegisteredVersion, comparison: ProductionComparison) -> None:
        """Move production to the version on a PROMOTE or REFRESH verdict, and on no other."""
        decision = comparison.decision
        if decision.is_promoted:
            self.promote(self.training_id, version, decision.verdict, decision.reason, comparison.production)

    def _backtest(self, challenger: Recipe, production: Production | None, data: TrainingData) -> Backtest:
        """Return the backtest on ratings newer than production's if enough users rated then, else the test windows."""
        period = deployed_period(challenger, production, data.cuts.test_start) if production else None
        if period is None or production is None or production.served is None:
            return data.rolling
        deployed = deployed_backtest(data.log, period, (production.served,), self.plan, fit_within_memory, METERS)
        return deployed or data.rolling

    def _production(self, registered: RegisteredVersion | None, identity: SnapshotIdentity) -> Production | None:
        """Return production with its model, if that loads; None before the first promotion."""
        if registered is None:
            return None
        try:
            served = self.load_version(registered.version)
        except (BrokenArtifact, NotFound):
            served = None
        newest = registered.learned_until
        return Production(
            recipe=catalogue.completed(registered.recipe),
            age_days=(self.now() - registered.created_at) / timedelta(days=1),
            newest_rated_at=None if newest is None else microseconds_of(newest),
            served=served,
            is_up_to_date=registered.snapshot.content_sha256 == identity.content_sha256,
            is_in_drift=self.is_in_drift,
            recent_rollbacks=tuple(
                replace(rollback, recipe=catalogue.completed(rollback.recipe)) for rollback in self.recent_rollbacks
            ),
            has_erased_user=self.has_erased_user,
        )

    def _register(
        self,
        comparison: ProductionComparison,
        decision: PromotionDecision,
        fitted: FittedModel,
        snapshot: Snapshot,
        report: TrainingReport,
    ) -> RegisteredVersion:
        """Register a fitted model with its record."""
        known = set(fitted.movie_ids.tolist())
        movies = [movie for movie in snapshot.movies if movie.movie_id in known]
        record = version_record(
            replace(report, decision=decision),
            comparison.scoreboard.of(decision.recipe),
            None if decision.is_promoted else comparison.backtest.fitted_before,
            snapshot,
            library_versions(),
        )
        return self.register(self.training_id, fitted, movies, record)

    def _report(
        self,
        started_at: datetime,
        snapshot: Snapshot,
        data: TrainingData,
        scoreboard: Scoreboard,
        comparison: ProductionComparison,
    ) -> TrainingReport:
        """Return the report before the registration."""
        backtest = comparison.backtest
        return TrainingReport(
            training_id=self.training_id,
            code_version=self.code_version,
            started_at=started_at.astimezone(UTC),
            plan=self.plan,
            snapshot=snapshot.identity,
            cuts=data.cuts,
            filters={**data.filters, "before_test": backtest.fit_filter},
            validation=WindowReport.of((data.cuts.validation_start,), (data.validation.window,), scoreboard),
            test=WindowReport.of(backtest.starts, tuple(fold.window for fold in backtest.folds), comparison.scoreboard),
            challenger=comparison.challenger.recipe,
            challenger_verdict=comparison.verdict,
            decision=comparison.decision,
            production_version=comparison.production.version if comparison.production else None,
            step_seconds=dict(self.step_seconds),
        )

    def _progress(self, name: str) -> Progress:
        """Return the progress of a step without candidates."""
        return lambda fraction: self.report(StepProgress(name, None, fraction, ""))

    def _candidate_progress(self, name: str) -> RecipeProgress:
        """Return the progress of a step with several recipes."""
        return lambda recipe, fraction: self.report(StepProgress(name, recipe.model, fraction, str(recipe)))


def _grids(plan: TrainingPlan, scoreboard: Scoreboard) -> dict[str, Mapping[str, Sequence[Hyperparameter]]]:
    """Return the grids to search by model: that of SVD if it is a candidate, and that of the leading model."""
    tried = {candidate.recipe.model for candidate in scoreboard.candidates}
    grids = {SEARCHED: plan.grid} if SEARCHED in tried else {}
    if plan.tunes_leader and tried:
        leader = scoreboard.best().recipe.model
        grids.setdefault(leader, catalogue.CATALOGUE[leader].grid)
    return {name: grid for name, grid in grids.items() if grid}

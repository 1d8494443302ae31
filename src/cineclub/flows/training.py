"""The training flow: its steps stand in the order of the drawing and bear the names of its boxes."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np

from cineclub.domain.contest import (
    GATE_STREAM,
    Ground,
    Production,
    decide,
    deployed_ground,
    deployed_period,
    fault_of_refit,
    gate_rng,
    judge_all,
    rolling_ground,
    trial_of,
)
from cineclub.domain.documents import to_document
from cineclub.domain.errors import BrokenArtifact, NotFound
from cineclub.domain.evaluation import Judgement
from cineclub.domain.filtering import FilterReport
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.promotion import PromotionDecision, without_refresh
from cineclub.domain.ratings import RatingLog, Snapshot, SnapshotIdentity
from cineclub.domain.recipe import Hyperparameter, Recipe
from cineclub.domain.recommender import FittedModel, Progress
from cineclub.domain.scoreboard import Candidate, Scoreboard, Trial, filtered, grid_points, rng_of
from cineclub.domain.search import search
from cineclub.domain.setbacks import Setback
from cineclub.domain.significance import interval_of_mean
from cineclub.domain.splitting import TimeCuts, rolling_cuts, split_at
from cineclub.domain.statistics import baseline_of
from cineclub.domain.training_plan import TrainingPlan
from cineclub.domain.training_report import TrainingReport, WindowReport, microseconds_of
from cineclub.flows import METERS, fit_within_memory, library_versions
from cineclub.models import catalogue
from cineclub.ports import ModelRegistry, RatingStore, RegisteredVersion, SnapshotStore, StepProgress, VersionRecord

POPULAR = "popular"
SEARCHED = "svd"
LAST_STEP = "promote_if_better"
BASELINES = (POPULAR, "bias", "random")
STATISTICS_STREAM = 4
"""Keeps the resamples of the statistics apart from the fits and from the gate's streams."""

Arguments = ParamSpec("Arguments")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Kept:
    """What the filter left, once for each period that models are fitted on, with who is judged after it.

    ``rolling`` has a trial for each test window, oldest first; ``log`` is what was filtered.
    """

    log: RatingLog
    cuts: TimeCuts
    validation: Trial
    rolling: Ground
    everything: RatingMatrix
    filters: Mapping[str, FilterReport]

    @property
    def tests(self) -> tuple[Trial, ...]:
        """A trial for each test window, oldest first."""
        return self.rolling.trials

    @property
    def n_ratings(self) -> int:
        """How many ratings there are to learn from in the end."""
        return self.everything.n_ratings


@dataclass(frozen=True, slots=True)
class Contest:
    """The challenger beside production and the baselines on the test windows, and what follows from it.

    ``verdict`` is the challenger's own; ``decision`` is what happens, which can be a refit of production's recipe.
    """

    ground: Ground
    scoreboard: Scoreboard
    challenger: FittedModel
    production: RegisteredVersion | None
    verdict: PromotionDecision
    decision: PromotionDecision


def step(
    method: Callable[Concatenate["TrainingFlow", Arguments], Outcome],
) -> Callable[Concatenate["TrainingFlow", Arguments], Outcome]:
    """Report a step under its own name when it starts and ends, and keep how long it took."""
    name = method.__name__

    @functools.wraps(method)
    def reported(self: "TrainingFlow", /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Outcome:
        self.report(StepProgress(name, None, 0.0, "started"))
        started = METERS.seconds()
        outcome = method(self, *args, **kwargs)
        self.step_seconds[name] = METERS.seconds() - started
        if name != LAST_STEP:  # once promoted, a cancel comes too late: the report is what remains to be written
            self.report(StepProgress(name, None, 1.0, "done"))
        return outcome

    return reported


@dataclass(frozen=True)
class TrainingFlow:
    """One training, from all ratings to a registered and perhaps promoted model.

    Attributes:
        store: where the ratings are.
        registry: where models go.
        report: told of every step's progress; may raise to stop the training (cancelled, lease lost).
        plan: every limit, window and margin.
        training_id: under which id candidates and the version are recorded.
        now: the wall clock.
        code_version: the version of cineclub, kept with the model.
        snapshots: where the ratings it reads are kept; None keeps none.
        is_in_drift: whether it was started because what people rate has moved away from what production learned.
        setbacks: what probation rolled back a short while ago, newest first; the gate holds it.
        step_seconds: how long each finished step took.
    """

    store: RatingStore
    registry: ModelRegistry
    report: Callable[[StepProgress], None]
    plan: TrainingPlan
    training_id: str
    now: Callable[[], datetime]
    code_version: str
    snapshots: SnapshotStore | None = None
    is_in_drift: bool = False
    setbacks: tuple[Setback, ...] = ()
    step_seconds: dict[str, float] = field(default_factory=dict, init=False)

    def train(self) -> TrainingReport:
        """Run every step once, in the order of the drawing.

        Raises:
            NotEnoughData: too few ratings to learn from; production stays as it was.
            TrainingCancelled: a person stopped it.
            LeaseLost: another worker has taken it over.
        """
        started_at = self.now()
        snapshot = self.load_ratings()
        kept = self.filter_users_and_movies(snapshot.log)
        scoreboard = self.evaluate_models(kept)
        scoreboard = self.grid_search_svd(kept, scoreboard)
        challenger = scoreboard.best()
        contest = self.compare_with_production(challenger, kept, snapshot.identity)
        report = self._report(started_at, snapshot, kept, scoreboard, contest)
        version, contest = self.register_model(contest, kept, snapshot, report)
        self.promote_if_better(version, contest)
        return _with_outcome(report, contest).registered_as(version.version, self.step_seconds)

    @step
    def load_ratings(self) -> Snapshot:
        """Return all ratings and films of one moment, kept so that the version can be fitted again."""
        snapshot = self.store.load_snapshot(self._progress("load_ratings"))
        if self.snapshots is not None:
            self.snapshots.keep(snapshot)
        return snapshot

    @step
    def filter_users_and_movies(self, log: RatingLog) -> Kept:
        """Return the ratings of active users and known films before each cut, and whom to judge after it.

        The filter sees only what the models may learn from: what it removes is still known of the judged users.
        """
        cuts = rolling_cuts(log, self.plan)
        before_test = split_at(log, cuts.validation_start, cuts.test_start)
        validation, validation_filter = trial_of(before_test, self.plan, fit_within_memory, METERS)
        rolling = rolling_ground(log, cuts, self.plan, fit_within_memory, METERS)
        everything, last_filter = filtered(log, self.plan.min_ratings_per_user, self.plan.min_ratings_per_movie)
        return Kept(
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
    def evaluate_models(self, kept: Kept) -> Scoreboard:
        """Return every candidate with its default recipe, fitted before and judged on the validation window."""
        names = self.plan.sized(kept.n_ratings).models or tuple(catalogue.CATALOGUE)
        recipes = [catalogue.default_recipe(name) for name in names]
        return kept.validation.run_all(recipes, self._candidate_progress("evaluate_models"))

    @step
    def grid_search_svd(self, kept: Kept, scoreboard: Scoreboard) -> Scoreboard:
        """Return the scoreboard joined by the best point of SVD's grid, each point recorded in the registry.

        The model that leads so far is searched over its own grid in the same way.
        """
        plan = self.plan.sized(kept.n_ratings)
        grids = _grids(plan, scoreboard)
        for nth, (name, grid) in enumerate(grids.items()):
            tell = self._candidate_progress("grid_search_svd", nth, len(grids))
            points = grid_points(catalogue.default_recipe(name), grid)
            searched = search(kept.validation, points, plan.search, plan.searched_user_share, tell)
            for point in searched.grid or searched.candidates:
                self.registry.record_candidate(self.training_id, point.recipe, _recorded_metrics(point))
            scoreboard = scoreboard.with_grid(searched)
        return scoreboard

    @step
    def compare_with_production(self, challenger: Candidate, kept: Kept, identity: SnapshotIdentity) -> Contest:
        """Return the challenger refitted before each test window and judged on it, beside baselines and production.

        Production is judged as deployed where enough people rated films since its own ratings end; else its recipe is
        refitted on the challenger's ratings, so that recipes are compared and not the age of data.
        """
        registered = self.registry.production()
        production = self._production(registered, identity)
        ground = self._ground(challenger.recipe, production, kept)
        rivals = [catalogue.default_recipe(name) for name in BASELINES]
        rivals += [production.recipe] if production and not ground.is_deployed else []
        rivals = [recipe for recipe in dict.fromkeys(rivals) if recipe != challenger.recipe]
        tell = self._candidate_progress("compare_with_production")
        board, fitted = judge_all(challenger.recipe, rivals, ground.trials, tell)
        rng = gate_rng(self.plan)
        popular = catalogue.default_recipe(POPULAR)
        verdict, decision = decide(board, challenger.recipe, popular, production, ground, self.plan, rng)
        return Contest(ground, board, fitted, registered, verdict, decision)

    @step
    def register_model(
        self, contest: Contest, kept: Kept, snapshot: Snapshot, report: TrainingReport
    ) -> tuple[RegisteredVersion, Contest]:
        """Return the new version, and the contest with what happens in the end.

        A winner learns from all ratings first, anything else stays as it was judged. A challenger that is held is
        registered too where production's recipe is refitted instead of it.
        """
        contest, fitted = self._settled(contest, kept)
        report = _with_outcome(report, contest)
        if contest.verdict.verdict == "HOLD" and contest.decision.is_promoted:
            self._register(contest, contest.verdict, contest.challenger, snapshot, report)
        return self._register(contest, contest.decision, fitted, snapshot, report), contest

    @step
    def promote_if_better(self, version: RegisteredVersion, contest: Contest) -> None:
        """Move production to the version on a PROMOTE or REFRESH verdict, and on no other."""
        decision = contest.decision
        if decision.is_promoted:
            self.registry.promote(self.training_id, version, decision.verdict, decision.reason, contest.production)

    def _settled(self, contest: Contest, kept: Kept) -> tuple[Contest, FittedModel]:
        """Return the contest and the model to register: the winner fitted on all ratings, if it is no broken refit."""
        decision = contest.decision
        if not decision.is_promoted:
            return contest, contest.challenger
        rng = rng_of(self.plan.seed, decision.recipe)
        fitted = fit_within_memory(decision.recipe, kept.everything, rng, self._progress("register_model"))
        served = self._served(contest.production) if decision.verdict == "REFRESH" else None
        fault = fault_of_refit(fitted, served, kept.tests[-1], self.plan) if served else ""
        if not fault:
            return contest, fitted
        outcome = without_refresh(contest.verdict, fault)
        return replace(contest, verdict=outcome, decision=outcome), contest.challenger

    def _served(self, registered: RegisteredVersion | None) -> FittedModel | None:
        """Return the model of a version; None where there is none, or it does not load."""
        try:
            return self.registry.load(registered.version) if registered else None
        except (BrokenArtifact, NotFound):
            return None

    def _ground(self, challenger: Recipe, production: Production | None, kept: Kept) -> Ground:
        """Return where the challenger meets production: on ratings newer than its own, else on the test windows."""
        period = deployed_period(challenger, production, kept.cuts.test_start) if production else None
        deployed = period and deployed_ground(kept.log, period, self.plan, fit_within_memory, METERS)
        return deployed or kept.rolling

    def _production(self, registered: RegisteredVersion | None, identity: SnapshotIdentity) -> Production | None:
        """Return production as it can be compared, with its model where that loads."""
        if registered is None:
            return None
        newest = registered.snapshot.newest_rated_at
        return Production(
            recipe=catalogue.completed(registered.recipe),
            age_days=(self.now() - registered.created_at) / timedelta(days=1),
            newest_rated_at=None if newest is None else microseconds_of(newest),
            served=self._served(registered),
            is_up_to_date=registered.snapshot.content_sha256 == identity.content_sha256,
            is_in_drift=self.is_in_drift,
            setbacks=tuple(replace(one, recipe=catalogue.completed(one.recipe)) for one in self.setbacks),
        )

    def _register(
        self,
        contest: Contest,
        decision: PromotionDecision,
        fitted: FittedModel,
        snapshot: Snapshot,
        report: TrainingReport,
    ) -> RegisteredVersion:
        """Return a fitted model as a version with its record."""
        known = set(fitted.movie_ids.tolist())
        movies = [movie for movie in snapshot.movies if movie.movie_id in known]
        record = self._record(contest, decision, snapshot, replace(report, decision=decision))
        return self.registry.register(self.training_id, fitted, movies, record)

    def _report(
        self, started_at: datetime, snapshot: Snapshot, kept: Kept, scoreboard: Scoreboard, contest: Contest
    ) -> TrainingReport:
        """Return the report as far as it is known before the registration."""
        return TrainingReport(
            training_id=self.training_id,
            code_version=self.code_version,
            started_at=started_at.astimezone(UTC),
            plan=self.plan,
            snapshot=snapshot.identity,
            cuts=kept.cuts,
            filters={**kept.filters, "before_test": contest.ground.fit_filter},
            validation=WindowReport.of((kept.cuts.validation_start,), (kept.validation.window,), scoreboard),
            test=WindowReport.of(
                contest.ground.starts, tuple(trial.window for trial in contest.ground.trials), contest.scoreboard
            ),
            challenger=contest.challenger.recipe,
            challenger_verdict=contest.verdict,
            decision=contest.decision,
            production_version=contest.production.version if contest.production else None,
            step_seconds=dict(self.step_seconds),
        )

    def _record(
        self, contest: Contest, decision: PromotionDecision, snapshot: Snapshot, report: TrainingReport
    ) -> VersionRecord:
        """Return what is kept beside the arrays of the version."""
        judged = contest.scoreboard.of(decision.recipe)
        newest = snapshot.identity.newest_rated_at
        return VersionRecord(
            metrics=_recorded_metrics(judged) | self._intervals(judged.judgement) if judged else {},
            tags={
                "role": "challenger" if decision.verdict == "HOLD" else "candidate",
                "fitted_before_us": "" if decision.is_promoted else str(contest.ground.fitted_before),
                "verdict": decision.verdict,
                "reason": decision.reason,
                "training_id": self.training_id,
                "code_version": self.code_version,
                "snapshot_sha256": snapshot.identity.content_sha256,
                "snapshot_n_ratings": str(snapshot.identity.n_ratings),
                "snapshot_newest_rated_at": newest.isoformat() if newest else "",
                "seed": str(self.plan.seed),
                "min_ratings_per_user": str(self.plan.min_ratings_per_user),
                "min_ratings_per_movie": str(self.plan.min_ratings_per_movie),
                "library_versions": json.dumps(library_versions()),
            },
            documents={
                "evaluation.json": report.to_text(),
                "model_card.md": report.model_card(),
                "statistics.json": self._statistics(snapshot),
            },
        )

    def _intervals(self, judgement: Judgement) -> dict[str, float]:
        """Return the ends of the 95 % intervals of the ranking metrics, people resampled as a whole."""
        ends: dict[str, float] = {}
        for name, values in judgement.per_user.items():
            rng = np.random.default_rng([self.plan.seed, GATE_STREAM])
            interval = interval_of_mean(judgement.by_person(values), rng, self.plan.n_resamples)
            at_k = f"{name}_at_{judgement.top_k}"
            ends |= {f"{at_k}_low": interval.low, f"{at_k}_high": interval.high}
        return {name: value for name, value in ends.items() if np.isfinite(value)}

    def _statistics(self, snapshot: Snapshot) -> str:
        """Return what the ratings look like, for later drift to be measured against, as indented JSON."""
        rng = np.random.default_rng([self.plan.seed, STATISTICS_STREAM])
        return json.dumps(to_document(baseline_of(snapshot.log, snapshot.movies, rng)), indent=1)

    def _progress(self, name: str) -> Progress:
        """Return the progress of a step without candidates."""
        return lambda fraction: self.report(StepProgress(name, None, fraction, ""))

    def _candidate_progress(self, name: str, nth: int = 0, n_parts: int = 1) -> Callable[[Recipe, float], None]:
        """Return the progress of one part of a step that tries several recipes."""
        return lambda recipe, fraction: self.report(
            StepProgress(name, recipe.model, (nth + fraction) / n_parts, str(recipe))
        )


def _with_outcome(report: TrainingReport, contest: Contest) -> TrainingReport:
    """Return a report that says what happens in the end."""
    return replace(report, challenger_verdict=contest.verdict, decision=contest.decision)


def _grids(plan: TrainingPlan, scoreboard: Scoreboard) -> dict[str, Mapping[str, Sequence[Hyperparameter]]]:
    """Return what to search: SVD where it is a candidate, and the leading model where it has a grid."""
    tried = {candidate.recipe.model for candidate in scoreboard.candidates}
    grids = {SEARCHED: plan.grid} if SEARCHED in tried else {}
    if plan.tunes_leader and tried:
        leader = scoreboard.best().recipe.model
        grids.setdefault(leader, catalogue.CATALOGUE[leader].grid)
    return {name: grid for name, grid in grids.items() if grid}


def _recorded_metrics(candidate: Candidate) -> dict[str, float]:
    """Return the finite metrics of a candidate with its measurements, by name."""
    measured = candidate.judgement.metrics() | {
        "fit_seconds": candidate.fit_seconds,
        "answer_seconds": candidate.answer_seconds,
        "n_judged_users": candidate.judgement.n_judged,
    }
    return {name: float(value) for name, value in measured.items() if np.isfinite(value)}

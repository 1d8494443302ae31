"""Comparing any two registered versions on the same rows, by the protocol of the gate; nothing is changed by it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cineclub.domain.comparison import ComparedVersion, VersionComparison, metric_differences
from cineclub.domain.contest import (
    DeployedPeriod,
    Ground,
    Production,
    deployed_ground,
    fault_of_refit,
    gate_rng,
    incumbent_of,
    judge_all,
    judge_as_deployed,
    judgement_of,
    rolling_ground,
)
from cineclub.domain.errors import BrokenArtifact, InvalidInput, NotEnoughData
from cineclub.domain.evaluation import Judgement
from cineclub.domain.promotion import decide_promotion, without_refresh
from cineclub.domain.ratings import RatingLog
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel
from cineclub.domain.splitting import rolling_cuts
from cineclub.domain.training_plan import TrainingPlan
from cineclub.domain.training_report import EPOCH, microseconds_of
from cineclub.flows import METERS, fit_within_memory
from cineclub.models import catalogue
from cineclub.ports import KnownVersion, RatingStore, RegisteredVersion, VersionArchive

POPULAR = "popular"
Tell = Callable[[str, float], None]
"""Told what is under way and the finished fraction of it; may raise to stop."""


class KnownVersions(Protocol):
    """What is on record of every registered version."""

    def get(self, version: int) -> KnownVersion:
        """Return what is known of a version.

        Raises:
            NotFound: no such version.
        """
        ...


@dataclass(frozen=True, slots=True)
class Contestant:
    """A registered version with its model, under its recipe with every hyperparameter that its model has by now."""

    registered: RegisteredVersion
    recipe: Recipe
    fitted: FittedModel

    @property
    def learned_before(self) -> int | None:
        """The moment, microseconds since 1970, from which on it saw nothing; None if unknown."""
        newest = self.registered.snapshot.newest_rated_at
        return None if newest is None else microseconds_of(newest) + 1

    def described(self) -> ComparedVersion:
        """Return what a report says of it."""
        return ComparedVersion(self.registered.version, str(self.recipe), self.registered.snapshot.newest_rated_at)


@dataclass(frozen=True, slots=True)
class Judged:
    """How both versions and Popular did on one ground."""

    first: Judgement
    second: Judgement
    popular: Judgement


@dataclass(frozen=True, slots=True)
class ComparingFlow:
    """Judges versions of a registry on the present ratings.

    Attributes:
        store: where the ratings are.
        known: which versions there are.
        archive: where their models are.
        plan: every limit, window and margin, as a training would have them.
        now: the wall clock.
        tell: told of the progress.
    """

    store: RatingStore
    known: KnownVersions
    archive: VersionArchive
    plan: TrainingPlan
    now: Callable[[], datetime]
    tell: Tell

    def compare(self, first: int, second: int) -> VersionComparison:
        """Return how the second version does beside the first, and what the gate would say of it as a challenger.

        Raises:
            InvalidInput: both are the same version, or a recipe cannot be fitted again.
            NotFound: there is no such version.
            BrokenArtifact: the files of one are damaged.
            NotEnoughData: there are too few ratings to judge anybody on.
        """
        if first == second:
            message = f"version {first} is compared with itself: there is no difference, name two versions"
            raise InvalidInput(message)
        ours, theirs = self._contestant(first), self._contestant(second)
        log = self.store.load_snapshot(lambda fraction: self.tell("load ratings", fraction)).log
        ground = self._ground(ours, theirs, log)
        judged = (
            self._judge_deployed(ours, theirs, ground)
            if ground.is_deployed
            else self._judge_recipes(ours.recipe, theirs.recipe, ground)
        )
        return self._comparison(ours, theirs, ground, judged)

    def _contestant(self, version: int) -> Contestant:
        """Return a version with its model."""
        registered = self.known.get(version).registered
        try:
            fitted = self.archive.load(version)
        except BrokenArtifact as error:
            message = f"version {version} cannot be compared: {error}"
            raise BrokenArtifact(message) from error
        return Contestant(registered, catalogue.completed(registered.recipe), fitted)

    def _ground(self, ours: Contestant, theirs: Contestant, log: RatingLog) -> Ground:
        """Return the rows that are newer than anything both saw, where enough people rated; else rolling windows."""
        starts = [one.learned_before for one in (ours, theirs)]
        known = [start for start in starts if start is not None]
        if len(known) == len(starts):
            period = DeployedPeriod(max(known), max(known))
            deployed = deployed_ground(log, period, self.plan, fit_within_memory, METERS)
            if deployed is not None:
                return deployed
        return rolling_ground(log, rolling_cuts(log, self.plan), self.plan, fit_within_memory, METERS)

    def _judge_deployed(self, ours: Contestant, theirs: Contestant, ground: Ground) -> Judged:
        """Return how the registered arrays did; only Popular is fitted, on what lies before."""
        popular = ground.trials[-1].run(catalogue.default_recipe(POPULAR), lambda _fraction: None)[0].judgement
        self.tell("judge as deployed", 0.1)
        first = judge_as_deployed(ours.fitted, ours.recipe, ground)
        self.tell("judge as deployed", 0.5)
        second = judge_as_deployed(theirs.fitted, theirs.recipe, ground)
        self.tell("judge as deployed", 1.0)
        return Judged(first, second, popular)

    def _judge_recipes(self, ours: Recipe, theirs: Recipe, ground: Ground) -> Judged:
        """Return how both recipes did, fitted anew before each window.

        Raises:
            NotEnoughData: the first could not be fitted.
        """
        popular = catalogue.default_recipe(POPULAR)
        rivals = [recipe for recipe in dict.fromkeys((popular, ours)) if recipe != theirs]
        board, _ = judge_all(
            theirs, rivals, ground.trials, lambda recipe, fraction: self.tell(f"refit {recipe.model}", fraction)
        )
        refused = [left for left in board.left_out if left.recipe == ours]
        if refused:
            message = f"{ours} could not be fitted for the comparison: {refused[0].reason}"
            raise NotEnoughData(message)
        return Judged(judgement_of(board, ours), judgement_of(board, theirs), judgement_of(board, popular))

    def _comparison(self, ours: Contestant, theirs: Contestant, ground: Ground, judged: Judged) -> VersionComparison:
        """Return the numbers of both, and the verdict on the second if the first were in production."""
        production = Production(
            recipe=ours.recipe,
            age_days=(self.now() - ours.registered.created_at) / timedelta(days=1),
            newest_rated_at=None,
            served=ours.fitted,
        )
        incumbent = incumbent_of(judged.first, production, ground)
        decision = decide_promotion(judged.second, judged.popular, incumbent, self.plan, gate_rng(self.plan))
        if decision.verdict == "REFRESH":
            fault = fault_of_refit(theirs.fitted, ours.fitted, ground.trials[-1], self.plan)
            decision = without_refresh(decision, fault) if fault else decision
        return VersionComparison(
            first=ours.described(),
            second=theirs.described(),
            comparison=incumbent.comparison,
            window_starts=tuple(EPOCH + timedelta(microseconds=start) for start in ground.starts),
            n_people=judged.second.n_judged,
            confidence=self.plan.gate_confidence,
            top_k=self.plan.top_k,
            metrics=metric_differences(judged.first, judged.second, self.plan),
            verdict=decision.verdict,
            reason=decision.reason,
        )

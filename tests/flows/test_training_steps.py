"""The training flow with a real registry: steps, decisions and records."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tastes import log_of_tastes, snapshot_of

from cineclub.domain.errors import NotEnoughData, TrainingCancelled
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.scoreboard import grid_points
from cineclub.domain.ratings.log import RatingLog, Snapshot
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import Progress
from cineclub.domain.training.records import StepProgress
from cineclub.domain.training.report import EPOCH, TrainingReport
from cineclub.flows.promotion.flow import PromotionFlow
from cineclub.flows.training import TrainingFlow
from cineclub.models.catalogue import CATALOGUE
from registry_bench import training_calls

BOXES = [
    "load_ratings",
    "filter_users_and_movies",
    "evaluate_models",
    "grid_search_svd",
    "compare_with_production",
    "register_model",
    "promote_if_better",
]
PLAN = TrainingPlan(
    models=("random", "popular", "bias", "svd", "ease"),
    min_judged_users=10,
    grid={"n_factors": (4, 8)},
    validation_fraction=0.2,
    test_fraction=0.2,
)


@dataclass(frozen=True)
class FixedRatings:
    """Fixed ratings."""

    log: RatingLog
    newest: int | None = None

    def load_snapshot(self, progress: Progress) -> Snapshot:
        """Return the snapshot, with titles."""
        progress(1.0)
        snapshot = snapshot_of(self.log)
        if self.newest is None:
            return snapshot
        identity = replace(snapshot.identity, newest_rated_at=EPOCH + timedelta(microseconds=self.newest))
        return replace(snapshot, identity=replace(identity, content_sha256=f"{self.newest:064x}"))


@dataclass
class Trainer:
    """Runs trainings with one registry and collects their progress."""

    promotion: PromotionFlow
    seen: list[StepProgress] = field(default_factory=list)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    is_in_drift: bool = False

    def train_until(self, share: float, plan: TrainingPlan) -> TrainingReport:
        """Run a training on the oldest share of the ratings, with their identity."""
        log = log_of_tastes()
        end = np.quantile(log.rated_at, share)
        known = log.take(log.rated_at <= end)
        return self._train(FixedRatings(known, int(known.rated_at.max())), plan)

    def train(self, plan: TrainingPlan = PLAN, log: RatingLog | None = None) -> TrainingReport:
        """Run a training."""
        return self._train(FixedRatings(log_of_tastes() if log is None else log), plan)

    def _train(self, ratings: FixedRatings, plan: TrainingPlan) -> TrainingReport:
        """Run a training of given ratings."""
        training_id, drift = str(uuid.uuid4()), self.is_in_drift
        return TrainingFlow(
            ratings,
            *training_calls(self.promotion),
            self.seen.append,
            plan,
            training_id,
            self.now,
            "0.0",
            is_in_drift=drift,
        ).train()


@pytest.fixture
def trainer(fresh: PromotionFlow) -> Trainer:
    """A trainer with nothing in production."""
    return Trainer(fresh)


def test_the_steps_of_a_training_are_the_boxes_of_its_drawing_in_order(trainer: Trainer) -> None:
    """Each box reports its start and, but for the last, its end, and has its duration.

    A progress callback can raise to cancel the training, which is too late once the last box has promoted.
    """
    report = trainer.train()
    started = [progress.step for progress in trainer.seen if progress.message == "started"]
    done = [progress.step for progress in trainer.seen if progress.message == "done"]
    assert started == BOXES
    assert done == BOXES[:-1]
    assert list(report.to_json()["step_seconds"]) == BOXES


def test_the_first_training_promotes_what_beats_popular(trainer: Trainer) -> None:
    """The winner is fitted on all ratings, serves from the registry, and has its promotion's reason."""
    report = trainer.train()
    production = trainer.promotion.versions.production()
    assert production is not None
    assert (report.decision.verdict, report.version) == ("PROMOTE", production.version)
    assert report.decision.recipe.model == "ease"
    newest = trainer.promotion.versions.promotions.newest()
    assert newest is not None
    assert newest.reason == report.decision.reason
    served = trainer.promotion.versions.load(production.version)
    assert len(served.movie_ids) == report.filters["everything"].after.n_movies


def test_the_same_ratings_again_refresh_production_with_the_same_arrays(trainer: Trainer) -> None:
    """Equal seed, ratings and settings give the same recipe and equal arrays."""
    first, second = trainer.train(), trainer.train()
    assert (second.decision.verdict, second.production_version) == ("REFRESH", first.version)
    first_arrays, second_arrays = (
        trainer.promotion.versions.load(report.version).recommender.arrays() for report in (first, second)
    )
    assert all(np.array_equal(first_arrays[name], second_arrays[name]) for name in first_arrays)


def test_a_challenger_that_is_not_better_is_registered_and_not_promoted(trainer: Trainer) -> None:
    """Bias is rejected against EASE, registered as it was evaluated, and production stays."""
    first = trainer.train()
    second = trainer.train(replace(PLAN, models=("bias",)))
    assert second.decision.verdict == "REJECT"
    assert second.version != first.version
    assert trainer.promotion.versions.production().version == first.version
    registered = trainer.promotion.versions.load(second.version)
    assert len(registered.movie_ids) == second.filters["before_test"].after.n_movies


def test_production_learns_from_new_ratings_where_a_challenger_does_not_replace_it(trainer: Trainer) -> None:
    """With Bias rejected on newer ratings, EASE is fitted on all of them and promoted by REFRESH."""
    first = trainer.train_until(0.9, replace(PLAN, models=("ease",), tunes_leader=False))
    second = trainer.train_until(1.0, replace(PLAN, models=("bias",), wanted_judged_users=10_000))
    assert (second.challenger.model, second.challenger_verdict.verdict) == ("bias", "REJECT")
    assert (second.decision.verdict, second.decision.recipe) == ("REFRESH", first.decision.recipe)
    assert trainer.promotion.versions.production().version == second.version
    assert len(trainer.promotion.versions.load(second.version).movie_ids) == second.filters["everything"].after.n_movies


def test_a_refit_is_held_against_production_as_it_would_serve(trainer: Trainer) -> None:
    """The refit is compared with production with the films of the newest window, as it would serve.

    The model fitted before that window, for the comparison, knows and lists fewer films for that reason alone.
    """
    plan = replace(PLAN, models=("ease",), tunes_leader=False, wanted_judged_users=10_000, max_coverage_fall=0.01)
    log = log_of_tastes(n_movies=480)
    first, second = trainer.train(plan, log), trainer.train(plan, log)
    n_known = len(trainer.promotion.versions.load(first.version).movie_ids)
    assert second.filters["before_test"].after.n_movies < n_known
    assert second.decision.verdict == "REFRESH"


@pytest.mark.parametrize("models", [("ease",), ("bias",)])
def test_a_refit_on_ratings_that_lost_most_movies_does_not_serve(trainer: Trainer, models: tuple[str, ...]) -> None:
    """Production stays, whether its recipe is the challenger or the fallback refit; one version is registered."""
    first = trainer.train(replace(PLAN, models=("ease",), tunes_leader=False))
    log = log_of_tastes()
    kept_ids = np.unique(log.movie_ids)[::3]
    damaged = log.take(np.isin(log.movie_ids, kept_ids))
    plan = replace(PLAN, models=models, tunes_leader=False, wanted_judged_users=10_000)
    second = trainer.train(plan, damaged)
    assert "the refit of ease is not sane" in second.decision.reason
    assert second.decision == second.challenger_verdict
    assert not second.decision.is_promoted
    assert (trainer.promotion.versions.production().version, second.version) == (first.version, first.version + 1)
    assert trainer.promotion.versions.load(second.version).recipe.model == models[0]


def test_a_held_challenger_stands_beside_the_refit_of_production(trainer: Trainer) -> None:
    """One training registers two versions: the refit serves, the challenger keeps its alias."""
    trainer.train_until(0.9, replace(PLAN, models=("ease",), tunes_leader=False))
    lenient = replace(PLAN, max_rmse_rise=9, max_short_history_fall=1, max_coverage_fall=0.9, non_inferiority_margin=1)
    uncertain = replace(lenient, models=("knn",), gates_a_month=10**6, wanted_judged_users=10_000)
    second = trainer.train_until(1.0, uncertain)
    assert (second.challenger.model, second.challenger_verdict.verdict) == ("knn", "HOLD")
    held = trainer.promotion.versions.registry._client.get_model_version_by_alias("cineclub", "challenger")
    assert held.tags["training_id"] == second.training_id
    assert (held.tags["role"], held.tags["verdict"]) == ("challenger", "HOLD")
    assert int(held.version) != second.version
    assert second.decision.verdict == "REFRESH"
    assert trainer.promotion.versions.production().version == second.version


def test_production_is_evaluated_as_deployed_where_enough_people_rated_since(trainer: Trainer) -> None:
    """The challenger learns from production's ratings, and both are evaluated on later ones."""
    plan = replace(PLAN, models=("ease",), tunes_leader=False)
    first = trainer.train_until(0.7, plan)
    lenient = replace(PLAN, max_rmse_rise=9, max_short_history_fall=1, max_coverage_fall=0.9)
    second = trainer.train_until(1.0, replace(lenient, models=("bias",), wanted_judged_users=20))
    assert "(as deployed)" in second.challenger_verdict.reason
    newest = trainer.promotion.versions.get(first.version).snapshot.newest_rated_at
    assert second.test.starts_at > newest
    assert len(second.test.window_starts) == 1
    assert second.filters["before_test"].before.n_ratings == first.snapshot.n_ratings


def test_a_refit_with_nothing_new_to_learn_is_compared_by_its_recipe(trainer: Trainer) -> None:
    """If production learned from all earlier ratings, it is compared by its recipe instead of a refit."""
    plan = replace(PLAN, models=("ease",), tunes_leader=False, wanted_judged_users=5)
    trainer.train_until(0.9, plan)
    second = trainer.train_until(1.0, plan)
    assert second.decision.verdict == "REFRESH"


def test_with_few_evaluated_users_popular_serves_until_there_are_more(trainer: Trainer) -> None:
    """Without production and with few evaluated users Popular is promoted, with the reason."""
    report = trainer.train(replace(PLAN, min_judged_users=10_000))
    assert (report.decision.verdict, report.decision.recipe.model) == ("PROMOTE", "popular")
    assert "not enough evidence" in report.decision.reason


def test_the_grid_is_recorded_point_by_point_and_its_best_joins_the_candidates(trainer: Trainer) -> None:
    """The points of SVD and of the leader are in the report and in MLflow; the best ones are candidates."""
    document = trainer.train().to_json()
    assert [row["hyperparameters"]["n_factors"] for row in document["grid"] if row["model"] == "svd"] == [4, 8]
    points_of_leader = [row for row in document["grid"] if row["model"] == "ease"]
    assert len(points_of_leader) == len(grid_points(Recipe("ease"), CATALOGUE["ease"].grid))
    for model in ("svd", "ease"):
        points = [row for row in document["grid"] if row["model"] == model]
        best = max(points, key=lambda row: row["metrics"]["ndcg_at_10"])
        assert best["hyperparameters"] in [row["hyperparameters"] for row in document["validation"]["models"]]
    registry = trainer.promotion.versions.registry
    tagged = f"tags.`cineclub.training_id` = '{document['training_id']}'"
    runs = registry._client.search_runs([registry._runs.experiment_id()], tagged)
    assert sum("mlflow.parentRunId" in run.data.tags for run in runs) == 2 + len(points_of_leader)


def test_the_version_keeps_its_evaluation_and_its_card(trainer: Trainer) -> None:
    """The registered documents state the evaluation, its method and the verdict."""
    report = trainer.train()
    card = report.model_card()
    assert report.decision.reason in card
    assert "| random |" in card
    stored = json.loads(report.to_text())
    assert stored["decision"]["numbers"]["n_judged_users"] == report.decision.interval.n_users
    run = trainer.promotion.versions.registry._runs.of_training(report.training_id)
    names = {file.path for file in trainer.promotion.versions.registry._client.list_artifacts(run.info.run_id)}
    assert {"evaluation.json", "model_card.md"} <= names


def test_the_gate_knows_how_old_production_is(trainer: Trainer) -> None:
    """Production's age is the time from its registration to the clock of the training."""
    trainer.train(replace(PLAN, models=("ease",)))
    later = Trainer(trainer.promotion, now=lambda: datetime.now(UTC) + timedelta(days=45))
    decision = later.train(replace(PLAN, models=("bias",))).decision
    assert decision.numbers["production_age_days"] == pytest.approx(45, abs=0.1)


def test_a_training_that_drift_started_promotes_what_is_not_worse(trainer: Trainer) -> None:
    """An inconclusive challenger within the margin is held, and promoted in drift."""
    lenient = replace(PLAN, max_rmse_rise=9, max_short_history_fall=1, max_coverage_fall=0.9, non_inferiority_margin=9)
    uncertain = replace(lenient, models=("knn",), gates_a_month=10**6)
    trainer.train(replace(PLAN, models=("ease",), tunes_leader=False))
    calm = trainer.train(uncertain)
    assert (calm.challenger.model, calm.challenger_verdict.verdict) == ("knn", "HOLD")
    drifting = Trainer(trainer.promotion, is_in_drift=True).train(uncertain)
    assert drifting.decision.verdict == "PROMOTE"
    assert "production is in drift and the challenger is not worse" in drifting.decision.reason


def test_a_cancelled_training_registers_nothing(trainer: Trainer) -> None:
    """A cancel raised by the progress callback leaves production unchanged and registers nothing."""

    def cancel(progress: StepProgress) -> None:
        if progress.step == "compare_with_production":
            message = "stopped by a person"
            raise TrainingCancelled(message)

    flow = TrainingFlow(
        FixedRatings(log_of_tastes()),
        *training_calls(trainer.promotion),
        cancel,
        PLAN,
        "cancelled",
        trainer.now,
        "0.0",
    )
    with pytest.raises(TrainingCancelled):
        flow.train()
    assert trainer.promotion.versions.production() is None


@pytest.mark.parametrize("n_users", [0, 1])
def test_hopelessly_few_ratings_leave_production_as_it_was(trainer: Trainer, n_users: int) -> None:
    """The message says what is missing, and production stays."""
    first = trainer.train(replace(PLAN, models=("popular",)))
    log = log_of_tastes(n_users=1)
    few = log.take(np.zeros(len(log), np.bool_)) if n_users == 0 else log
    with pytest.raises(NotEnoughData, match="import"):
        trainer.train(log=few)
    assert trainer.promotion.versions.production().version == first.version

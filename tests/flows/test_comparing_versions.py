"""Comparison of registered versions on the rows of the gate, without side effects."""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest
from tastes import log_of_tastes, snapshot_of

from cineclub.domain.errors import BrokenArtifact, InvalidInput, NotEnoughData, NotFound
from cineclub.domain.evaluation.evaluate import Evaluation, evaluate
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.prequential import SampleSize, walk_from
from cineclub.domain.promotion.backtest import WINDOW_STREAM
from cineclub.domain.promotion.version_comparison import Figures, VersionComparison
from cineclub.domain.ratings.log import RatingLog, Snapshot
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY
from cineclub.domain.recommend.recommender import Progress
from cineclub.domain.training.report import EPOCH, TrainingReport, microseconds_of
from cineclub.flows.promotion.flow import PromotionFlow
from cineclub.flows.training import TrainingFlow
from cineclub.flows.version_comparison import VersionComparisonFlow
from cineclub.models import catalogue
from registry_bench import training_calls

PLAN = TrainingPlan(
    models=("ease",),
    min_judged_users=10,
    wanted_judged_users=60,
    grid={},
    tunes_leader=False,
    validation_fraction=0.2,
    test_fraction=0.2,
)
WRITTEN = """
SELECT (SELECT count(*) FROM cineclub.promotions), (SELECT count(*) FROM cineclub.versions),
    (SELECT count(*) FROM mlflow.runs), (SELECT count(*) FROM mlflow.metrics),
    (SELECT count(*) FROM mlflow.model_version_tags), (SELECT count(*) FROM mlflow.experiments),
    (SELECT count(*) FROM mlflow.registered_model_aliases)
"""


@dataclass(frozen=True)
class FixedRatings:
    """Fixed ratings, with the newest of their times as their identity."""

    log: RatingLog

    def load_snapshot(self, progress: Progress) -> Snapshot:
        """Return the snapshot, with titles."""
        progress(1.0)
        snapshot = snapshot_of(self.log)
        newest = EPOCH + timedelta(microseconds=int(self.log.rated_at.max()))
        return replace(snapshot, identity=replace(snapshot.identity, newest_rated_at=newest))


@dataclass(frozen=True)
class Versions:
    """Trains versions in a registry and compares them."""

    promotion: PromotionFlow

    def trained(self, model: str, share: float = 1.0) -> TrainingReport:
        """Return the report of training one model on the oldest share of the ratings."""
        flow = TrainingFlow(
            FixedRatings(oldest(share)),
            *training_calls(self.promotion),
            lambda _progress: None,
            replace(PLAN, models=(model,)),
            str(uuid.uuid4()),
            lambda: datetime.now(UTC),
            "0.0",
        )
        return flow.train()

    def compared(self, first: int, second: int, log: RatingLog | None = None) -> VersionComparison:
        """Return the comparison of two versions on all ratings."""
        ratings = FixedRatings(oldest(1.0) if log is None else log)
        flow = VersionComparisonFlow(
            ratings,
            self.promotion.versions.get,
            self.promotion.versions.load,
            PLAN,
            lambda: datetime.now(UTC),
            lambda _step, _fraction: None,
        )
        return flow.compare(first, second)


def oldest(share: float) -> RatingLog:
    """Return the oldest share of the ratings."""
    log = log_of_tastes()
    return log.take(log.rated_at <= np.quantile(log.rated_at, share))


@pytest.fixture
def versions(fresh: PromotionFlow) -> Versions:
    """A registry with nothing in production."""
    return Versions(fresh)


def test_the_numbers_are_those_of_the_gate(versions: Versions, store_database: str) -> None:
    """For EASE and Bias, verdict, reason, interval and metrics are those of the gate, and nothing is written."""
    first, second = versions.trained("ease"), versions.trained("bias")
    with psycopg.connect(store_database) as connection:
        before = connection.execute(WRITTEN).fetchone()
    result = versions.compared(first.version, second.version)
    gate = second.challenger_verdict
    assert (result.comparison, result.verdict, result.reason) == ("recipe refitted", gate.verdict, gate.reason)
    ndcg = next(metric for metric in result.metrics if metric.name == "ndcg_at_10")
    assert (ndcg.difference, ndcg.low, ndcg.high) == (gate.interval.mean, gate.interval.low, gate.interval.high)
    assert (result.n_people, result.confidence) == (gate.interval.n_users, gate.interval.confidence)
    assert result.window_starts == second.test.window_starts
    scoreboard = second.test.scoreboard
    ours, theirs = (scoreboard.of(report.challenger).evaluation.metrics() for report in (first, second))
    by_name = {metric.name: metric for metric in result.metrics}
    assert {name: by_name[name].first for name in ours} == pytest.approx(ours, nan_ok=True)
    assert {name: by_name[name].second for name in theirs} == pytest.approx(theirs, nan_ok=True)
    with psycopg.connect(store_database) as connection:
        assert connection.execute(WRITTEN).fetchone() == before


@pytest.mark.parametrize("share", [0.6, 1.0])
def test_the_other_way_round_mirrors_the_numbers(versions: Versions, share: float) -> None:
    """Swapping the versions swaps values and interval ends and negates differences, deployed and refitted."""
    _, first, second = (versions.trained(model, share).version for model in ("ease", "knn", "bias"))
    there, back = versions.compared(first, second), versions.compared(second, first)
    assert there.comparison == back.comparison == ("as deployed" if share < 1 else "recipe refitted")
    assert (there.first, there.second, there.n_people) == (back.second, back.first, back.n_people)
    for forward, backward in zip(there.metrics, back.metrics, strict=True):
        mirrored = (backward.second, backward.first, -backward.difference, -backward.high, -backward.low)
        values = (forward.first, forward.second, forward.difference, forward.low, forward.high)
        assert values == pytest.approx(mirrored, abs=1e-12, nan_ok=True)
    assert [version.recipe.split("(")[0] for version in (there.first, there.second)] == ["knn", "bias"]
    rmse = next(metric for metric in there.metrics if metric.name == "rmse")
    assert rmse.low < rmse.difference < rmse.high
    assert rmse.difference == pytest.approx(rmse.second - rmse.first)


def test_registered_arrays_are_evaluated_where_enough_people_rated_since(versions: Versions) -> None:
    """The window begins after both snapshots, and the figures are those of the registered arrays."""
    first = versions.trained("ease", 0.5)
    _refresh, second = versions.trained("ease", 0.6), versions.trained("bias", 0.6)
    result = versions.compared(first.version, second.version)
    assert result.comparison == "as deployed"
    (start,) = result.window_starts
    assert start == second.snapshot.newest_rated_at + timedelta(microseconds=1)
    size = SampleSize(PLAN.max_judged_users, PLAN.max_judged_ratings_per_user, PLAN.max_judged_ratings)
    rng = np.random.default_rng([PLAN.seed, WINDOW_STREAM])
    window = walk_from(oldest(1.0), microseconds_of(start)).window.sampled(size, rng)
    for version, index in ((first.version, "first"), (second.version, "second")):
        expected = evaluate(versions.promotion.versions.load(version), window, PLAN.top_k).metrics()
        values = {metric.name: getattr(metric, index) for metric in result.metrics}
        assert {name: values[name] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert result.verdict == "REJECT"
    assert result.second.recipe == str(second.challenger)


def test_two_versions_of_one_recipe_are_one_model_when_refitted(versions: Versions) -> None:
    """Two versions of one recipe have no difference when refitted, and the verdict is that on a refit."""
    first, second = versions.trained("ease"), versions.trained("ease")
    result = versions.compared(first.version, second.version)
    assert result.has_one_recipe
    differences = {metric.name: metric.difference for metric in result.metrics if not np.isnan(metric.first)}
    assert "ndcg_at_10" in differences
    assert set(differences.values()) == {0.0}
    assert result.verdict == second.challenger_verdict.verdict == "REFRESH"


def test_every_baseline_stands_beside_both_versions(versions: Versions) -> None:
    """The table has both versions, popular of all time and of the last days, bias and random, deployed and refitted."""
    first, second = versions.trained("ease", 0.5).version, versions.trained("knn", 0.6).version
    for log, comparison in ((None, "as deployed"), (oldest(0.6), "recipe refitted")):
        result = versions.compared(first, second, log)
        assert result.comparison == comparison
        names = [f"A, version {first}", f"B, version {second}", "popular, all time", "popular, 1 day"]
        names += ["popular, 3 days", "popular, 7 days", "popular, 30 days", "bias", "random"]
        assert [figures.name for figures in result.figures] == names
        values = {metric.name: metric for metric in result.metrics}
        ours, theirs = result.figures[:2]
        assert (ours.ndcg, theirs.ndcg) == (values["ndcg_at_10"].first, values["ndcg_at_10"].second)
        assert ours.ndcg_of_likes == values["ndcg_of_likes_at_10"].first
        assert ours.low < ours.ndcg < ours.high
        assert result.n_likes is not None
        assert result.n_likes >= result.n_people


def test_later_ratings_move_no_list_of_an_earlier_row_of_a_comparison(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every rating from a moment on replaced, versions and baselines list the same before it."""
    first, second = versions.trained("ease", 0.5).version, versions.trained("popular", 0.6).version
    evaluated: list[tuple[str, Evaluation]] = []
    figures_of = Figures.of

    def spied(name: str, evaluation: Evaluation) -> Figures:
        evaluated.append((name, evaluation))
        return figures_of(name, evaluation)

    monkeypatch.setattr(Figures, "of", spied)
    log = oldest(1.0)
    moment = int(np.quantile(log.rated_at, 0.8))
    movie_ids = np.where(log.rated_at >= moment, 1_000_000 + np.arange(len(log)), log.movie_ids)
    changed = RatingLog.from_columns(log.user_ids, movie_ids, log.ratings, log.rated_at, log.scale)
    for of_both in (log, changed):
        assert versions.compared(first, second, of_both).comparison == "as deployed"
    n_models = len(evaluated) // 2
    assert n_models == len(catalogue.BASELINES) + 2
    for (name, ours), (_, theirs) in zip(evaluated[:n_models], evaluated[n_models:], strict=True):
        n_before = int(np.count_nonzero(ours.days < moment // MICROSECONDS_PER_DAY))
        assert n_before > 20
        assert np.array_equal(ours.recommended[:n_before], theirs.recommended[:n_before]), name
        assert not np.array_equal(ours.movie_ids, theirs.movie_ids)


def test_what_cannot_be_compared_says_why(versions: Versions, home: Path) -> None:
    """An equal pair, an unknown version, too few ratings and damaged files are refused with a reason."""
    first, second = versions.trained("ease").version, versions.trained("bias").version
    with pytest.raises(InvalidInput, match="compared with itself"):
        versions.compared(first, first)
    with pytest.raises(NotFound, match="no version 4711"):
        versions.compared(first, 4711)
    log = log_of_tastes()
    with pytest.raises(NotEnoughData, match="import"):
        versions.compared(first, second, log.take(np.arange(len(log)) < 1))
    for file in (path for path in (home / "models").rglob("*") if path.is_file()):
        file.write_bytes(b"damaged")
    with pytest.raises(BrokenArtifact, match=f"version {first} cannot be compared"):
        versions.compared(first, second)

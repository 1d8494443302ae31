"""Any two registered versions are judged on the same rows as the gate judges, and nothing is changed by it."""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest
from tastes import log_of_tastes, snapshot_of

from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.postgres.promotions import PromotionHistory
from cineclub.domain.comparison import VersionComparison
from cineclub.domain.errors import BrokenArtifact, InvalidInput, NotEnoughData, NotFound
from cineclub.domain.evaluation import judge
from cineclub.domain.ratings import RatingLog, Snapshot
from cineclub.domain.recommender import Progress
from cineclub.domain.splitting import split_at
from cineclub.domain.training_plan import TrainingPlan
from cineclub.domain.training_report import EPOCH, TrainingReport, microseconds_of
from cineclub.flows.comparing import ComparingFlow
from cineclub.flows.training import TrainingFlow

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
    """Ratings that are at hand already, with the newest of their times as their identity."""

    log: RatingLog

    def load_snapshot(self, progress: Progress) -> Snapshot:
        """Return them with titles."""
        progress(1.0)
        snapshot = snapshot_of(self.log)
        newest = EPOCH + timedelta(microseconds=int(self.log.rated_at.max()))
        return replace(snapshot, identity=replace(snapshot.identity, newest_rated_at=newest))


@dataclass(frozen=True)
class Versions:
    """Trains versions in one registry and compares them."""

    registry: MlflowRegistry
    promotions: PromotionHistory

    def trained(self, model: str, share: float = 1.0) -> TrainingReport:
        """Return what came of training one model on the oldest share of the ratings."""
        flow = TrainingFlow(
            FixedRatings(oldest(share)),
            self.registry,
            lambda _progress: None,
            replace(PLAN, models=(model,)),
            str(uuid.uuid4()),
            lambda: datetime.now(UTC),
            "0.0",
        )
        return flow.train()

    def compared(self, first: int, second: int, log: RatingLog | None = None) -> VersionComparison:
        """Return how two versions do on all ratings."""
        ratings = FixedRatings(oldest(1.0) if log is None else log)
        flow = ComparingFlow(
            ratings, self.promotions.versions, self.registry, PLAN, lambda: datetime.now(UTC), lambda _what, _part: None
        )
        return flow.compare(first, second)


def oldest(share: float) -> RatingLog:
    """The oldest share of the ratings."""
    log = log_of_tastes()
    return log.take(log.rated_at <= np.quantile(log.rated_at, share))


@pytest.fixture
def versions(fresh: MlflowRegistry, promotions: PromotionHistory) -> Versions:
    """A registry with nothing in production."""
    return Versions(fresh, promotions)


def test_the_numbers_are_those_of_the_gate(versions: Versions, store_database: str) -> None:
    """EASE in production and Bias as its challenger: verdict, reason, interval and every metric; nothing is written."""
    first, second = versions.trained("ease"), versions.trained("bias")
    with psycopg.connect(store_database) as connection:
        before = connection.execute(WRITTEN).fetchone()
    found = versions.compared(first.version, second.version)
    gate = second.challenger_verdict
    assert (found.comparison, found.verdict, found.reason) == ("recipe refitted", gate.verdict, gate.reason)
    ndcg = next(one for one in found.metrics if one.name == "ndcg_at_10")
    assert (ndcg.difference, ndcg.low, ndcg.high) == (gate.interval.mean, gate.interval.low, gate.interval.high)
    assert (found.n_people, found.confidence) == (gate.interval.n_users, gate.interval.confidence)
    assert found.window_starts == second.test.window_starts
    judged = second.test.scoreboard
    ours, theirs = (judged.of(one.challenger).judgement.metrics() for one in (first, second))
    by_name = {one.name: one for one in found.metrics}
    assert {name: by_name[name].first for name in ours} == pytest.approx(ours, nan_ok=True)
    assert {name: by_name[name].second for name in theirs} == pytest.approx(theirs, nan_ok=True)
    with psycopg.connect(store_database) as connection:
        assert connection.execute(WRITTEN).fetchone() == before


@pytest.mark.parametrize("share", [0.6, 1.0])
def test_the_other_way_round_mirrors_the_numbers(versions: Versions, share: float) -> None:
    """As deployed and refitted: first and second change places, every difference its sign, every interval its ends."""
    _, first, second = (versions.trained(model, share).version for model in ("ease", "knn", "bias"))
    there, back = versions.compared(first, second), versions.compared(second, first)
    assert there.comparison == back.comparison == ("as deployed" if share < 1 else "recipe refitted")
    assert (there.first, there.second, there.n_people) == (back.second, back.first, back.n_people)
    for one, other in zip(there.metrics, back.metrics, strict=True):
        mirrored = (other.second, other.first, -other.difference, -other.high, -other.low)
        found = (one.first, one.second, one.difference, one.low, one.high)
        assert found == pytest.approx(mirrored, abs=1e-12, nan_ok=True)
    assert [version.recipe.split("(")[0] for version in (there.first, there.second)] == ["knn", "bias"]
    rmse = next(one for one in there.metrics if one.name == "rmse")
    assert rmse.low < rmse.difference < rmse.high
    assert rmse.difference == pytest.approx(rmse.second - rmse.first)


def test_registered_arrays_are_judged_where_enough_people_rated_since(versions: Versions) -> None:
    """The window begins after both snapshots, and the numbers are those of the arrays in the registry."""
    first = versions.trained("ease", 0.5)
    _refresh, second = versions.trained("ease", 0.6), versions.trained("bias", 0.6)
    found = versions.compared(first.version, second.version)
    assert found.comparison == "as deployed"
    (start,) = found.window_starts
    assert start == second.snapshot.newest_rated_at + timedelta(microseconds=1)
    window = split_at(oldest(1.0), microseconds_of(start)).window
    for version, index in ((first.version, "first"), (second.version, "second")):
        expected = judge(versions.registry.load(version), window, PLAN.top_k).metrics()
        values = {one.name: getattr(one, index) for one in found.metrics}
        assert {name: values[name] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert found.verdict == "REJECT"
    assert found.second.recipe == str(second.challenger)


def test_two_versions_of_one_recipe_are_one_model_when_refitted(versions: Versions) -> None:
    """Every difference is nothing, and the verdict is that on a refit."""
    first, second = versions.trained("ease"), versions.trained("ease")
    found = versions.compared(first.version, second.version)
    assert found.has_one_recipe
    assert all(one.difference == 0 for one in found.metrics if not np.isnan(one.first))
    assert found.verdict == second.challenger_verdict.verdict == "REFRESH"


def test_what_cannot_be_compared_says_why(versions: Versions, home: Path) -> None:
    """A version with itself, one that is not there, too few ratings, and damaged files."""
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

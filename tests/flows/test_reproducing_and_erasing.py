"""A registered version is fitted again from its snapshot, and an erased person ends that."""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
import pytest
from tastes import log_of_tastes, snapshot_of

from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.adapters.postgres.snapshots import PostgresPeople, PostgresSnapshotRecords
from cineclub.adapters.snapshots import SnapshotArchive
from cineclub.domain.errors import NotFound, ReadOnlySource, SnapshotGone
from cineclub.domain.ratings import Snapshot
from cineclub.domain.recommender import Progress
from cineclub.domain.training_plan import TrainingPlan
from cineclub.domain.training_report import TrainingReport
from cineclub.flows import reproduction
from cineclub.flows.erasing import erase_user
from cineclub.flows.reproduction import reproduce
from cineclub.flows.training import TrainingFlow
from cineclub.models.catalogue import CATALOGUE

PLAN = TrainingPlan(
    models=("ease",),
    min_ratings_per_user=3,
    min_ratings_per_movie=2,
    min_judged_users=10,
    grid={},
    tunes_leader=False,
    validation_fraction=0.2,
    test_fraction=0.2,
    seed=11,
)


@dataclass(frozen=True)
class FixedRatings:
    """Ratings that are at hand already."""

    def load_snapshot(self, progress: Progress) -> Snapshot:
        """Return them with titles."""
        progress(1.0)
        return snapshot_of(log_of_tastes())


@pytest.fixture
def snapshots(store_database: str, home: Path) -> SnapshotArchive:
    """An empty folder of snapshots."""
    with psycopg.connect(store_database) as connection:
        connection.execute("DELETE FROM cineclub.snapshots")
    return SnapshotArchive(home / "snapshots", PostgresSnapshotRecords(store_database), 3, lambda: None)


def trained(registry: MlflowRegistry, snapshots: SnapshotArchive, plan: TrainingPlan = PLAN) -> TrainingReport:
    """Run one training."""
    return TrainingFlow(
        FixedRatings(),
        registry,
        lambda _progress: None,
        plan,
        str(uuid.uuid4()),
        lambda: datetime.now(UTC),
        "0.0",
        snapshots,
    ).train()


@pytest.mark.parametrize("model", sorted(CATALOGUE))
def test_every_model_is_equal_when_it_is_fitted_again(
    model: str, fresh: MlflowRegistry, snapshots: SnapshotArchive
) -> None:
    """Whether it learned from all ratings or only from those before the cut, the bytes are the same."""
    trained(fresh, snapshots)
    report = trained(fresh, snapshots, replace(PLAN, models=(model,)))
    found = reproduce(report.version, fresh, snapshots, lambda _fraction: None)
    assert found.is_equal, found.differences
    assert found.recipe.startswith(f"{model}(")
    assert found.n_arrays >= 2
    assert found.environment == ()


def test_a_version_that_was_held_back_is_fitted_before_its_cut(
    fresh: MlflowRegistry, snapshots: SnapshotArchive
) -> None:
    """The challenger that lost is as it was judged, and the tags say where its ratings end."""
    trained(fresh, snapshots)
    report = trained(fresh, snapshots, replace(PLAN, models=("bias",)))
    assert report.decision.verdict == "REJECT"
    assert fresh.tags(report.version)["fitted_before_us"] == str(report.cuts.test_start)
    found = reproduce(report.version, fresh, snapshots, lambda _fraction: None)
    assert found.recipe.startswith("bias(")
    assert found.is_equal


def test_another_seed_or_library_is_said_to_differ(
    fresh: MlflowRegistry, snapshots: SnapshotArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The arrays are named with the size of the difference, and beside them what is another now."""
    trained(fresh, snapshots)
    report = trained(fresh, snapshots, replace(PLAN, models=("svd",)))
    monkeypatch.setattr(reproduction, "rng_of", lambda _seed, _recipe: np.random.default_rng(99))
    monkeypatch.setattr(reproduction, "library_versions", lambda: {"numpy": "1.0"})
    found = reproduce(report.version, fresh, snapshots, lambda _fraction: None)
    assert "movie_vectors" in [one.name for one in found.differences if one.largest]
    assert "numpy" in [one.name for one in found.environment]


def test_what_cannot_be_fitted_again_says_why(fresh: MlflowRegistry, snapshots: SnapshotArchive) -> None:
    """An unknown version, one whose ratings were not kept, and one of an earlier release."""
    with pytest.raises(NotFound, match="version 4711"):
        reproduce(4711, fresh, snapshots, lambda _fraction: None)
    report = TrainingFlow(
        FixedRatings(), fresh, lambda _progress: None, PLAN, str(uuid.uuid4()), lambda: datetime.now(UTC), "0.0"
    ).train()
    with pytest.raises(SnapshotGone, match="was not kept"):
        reproduce(report.version, fresh, snapshots, lambda _fraction: None)
    fresh._client.delete_model_version_tag("cineclub", str(report.version), "seed")
    with pytest.raises(SnapshotGone, match="earlier release"):
        reproduce(report.version, fresh, snapshots, lambda _fraction: None)


RATER = """
INSERT INTO cineclub.movies (external_id, title) VALUES ('f1', 'Film') ON CONFLICT DO NOTHING;
INSERT INTO cineclub.users (id, external_id) OVERRIDING SYSTEM VALUE VALUES (7, 'ann'), (8, 'bob');
INSERT INTO cineclub.ratings SELECT u, (SELECT min(id) FROM cineclub.movies), 4, now() FROM unnest(ARRAY[7, 8]) u;
INSERT INTO cineclub.predictions
SELECT gen_random_uuid(), now(), u, 'model', 'ease', 1, '{}', '{}', 0, false FROM unnest(ARRAY['ann', 'ann', 'bob']) u;
"""
LEFT = """
SELECT (SELECT count(*) FROM cineclub.users), (SELECT count(*) FROM cineclub.ratings),
    (SELECT count(*) FROM cineclub.predictions), (SELECT count(*) FROM cineclub.erasures)
"""


def test_erasing_a_person_ends_the_reproducing_of_versions_that_knew_them(
    fresh: MlflowRegistry, snapshots: SnapshotArchive, store_database: str
) -> None:
    """Ratings, answers and the user are gone, others stay, and the version says why it cannot be fitted again."""
    report = trained(fresh, snapshots)
    with psycopg.connect(store_database) as connection:
        connection.execute(RATER)
    people, jobs = PostgresPeople(store_database, is_writable=True), PostgresTrainingJobs(store_database)
    erased = erase_user("ann", people, jobs, snapshots)
    assert (erased.n_ratings, erased.n_predictions) == (1, 2)
    queued = jobs.get(erased.training_id)
    assert (queued.status, "ann" in str(queued.reason)) == ("queued", False)
    assert erased.rewritten_snapshots == (report.snapshot.content_sha256,)
    with psycopg.connect(store_database) as connection:
        left = connection.execute(LEFT).fetchone()
    assert left == (1, 1, 1, 1)
    with pytest.raises(SnapshotGone, match="because a user in it was erased"):
        reproduce(report.version, fresh, snapshots, lambda _fraction: None)
    with pytest.raises(NotFound, match="no user ann"):
        erase_user("ann", people, jobs, snapshots)


def test_people_of_the_owners_views_are_erased_by_the_owner(snapshots: SnapshotArchive, store_database: str) -> None:
    """Nothing of ours could erase them."""
    with pytest.raises(ReadOnlySource, match="CINECLUB_SOURCE=external"):
        erase_user(
            "bob", PostgresPeople(store_database, is_writable=False), PostgresTrainingJobs(store_database), snapshots
        )

"""Reproduction of a registered version from its snapshot, until one of its users is erased."""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
import pytest
from tastes import log_of_tastes, snapshot_of

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.adapters.postgres.people import PostgresPeople
from cineclub.adapters.postgres.snapshots import PostgresSnapshotRecords
from cineclub.adapters.snapshots import SnapshotArchive
from cineclub.domain.errors import NotFound, SnapshotGone
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.ratings.log import Snapshot
from cineclub.domain.recommend.recommender import Progress
from cineclub.domain.training.report import TrainingReport
from cineclub.flows import reproduction
from cineclub.flows.erasing import erase_user
from cineclub.flows.promotion.flow import PromotionFlow
from cineclub.flows.reproduction import reproduce
from cineclub.flows.training import TrainingFlow
from cineclub.models.catalogue import CATALOGUE
from registry_bench import training_calls

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
    """Fixed ratings."""

    def load_snapshot(self, progress: Progress) -> Snapshot:
        """Return the snapshot, with titles."""
        progress(1.0)
        return snapshot_of(log_of_tastes())


@pytest.fixture
def snapshots(store_database: str, home: Path) -> SnapshotArchive:
    """An empty folder of snapshots."""
    with psycopg.connect(store_database) as connection:
        connection.execute("DELETE FROM cineclub.snapshots")
    return SnapshotArchive(home / "snapshots", PostgresSnapshotRecords(store_database), 3, lambda: None)


def trained(promotion: PromotionFlow, snapshots: SnapshotArchive, plan: TrainingPlan = PLAN) -> TrainingReport:
    """Run a training."""
    return TrainingFlow(
        FixedRatings(),
        *training_calls(promotion),
        lambda _progress: None,
        plan,
        str(uuid.uuid4()),
        lambda: datetime.now(UTC),
        "0.0",
        snapshots.keep,
    ).train()


@pytest.mark.parametrize("model", sorted(CATALOGUE))
def test_every_model_is_equal_when_it_is_fitted_again(
    model: str, fresh: PromotionFlow, snapshots: SnapshotArchive
) -> None:
    """A refit equals the registered arrays byte for byte, of all ratings or of those before the cut."""
    trained(fresh, snapshots)
    report = trained(fresh, snapshots, replace(PLAN, models=(model,)))
    result = reproduce(
        report.version, fresh.versions.registry.tags, fresh.versions.load, snapshots.load, lambda _fraction: None
    )
    assert result.is_equal, result.differences
    assert result.recipe.startswith(f"{model}(")
    assert result.n_arrays >= 2
    assert result.environment == ()


def test_a_version_that_was_held_back_is_fitted_before_its_cut(
    fresh: PromotionFlow, snapshots: SnapshotArchive
) -> None:
    """A held challenger is refitted as it was evaluated, before the cut in its tags."""
    trained(fresh, snapshots)
    report = trained(fresh, snapshots, replace(PLAN, models=("bias",)))
    assert report.decision.verdict == "REJECT"
    assert fresh.versions.registry.tags(report.version)["fitted_before_us"] == str(report.cuts.test_start)
    result = reproduce(
        report.version, fresh.versions.registry.tags, fresh.versions.load, snapshots.load, lambda _fraction: None
    )
    assert result.recipe.startswith("bias(")
    assert result.is_equal


def test_another_seed_or_library_is_named(
    fresh: PromotionFlow, snapshots: SnapshotArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Differing arrays are named with the size of the difference, and so are changed libraries and seeds."""
    trained(fresh, snapshots)
    report = trained(fresh, snapshots, replace(PLAN, models=("svd",)))
    monkeypatch.setattr(reproduction, "rng_of", lambda _seed, _recipe: np.random.default_rng(99))
    monkeypatch.setattr(reproduction, "library_versions", lambda: {"numpy": "1.0"})
    result = reproduce(
        report.version, fresh.versions.registry.tags, fresh.versions.load, snapshots.load, lambda _fraction: None
    )
    assert "movie_vectors" in [difference.name for difference in result.differences if difference.largest]
    assert "numpy" in [difference.name for difference in result.environment]


def test_what_cannot_be_fitted_again_says_why(fresh: PromotionFlow, snapshots: SnapshotArchive) -> None:
    """An unknown version, one without its snapshot, and one of an earlier release are refused with a reason."""
    with pytest.raises(NotFound, match="version 4711"):
        reproduce(4711, fresh.versions.registry.tags, fresh.versions.load, snapshots.load, lambda _fraction: None)
    report = TrainingFlow(
        FixedRatings(),
        *training_calls(fresh),
        lambda _progress: None,
        PLAN,
        str(uuid.uuid4()),
        lambda: datetime.now(UTC),
        "0.0",
    ).train()
    with pytest.raises(SnapshotGone, match="was not kept"):
        reproduce(
            report.version, fresh.versions.registry.tags, fresh.versions.load, snapshots.load, lambda _fraction: None
        )
    fresh.versions.registry._client.delete_model_version_tag("cineclub", str(report.version), "seed")
    with pytest.raises(SnapshotGone, match="earlier release"):
        reproduce(
            report.version, fresh.versions.registry.tags, fresh.versions.load, snapshots.load, lambda _fraction: None
        )


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
    fresh: PromotionFlow, snapshots: SnapshotArchive, store_database: str
) -> None:
    """Ratings, responses and the user are deleted, others stay, and the version says why it cannot be fitted again."""
    report = trained(fresh, snapshots)
    with psycopg.connect(store_database) as connection:
        connection.execute(RATER)
    people, jobs = PostgresPeople(store_database), PostgresTrainingJobs(store_database)
    erased = erase_user("ann", people.erase, jobs.start, jobs.get, snapshots.apply_erasures)
    assert (erased.erased.n_ratings, erased.erased.n_predictions) == (1, 2)
    queued = jobs.get(erased.training_id)
    assert (queued.status, "ann" in str(queued.reason)) == ("queued", False)
    assert erased.rewritten_snapshots == (report.snapshot.content_sha256,)
    with psycopg.connect(store_database) as connection:
        left = connection.execute(LEFT).fetchone()
    assert left == (1, 1, 1, 1)
    with pytest.raises(SnapshotGone, match="because a user in it was erased"):
        reproduce(
            report.version, fresh.versions.registry.tags, fresh.versions.load, snapshots.load, lambda _fraction: None
        )
    with pytest.raises(NotFound, match="no user ann"):
        erase_user("ann", people.erase, jobs.start, jobs.get, snapshots.apply_erasures)

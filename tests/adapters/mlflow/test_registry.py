"""Registration, promotion and local copies of versions, also after a crash or a lost lease."""

import shutil
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest

from cineclub.adapters.mlflow.client import store_uri
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.domain.errors import BrokenArtifact, Conflict, LeaseLost, NotFound, RegistryUnavailable, TrainingCancelled
from cineclub.domain.recommend.recipe import Recipe
from cineclub.flows.promotion.flow import PromotionFlow
from registry_bench import RECORD, Bench, assert_serves
from small_models import fitted_model, movies_of


def test_a_registered_version_is_in_production_only_when_it_was_promoted(bench: Bench) -> None:
    """Registering leaves production unchanged; promoting moves alias, history and local copy."""
    version = bench.registered()
    assert bench.versions.production() is None
    assert bench.promotions.newest() is None
    bench.promotion.promote_winner(bench.training_id, version, "PROMOTE", "it is better", bench.versions.production())
    assert_serves(bench, version)
    promotion = bench.promotions.recent(5)[0]
    assert (promotion.verdict, promotion.reason, promotion.promoted_by) == ("PROMOTE", "it is better", "gate")
    assert (promotion.previous_version, promotion.training_id) == (None, bench.training_id)
    second = bench.promoted(seed=1)
    assert_serves(bench, second)
    assert bench.promotions.recent(1)[0].previous_version == version.version


def test_a_registered_model_comes_back_with_its_scores(bench: Bench) -> None:
    """The model loaded for a comparison is the fitted one, with or without a local copy."""
    fitted = fitted_model()
    loaded = bench.versions.load(bench.registered().version)
    assert loaded.recipe == fitted.recipe
    for name, array in fitted.recommender.arrays().items():
        np.testing.assert_array_equal(loaded.recommender.arrays()[name], array)
    assert not list((bench.home / "unfinished").iterdir())


def test_a_training_registers_once(bench: Bench) -> None:
    """A training that is run again finds its version; another model replaces a version that never served."""
    first = bench.registered(training_id=bench.training_id)
    assert bench.registered(training_id=bench.training_id) == first
    other = bench.registered(seed=1, training_id=bench.training_id)
    assert other.version != first.version
    assert [
        int(mlflow_version.version) for mlflow_version in bench.client.search_model_versions("name = 'cineclub'")
    ] == [other.version]
    bench.promotion.promote_winner(bench.training_id, other, "PROMOTE", "it is better", bench.versions.production())
    assert bench.registered(seed=2, training_id=bench.training_id) == other


def test_a_version_carries_its_record(bench: Bench) -> None:
    """Tags, metrics, parameters and documents are stored in MLflow."""
    version = bench.registered(training_id=bench.training_id)
    mlflow_version = bench.client.get_model_version("cineclub", str(version.version))
    assert mlflow_version.tags["training_id"] == bench.training_id
    assert mlflow_version.tags["manifest_sha256"] == version.manifest_sha256
    assert Recipe.from_json(mlflow_version.tags["recipe"]) == version.recipe
    run = bench.client.get_run(mlflow_version.run_id)
    assert (run.data.metrics, run.data.params["model"], run.info.status) == ({"ndcg": 0.31}, "ease", "FINISHED")
    files = {file.path for file in bench.client.list_artifacts(mlflow_version.run_id)}
    assert {"model_card.md", "evaluation.json"} < files


def test_what_a_version_learned_from_is_kept_for_drift_to_be_measured_against(bench: Bench) -> None:
    """The statistics are stored in PostgreSQL once, under number and hash of the version."""
    fitted = fitted_model()
    record = type(RECORD)(RECORD.metrics, RECORD.tags, {**RECORD.documents, "statistics.json": '{"window_days": 7.0}'})
    for _ in range(2):
        version = bench.versions.register(bench.training_id, fitted, movies_of(fitted), record)
    with psycopg.connect(bench.database_url) as connection:
        rows = connection.execute("SELECT version, manifest_sha256, document FROM cineclub.drift_baselines").fetchall()
    assert rows == [(version.version, version.manifest_sha256, {"window_days": 7.0})]


def test_candidates_are_child_runs_of_their_training(
    bench: Bench, open_promotion: Callable[[str], PromotionFlow]
) -> None:
    """Each point of a grid is recorded once, also when the training is run again."""
    for registry in (bench.registry, open_promotion("another").versions.registry):
        for n_factors in (20, 64):
            registry.record_candidate(bench.training_id, Recipe("svd", {"n_factors": n_factors}), {"ndcg": 0.1})
    version = bench.registered(training_id=bench.training_id)
    parent = bench.client.get_model_version("cineclub", str(version.version)).run_id
    experiment = bench.client.get_experiment_by_name("cineclub")
    children = bench.client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert sorted(child.data.params["n_factors"] for child in children) == ["20", "64"]


def test_what_the_gate_holds_back_is_the_challenger(bench: Bench) -> None:
    """A version with the verdict HOLD is registered under the challenger alias."""
    fitted = fitted_model()
    record = type(RECORD)(RECORD.metrics, {**RECORD.tags, "verdict": "HOLD"}, RECORD.documents)
    bench.versions.register(bench.training_id, fitted, movies_of(fitted), record)
    assert bench.client.get_model_version_by_alias("cineclub", "challenger").tags["training_id"] == bench.training_id
    assert bench.versions.production() is None


def test_an_unknown_version_is_not_found(bench: Bench) -> None:
    """An unknown version cannot be loaded."""
    with pytest.raises(NotFound, match="version 99"):
        bench.versions.load(99)


@pytest.mark.parametrize("damage", ["truncated", "gone"])
def test_a_damaged_artifact_is_neither_loaded_nor_promoted(damage: str, bench: Bench) -> None:
    """Production stays, and the reason names the damage."""
    served = bench.promoted()
    version = bench.registered(seed=1)
    files = bench.files_of(version)
    if damage == "gone":
        shutil.rmtree(files)
    else:
        (files / "popularity.npy").write_bytes((files / "popularity.npy").read_bytes()[:-4])
    with pytest.raises(BrokenArtifact):
        bench.versions.load(version.version)
    with pytest.raises(BrokenArtifact):
        bench.promotion.promote_winner(
            bench.training_id, version, "PROMOTE", "it is better", bench.versions.production()
        )
    assert_serves(bench, served)


def test_a_worker_that_lost_its_training_promotes_nothing(
    bench: Bench, open_promotion: Callable[[str], PromotionFlow]
) -> None:
    """The transaction that records a promotion checks the lease."""
    served = bench.promoted()
    version = bench.registered(seed=1)
    with pytest.raises(LeaseLost):
        open_promotion("a worker taken for dead").promote_winner(
            bench.training_id, version, "PROMOTE", "it is better", bench.versions.production()
        )
    assert_serves(bench, served)
    assert len(bench.promotions.recent(5)) == 1


def test_a_cancelled_training_promotes_nothing(bench: Bench) -> None:
    """A training cancelled before the alias moves is not promoted."""
    version = bench.registered()
    PostgresTrainingJobs(bench.database_url).cancel(bench.training_id)
    with pytest.raises(TrainingCancelled):
        bench.promotion.promote_winner(bench.training_id, version, "PROMOTE", "it is better", None)
    assert bench.versions.production() is None
    assert bench.promotions.newest() is None


def test_only_the_last_copies_stay_on_the_disk(bench: Bench) -> None:
    """Older local copies are deleted, and downloaded again on demand."""
    versions = [bench.promoted(seed) for seed in range(4)]
    copies = sorted(path.name for path in (bench.home / "models").iterdir())
    assert copies == [version.copy_name for version in versions[1:]]
    bench.promotion.promote_winner(
        bench.training_id, versions[0], "PROMOTE", "it is better after all", bench.versions.production()
    )
    assert_serves(bench, versions[0])


@pytest.mark.parametrize("damage", ["gone", "truncated"])
def test_a_lost_local_copy_is_brought_home_again(damage: str, bench: Bench) -> None:
    """A missing or damaged local copy is downloaded from the registry."""
    version = bench.promoted()
    folder = bench.home / "models" / f"{version.version}-{version.manifest_sha256[:12]}"
    if damage == "gone":
        shutil.rmtree(folder)
        assert bench.promotion.reconcile() is None
    else:
        (folder / "popularity.npy").write_bytes(b"")
        bench.promotion.promote_winner(
            bench.training_id, version, "PROMOTE", "it is better", bench.versions.production()
        )
    assert_serves(bench, version)


def test_a_store_that_is_away_is_reported(bench: Bench) -> None:
    """Errors of MLflow are raised as StorageUnavailable."""
    name = bench.database_url.partition("?")[0].rpartition("/")[2]
    server = bench.database_url.replace(f"/{name}?", "/postgres?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    with pytest.raises(RegistryUnavailable, match="cineclub doctor"):
        bench.registry.aliased()
    with pytest.raises(RegistryUnavailable, match="cineclub doctor"):
        bench.registry.record_candidate(str(uuid.uuid4()), Recipe("svd"), {})


def test_the_store_lies_in_a_schema_of_its_own() -> None:
    """The store's address is the owner's address with the search path added."""
    url = "postgresql://me:s%20t@/db?host=/run/pg&options=-cstatement_timeout%3D9"
    assert store_uri(url) == (
        "postgresql+psycopg://me:s%20t@/db?host=/run/pg&options=-cstatement_timeout%3D9%20-csearch_path%3Dmlflow"
    )
    assert store_uri("postgresql://h/db") == "postgresql+psycopg://h/db?options=-csearch_path%3Dmlflow"


def test_what_drift_started_is_promoted_in_the_name_of_drift(bench: Bench) -> None:
    """A promotion after a drift training is recorded with drift as its trigger."""
    with psycopg.connect(bench.database_url) as connection:
        connection.execute("UPDATE cineclub.trainings SET trigger = 'drift'")
    bench.promoted()
    assert bench.promotions.newest().promoted_by == "drift"


def test_a_worker_that_lost_its_training_registers_nothing(
    bench: Bench, open_promotion: Callable[[str], PromotionFlow]
) -> None:
    """The version of the current lease holder stays, whatever the former one has fitted."""
    owned = bench.registered(training_id=bench.training_id)
    fitted = fitted_model(seed=5)
    with pytest.raises(LeaseLost):
        open_promotion("a worker taken for dead").versions.register(
            bench.training_id, fitted, movies_of(fitted), RECORD
        )
    mlflow_versions = bench.client.search_model_versions("name = 'cineclub'")
    assert [int(mlflow_version.version) for mlflow_version in mlflow_versions] == [owned.version]
    assert bench.promotions.version(owned.version).registered == owned


def test_a_lease_that_is_lost_while_a_version_is_made_leaves_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version whose lease is lost during registration is withdrawn."""
    register = bench.registry.register

    def register_late(*arguments: Any) -> Any:
        made = register(*arguments)
        with psycopg.connect(bench.database_url) as connection:
            connection.execute("UPDATE cineclub.trainings SET worker = 'another'")
        return made

    monkeypatch.setattr(bench.registry, "register", register_late)
    with pytest.raises(LeaseLost):
        bench.registered(training_id=bench.training_id)
    assert not bench.client.search_model_versions("name = 'cineclub'")
    assert not bench.promotions.recent_versions(5)


def test_a_version_is_not_promoted_over_what_it_was_not_compared_with(bench: Bench) -> None:
    """A person's promotion during a training stands; the next training is compared with it."""
    first = bench.promoted()
    second, third = bench.registered(seed=1), bench.registered(seed=2)
    bench.promotion.promote(second.version, "to try")
    with pytest.raises(Conflict, match="version 2 was put into production meanwhile"):
        bench.promotion.promote_winner(bench.training_id, third, "PROMOTE", "it is better", first)
    assert_serves(bench, second)

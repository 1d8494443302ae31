"""A registry with its own database, and the operations that tests share."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from mlflow.tracking import MlflowClient

from cineclub.adapters.mlflow.client import store_uri
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.model_store import LocalModelStore, read_artifact
from cineclub.adapters.postgres.lease import TrainingLease
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.domain.promotion.versions import RegisteredVersion, VersionRecord
from cineclub.flows.promotion.flow import PromotionFlow
from cineclub.flows.promotion.registration import RegistrationFlow
from small_models import fitted_model, movies_of

RECORD = VersionRecord(
    metrics={"ndcg": 0.31},
    tags={"verdict": "PROMOTE", "snapshot_n_ratings": "60", "snapshot_sha256": "ab" * 32},
    documents={"model_card.md": "# A model\n", "evaluation.json": "{}"},
)


def promotion_flow(
    database_url: str, home: Path, holder: str | None = None, *, keeps_challenger: bool = False
) -> PromotionFlow:
    """Return the promotion flow of the worker ``holder``."""
    registry, store = MlflowRegistry(store_uri(database_url), home), LocalModelStore(home)
    versions = RegistrationFlow(registry, store, PostgresPromotions(database_url, holder))
    return PromotionFlow(versions, keeps_challenger=keeps_challenger)


def training_calls(promotion: PromotionFlow) -> tuple[Callable[..., Any], ...]:
    """Return what a training calls: production, load, register, record a candidate, and promote, in its order."""
    versions = promotion.versions
    record_candidate = versions.registry.record_candidate
    return versions.production, versions.load, versions.register, record_candidate, promotion.promote_winner


@dataclass(frozen=True, slots=True)
class Bench:
    """A registry with its database, and a training held by this process."""

    database_url: str
    home: Path
    promotion: PromotionFlow
    client: MlflowClient
    promotions: PostgresPromotions
    lease: TrainingLease

    @property
    def versions(self) -> RegistrationFlow:
        """The registered versions."""
        return self.promotion.versions

    @property
    def registry(self) -> MlflowRegistry:
        """MLflow's registry."""
        registry = self.versions.registry
        assert isinstance(registry, MlflowRegistry)
        return registry

    @property
    def training_id(self) -> str:
        """The id of the running training."""
        return self.lease.training.training_id

    def registered(self, seed: int = 0, training_id: str | None = None) -> RegisteredVersion:
        """Return a version of a model of its own."""
        fitted = fitted_model(seed=seed)
        return self.versions.register(training_id or str(uuid.uuid4()), fitted, movies_of(fitted), RECORD)

    def promoted(self, seed: int = 0) -> RegisteredVersion:
        """Return a version of a new model that is in production."""
        version = self.registered(seed)
        self.promotion.promote_winner(self.training_id, version, "PROMOTE", "it is better", self.versions.production())
        return version

    def files_of(self, version: RegisteredVersion) -> Path:
        """Return the registry's folder of a version's arrays."""
        (folder,) = (self.home / "artifacts").glob(f"*/artifacts/model-{version.manifest_sha256[:12]}/artifacts/model")
        return folder


def assert_serves(bench: Bench, version: RegisteredVersion) -> None:
    """Check that alias, history and local copy agree on a version that loads."""
    newest = bench.promotions.newest()
    assert newest is not None
    assert (newest.version, newest.manifest_sha256) == (version.version, version.manifest_sha256)
    assert newest.artifact_folder == version.copy_name
    assert bench.versions.production() == version
    assert bench.registry.aliased() == version
    assert bench.promotions.recorded_alias() == {version.version}
    read_artifact(bench.home / "models" / newest.artifact_folder, version.manifest_sha256)


RATINGS = """
INSERT INTO cineclub.catalogue VALUES (true, 0.5, 5.0, true, true);
INSERT INTO cineclub.movies (external_id, title) SELECT m, 'Film ' || m FROM generate_series(1, 80) m;
INSERT INTO cineclub.users (external_id) SELECT u FROM generate_series(1, 160) u;
INSERT INTO cineclub.ratings
SELECT u.id, m.id, CASE WHEN (u.id + m.id) % 2 = 0 THEN 4.5 ELSE 2.0 END,
    timestamptz '2020-01-01Z' + make_interval(hours => u.id::int + abs(hashint8(u.id * 977 + m.id)) % 90)
FROM cineclub.users u, cineclub.movies m
WHERE abs(hashint8(u.id * 1009 + m.id)) % 1000
    < CASE WHEN (u.id + m.id) % 2 = 0 THEN 900 ELSE 200 END / (1 + m.id / 16);
"""
"""People who like odd films and people who like even ones, over overlapping times."""


def write_ratings(database_url: str) -> None:
    """Insert ratings with tastes."""
    with psycopg.connect(database_url) as connection:
        connection.execute(RATINGS)


@contextlib.contextmanager
def copied_database(server_url: str, template: str) -> Iterator[str]:
    """Yield the address of a fresh copy of a database of the test server."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    copy_database(server_url, template, name)
    yield address_of(server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def copy_database(server_url: str, template: str, name: str) -> None:
    """Create a database as a copy of another, after ending its connections."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (template,))
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())


def address_of(server_url: str, name: str) -> str:
    """Return the address of another database of the test server."""
    before, _, after = server_url.partition("/cineclub?")
    return f"{before}/{name}?{after}"


def database_exists(server_url: str, name: str) -> bool:
    """Return whether the test server has a database of this name."""
    with psycopg.connect(server_url) as connection:
        return bool(connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchall())

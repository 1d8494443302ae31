"""A registry in a database of its own, and what tests do with it over and over."""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from mlflow.tracking import MlflowClient

from cineclub.adapters.artifacts import read_artifact
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.postgres.lease import HeldLease
from cineclub.adapters.postgres.promotions import PromotionHistory
from cineclub.ports import RegisteredVersion, VersionRecord
from small_models import fitted_model, movies_of

RECORD = VersionRecord(
    metrics={"ndcg": 0.31},
    tags={"verdict": "PROMOTE", "snapshot_n_ratings": "60", "snapshot_sha256": "ab" * 32},
    documents={"model_card.md": "# A model\n", "evaluation.json": "{}"},
)


@dataclass(frozen=True, slots=True)
class Bench:
    """A registry with its database, and a training that this process's worker holds."""

    database_url: str
    home: Path
    registry: MlflowRegistry
    client: MlflowClient
    promotions: PromotionHistory
    lease: HeldLease

    @property
    def training_id(self) -> str:
        """The training under way."""
        return self.lease.training.training_id

    def registered(self, seed: int = 0, training_id: str | None = None) -> RegisteredVersion:
        """Return a version of a model of its own."""
        fitted = fitted_model(seed=seed)
        return self.registry.register(training_id or str(uuid.uuid4()), fitted, movies_of(fitted), RECORD)

    def promoted(self, seed: int = 0) -> RegisteredVersion:
        """Return a version of a model of its own that is in production."""
        version = self.registered(seed)
        self.registry.promote(self.training_id, version, "PROMOTE", "it is better", self.registry.production())
        return version

    def files_of(self, version: RegisteredVersion) -> Path:
        """Return where the registry keeps a version's arrays."""
        (found,) = (self.home / "artifacts").glob(f"*/artifacts/model-{version.manifest_sha256[:12]}/artifacts/model")
        return found


def assert_serves(bench: Bench, version: RegisteredVersion) -> None:
    """Check that alias, history and local copy agree on a version that loads."""
    newest = bench.promotions.newest()
    assert newest is not None
    assert (newest.version, newest.manifest_sha256) == (version.version, version.manifest_sha256)
    assert newest.artifact_folder == version.copy_name
    assert bench.registry.production() == version
    assert bench.registry.aliased() == version
    assert bench.promotions.alias.ours() == {version.version}
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
    """Fill the tables with ratings that have a taste in them."""
    with psycopg.connect(database_url) as connection:
        connection.execute(RATINGS)


@contextlib.contextmanager
def copied_database(server_url: str, template: str) -> Iterator[str]:
    """Give the address of a fresh copy of a database of the test server."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    copy_database(server_url, template, name)
    yield address_of(server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def copy_database(server_url: str, template: str, name: str) -> None:
    """Create a database as a copy of another, whose connections end first."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (template,))
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())


def address_of(server_url: str, name: str) -> str:
    """Return the address of another database of the test server."""
    before, _, after = server_url.partition("/cineclub?")
    return f"{before}/{name}?{after}"


def database_exists(server_url: str, name: str) -> bool:
    """Say whether the test server has a database of this name."""
    with psycopg.connect(server_url) as connection:
        return bool(connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchall())

"""A real registry for the training flow: MLflow in a fresh database, artifacts in a fresh home."""

import uuid
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters import artifacts
from cineclub.adapters.mlflow.client import store_uri
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.postgres.promotions import PromotionHistory


@pytest.fixture(scope="module")
def store_database(server_url: str, template_database: str) -> str:
    """One migrated database with MLflow's tables for the tests of a module: making them takes seconds."""
    name = f"flows_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}".encode())
    before, _, after = server_url.partition("/cineclub?")
    address = f"{before}/{name}?{after}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS mlflow")
    return address


@pytest.fixture
def promotions(store_database: str) -> PromotionHistory:
    """The history of what served."""
    return PromotionHistory(store_database)


@pytest.fixture
def registry(store_database: str, promotions: PromotionHistory, home: Path) -> MlflowRegistry:
    """The real registry."""
    opened = MlflowRegistry(store_uri(store_database), home, artifacts, promotions)
    opened.open()
    return opened


@pytest.fixture
def fresh(registry: MlflowRegistry, store_database: str) -> MlflowRegistry:
    """A registry with nothing in production, whatever the tests before it promoted."""
    with psycopg.connect(store_database) as connection:
        connection.execute("TRUNCATE cineclub.promotions")
    registry.reconcile()
    return registry

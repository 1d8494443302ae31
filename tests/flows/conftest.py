"""A real registry for the flows: MLflow in a fresh database, artifacts in a fresh home."""

import uuid
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.flows.promotion.flow import PromotionFlow
from registry_bench import promotion_flow


@pytest.fixture(scope="module")
def store_database(server_url: str, template_database: str) -> str:
    """A migrated database with MLflow's tables, shared by a module because their creation takes seconds."""
    name = f"flows_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}".encode())
    before, _, after = server_url.partition("/cineclub?")
    address = f"{before}/{name}?{after}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS mlflow")
    return address


@pytest.fixture
def promotions(store_database: str) -> PostgresPromotions:
    """The recorded promotions."""
    return PostgresPromotions(store_database)


@pytest.fixture
def promotion(store_database: str, home: Path) -> PromotionFlow:
    """The promotion flow over a real registry."""
    opened = promotion_flow(store_database, home)
    opened.versions.registry.open()
    return opened


@pytest.fixture
def fresh(promotion: PromotionFlow, store_database: str) -> PromotionFlow:
    """The promotion flow with nothing in production."""
    with psycopg.connect(store_database) as connection:
        connection.execute("TRUNCATE cineclub.promotions")
    promotion.reconcile()
    return promotion

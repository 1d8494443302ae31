"""A real MLflow store in PostgreSQL, its tables made once a session; imported by the conftests that need it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cineclub.adapters import artifacts
from cineclub.adapters.mlflow.client import connect, store_uri
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue
from cineclub.adapters.postgres.promotions import PromotionHistory
from cineclub.adapters.postgres.training_rows import worker_name
from registry_bench import Bench, address_of, copied_database, copy_database, database_exists

TEMPLATE = "with_mlflow"


@pytest.fixture(scope="session")
def mlflow_template(server_url: str, template_database: str) -> str:
    """A migrated database that has MLflow's tables too."""
    if database_exists(server_url, TEMPLATE):
        return TEMPLATE
    copy_database(server_url, template_database, TEMPLATE)
    connect(store_uri(address_of(server_url, TEMPLATE))).search_registered_models()
    return TEMPLATE


@pytest.fixture
def bench_database(server_url: str, mlflow_template: str) -> Iterator[str]:
    """The address of a fresh database with MLflow's tables."""
    with copied_database(server_url, mlflow_template) as url:
        yield url


@pytest.fixture
def open_registry(bench_database: str, home: Path) -> Callable[[str], MlflowRegistry]:
    """Open the registry as a worker of some name does."""

    def opened(holder: str) -> MlflowRegistry:
        registry = MlflowRegistry(store_uri(bench_database), home, artifacts, PromotionHistory(bench_database, holder))
        registry.open()
        return registry

    return opened


@pytest.fixture
def bench(bench_database: str, home: Path, open_registry: Callable[[str], MlflowRegistry]) -> Iterator[Bench]:
    """A registry, with a training under way."""
    holder = worker_name()
    PostgresTrainingJobs(bench_database).start({}, None)
    lease = TrainingQueue(bench_database, holder, 30, 3).claim()
    assert lease is not None
    client = connect(store_uri(bench_database))
    yield Bench(bench_database, home, open_registry(holder), client, PromotionHistory(bench_database), lease)
    lease.close()

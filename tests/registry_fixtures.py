"""A real MLflow store in PostgreSQL, created once a session; imported by conftests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cineclub.adapters.mlflow.client import connect, store_uri
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.adapters.postgres.training_rows import worker_name
from cineclub.flows.promotion.flow import PromotionFlow
from registry_bench import Bench, address_of, copied_database, copy_database, database_exists, promotion_flow

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
def open_promotion(bench_database: str, home: Path) -> Callable[[str], PromotionFlow]:
    """Open the promotion flow of a named worker."""

    def opened(holder: str) -> PromotionFlow:
        promotion = promotion_flow(bench_database, home, holder)
        promotion.versions.registry.open()
        return promotion

    return opened


@pytest.fixture
def bench(bench_database: str, home: Path, open_promotion: Callable[[str], PromotionFlow]) -> Iterator[Bench]:
    """A registry with a running training."""
    holder = worker_name()
    PostgresTrainingJobs(bench_database).start({}, None)
    lease = TrainingQueue(bench_database, holder, 30, 3).claim()
    assert lease is not None
    client = connect(store_uri(bench_database))
    yield Bench(bench_database, home, open_promotion(holder), client, PostgresPromotions(bench_database), lease)
    lease.close()

"""The MLflow store of the killed workers, and a server of the owner's with a model in production."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from own_server import OwnServer
from small_service import fill, promote, small_artifact

from cineclub.adapters.postgres.migrate import migrate
from registry_fixtures import bench, bench_database, mlflow_template, open_promotion

__all__ = ["bench", "bench_database", "mlflow_template", "open_promotion"]


@pytest.fixture
def server(home: Path) -> Iterator[OwnServer]:
    """A server with the small catalogue and a model in production."""
    started = OwnServer(home)
    with started.running:
        started.start()
        migrate(started.url)
        fill(started.url)
        promote(started.url, 1, small_artifact(home / "ease", "ease"))
        yield started

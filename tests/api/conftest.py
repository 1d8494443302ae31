"""The real application over a real PostgreSQL, with a small catalogue and real artifacts."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from small_service import Artifact, Service, fill, promote, running, small_artifact


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artifact]:
    """The artifact of a model fitted on the small catalogue, by model name."""
    made: dict[str, Artifact] = {}

    def artifact_of(name: str) -> Artifact:
        if name not in made:
            made[name] = small_artifact(tmp_path_factory.mktemp("artifacts") / name, name)
        return made[name]

    return artifact_of


@pytest.fixture
def filled_url(database_url: str) -> str:
    """A database with the small catalogue, without a model."""
    fill(database_url)
    return database_url


@pytest.fixture
def trained_url(filled_url: str, artifacts: Callable[[str], Artifact]) -> str:
    """A database with the small catalogue and EASE in production."""
    promote(filled_url, 1, artifacts("ease"))
    return filled_url


@pytest.fixture
async def service(trained_url: str, home: Path) -> AsyncIterator[Service]:
    """The application with EASE in production."""
    async with running(trained_url, home) as started:
        yield started


@pytest.fixture
async def untrained(filled_url: str, home: Path) -> AsyncIterator[Service]:
    """The application with ratings and no model."""
    async with running(filled_url, home) as started:
        yield started


@pytest.fixture
async def empty(database_url: str, home: Path) -> AsyncIterator[Service]:
    """The application over a database without ratings."""
    async with running(database_url, home) as started:
        yield started


@pytest.fixture(scope="session")
async def refusing(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The application over a database without tables, for requests that are refused before any query."""
    async with running(server_url, tmp_path_factory.mktemp("refusing")) as started:
        yield started

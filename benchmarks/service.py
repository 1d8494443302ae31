"""A real service to measure: ratings imported, a model in production, the API in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg

from cineclub.adapters.artifacts import write_artifact
from cineclub.adapters.postgres.embedded import embedded_postgres
from cineclub.adapters.postgres.importing import PostgresRatingImport
from cineclub.adapters.postgres.migrate import migrate
from cineclub.adapters.postgres.promotions import PromotionHistory
from cineclub.domain.filtering import keep_core
from cineclub.domain.imported_ratings import NewMovie, RatingRows
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import Movie, RatingLog, SnapshotIdentity
from cineclub.models import catalogue
from cineclub.ports import NewPromotion

PORT = 18_765
SERVER_CORE, CLIENT_CORE = 0, 1
MIN_RATINGS = 5
GENRES = ("Drama", "Comedy", "Crime", "Romance", "Documentary")


@contextmanager
def database() -> Iterator[tuple[str, Path]]:
    """Run a PostgreSQL of our own with our tables, and give its address with the state folder."""
    with tempfile.TemporaryDirectory(prefix="cineclub-bench-") as name:
        home = Path(name)
        home.chmod(0o711)  # PostgreSQL runs as another user where we are root
        with embedded_postgres(home) as url:
            migrate(url)
            yield url, home


def bring_in(url: str, log: RatingLog) -> RatingLog:
    """Import a log, and return it with the database's own ids: users and films are called 1, 2, 3 and so on."""
    users, user_codes = np.unique(log.user_ids, return_inverse=True)
    movies, movie_codes = np.unique(log.movie_ids, return_inverse=True)
    rows = RatingRows(
        _numbered(len(users)),
        _numbered(len(movies)),
        user_codes.astype(np.int32),
        movie_codes.astype(np.int32),
        log.ratings,
        log.rated_at,
    )
    described = [
        NewMovie(one, _title_of(nth), 1950 + nth % 70, _genres_of(nth)) for nth, one in enumerate(rows.movie_ids)
    ]
    PostgresRatingImport(url).write(rows, described, log.scale, lambda _fraction, _part: None)
    with psycopg.connect(url, autocommit=True) as connection:  # what PostgreSQL does after any large import
        connection.execute("VACUUM (ANALYZE) cineclub.ratings")
        connection.execute("CHECKPOINT")
    return RatingLog.from_columns(user_codes + 1, movie_codes + 1, log.ratings, log.rated_at, log.scale)


def promote(url: str, folder: Path, log: RatingLog, model: str) -> int:
    """Fit a model on the users and films with enough ratings, let it serve, and return its number of films."""
    kept, _ = keep_core(log, MIN_RATINGS, MIN_RATINGS)
    recipe = catalogue.default_recipe(model)
    fitted = catalogue.fit(recipe, RatingMatrix.from_log(kept), np.random.default_rng(0), lambda _: None)
    movies = [
        Movie(one, str(one), _title_of(one), 1950 + one % 70, _genres_of(one)) for one in fitted.movie_ids.tolist()
    ]
    sha256 = write_artifact(folder, fitted, movies, SnapshotIdentity(len(kept), None, "0" * 64))
    PromotionHistory(url).record(
        NewPromotion(1, "PROMOTE", "benchmark", "person", None, fitted.recipe, sha256, str(folder))
    )
    return len(movies)


@contextmanager
def api(
    url: str, home: Path, settings: Mapping[str, str] | None = None, core: int | None = SERVER_CORE
) -> Iterator[float]:
    """Run the API; give the seconds until a model answered."""
    ours = {"CINECLUB_DATABASE_URL": url, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(PORT), **(settings or {})}
    with running([sys.executable, "-m", "cineclub.api"], "/ready", ours, core) as seconds:
        yield seconds


@contextmanager
def running(
    command: Sequence[str], path: str, settings: Mapping[str, str] | None = None, core: int | None = SERVER_CORE
) -> Iterator[float]:
    """Run a server, on one core if that is given; give the seconds until it answered at a path."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **(settings or {})})
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    try:
        while answer_at(path) is None:
            if process.poll() is not None:
                message = f"{command[0]} ended before it answered"
                raise RuntimeError(message)
            time.sleep(0.01)
        yield time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait(20)


def answer_at(path: str, body: object = None) -> object:
    """Return the JSON at a path, None while nothing answers there."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            found: object = json.load(answer)
            return found
    except OSError:
        return None


def _numbered(n_ids: int) -> tuple[str, ...]:
    """Return the ids 1 to n as text."""
    return tuple(map(str, range(1, n_ids + 1)))


def _title_of(number: int) -> str:
    """Return a title as long as real ones are."""
    return f"The Film of the Number {number}"


def _genres_of(number: int) -> tuple[str, ...]:
    """Return one to three genres."""
    return tuple(GENRES[(number + nth) % len(GENRES)] for nth in range(1 + number % 3))

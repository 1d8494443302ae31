"""A real service for measurements: imported ratings, a model in production, the API as a process."""

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

from cineclub.adapters.model_store import write_artifact
from cineclub.adapters.postgres.embedded import embedded_postgres
from cineclub.adapters.postgres.importing import PostgresRatingImport
from cineclub.adapters.postgres.migrate import migrate
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.domain.promotion.records import NewPromotion
from cineclub.domain.ratings.filtering import keep_core
from cineclub.domain.ratings.imported import NewMovie, RatingRows
from cineclub.domain.ratings.log import Movie, RatingLog, SnapshotIdentity
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.models import catalogue

PORT = 18_765
SERVER_CORE, CLIENT_CORE = 0, 1
MIN_RATINGS = 5
GENRES = ("Drama", "Comedy", "Crime", "Romance", "Documentary")


@contextmanager
def database() -> Iterator[tuple[str, Path]]:
    """Run a PostgreSQL with our tables, and yield its address with the state folder."""
    with tempfile.TemporaryDirectory(prefix="cineclub-bench-") as name:
        home = Path(name)
        home.chmod(0o711)  # PostgreSQL runs as another user where we are root
        with embedded_postgres(home) as url:
            migrate(url)
            yield url, home


def bring_in(url: str, log: RatingLog) -> RatingLog:
    """Import a log, and return it with the database's ids; users and films are named 1, 2, 3 and so on."""
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
        NewMovie(movie_id, _title_of(nth), 1950 + nth % 70, _genres_of(nth))
        for nth, movie_id in enumerate(rows.movie_ids)
    ]
    PostgresRatingImport(url).write(rows, described, log.scale, lambda _fraction, _part: None)
    with psycopg.connect(url, autocommit=True) as connection:  # what PostgreSQL does after any large import
        connection.execute("VACUUM (ANALYZE) cineclub.ratings")
        connection.execute("CHECKPOINT")
    return RatingLog.from_columns(user_codes + 1, movie_codes + 1, log.ratings, log.rated_at, log.scale)


def promote(url: str, folder: Path, log: RatingLog, model: str) -> int:
    """Fit a model on users and films with enough ratings, promote it, and return its number of films."""
    core, _ = keep_core(log, MIN_RATINGS, MIN_RATINGS)
    recipe = catalogue.default_recipe(model)
    fitted = catalogue.fit(recipe, RatingMatrix.from_log(core), np.random.default_rng(0), lambda _: None)
    movies = [
        Movie(movie_id, str(movie_id), _title_of(movie_id), 1950 + movie_id % 70, _genres_of(movie_id))
        for movie_id in fitted.movie_ids.tolist()
    ]
    sha256 = write_artifact(folder, fitted, movies, SnapshotIdentity(len(core), None, "0" * 64))
    PostgresPromotions(url).record(
        NewPromotion(1, "PROMOTE", "benchmark", "person", None, fitted.recipe, sha256, str(folder))
    )
    return len(movies)


@contextmanager
def api(
    url: str, home: Path, settings: Mapping[str, str] | None = None, core: int | None = SERVER_CORE
) -> Iterator[float]:
    """Run the API, and yield the seconds until a model was loaded."""
    ours = {"CINECLUB_DATABASE_URL": url, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(PORT), **(settings or {})}
    with running([sys.executable, "-m", "cineclub.processes.api"], "/ready", ours, core) as seconds:
        yield seconds


@contextmanager
def running(
    command: Sequence[str], path: str, settings: Mapping[str, str] | None = None, core: int | None = SERVER_CORE
) -> Iterator[float]:
    """Run a server, on one core if given, and yield the seconds until a path responded."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **(settings or {})})
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    try:
        while json_at(path) is None:
            if process.poll() is not None:
                message = f"{command[0]} ended before it answered"
                raise RuntimeError(message)
            time.sleep(0.01)
        yield time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait(20)


def json_at(path: str, body: object = None) -> object:
    """Return the JSON at a path, None without a response."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            document: object = json.load(response)
            return document
    except OSError:
        return None


def _numbered(n_ids: int) -> tuple[str, ...]:
    """Return the ids 1 to n as text."""
    return tuple(map(str, range(1, n_ids + 1)))


def _title_of(number: int) -> str:
    """Return a title of realistic length."""
    return f"The Film of the Number {number}"


def _genres_of(number: int) -> tuple[str, ...]:
    """Return one to three genres."""
    return tuple(GENRES[(number + nth) % len(GENRES)] for nth in range(1 + number % 3))

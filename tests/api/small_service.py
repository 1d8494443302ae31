"""A small catalogue, real artifacts of it, and the real application over them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from httpx import ASGITransport, AsyncClient, Request, Response

from cineclub.adapters.model_store import write_artifact
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.api.app import create_app
from cineclub.bootstrap.parts import ApiParts
from cineclub.bootstrap.serving import api_parts
from cineclub.domain.promotion.records import NewPromotion
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale, SnapshotIdentity
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.models import catalogue
from cineclub.settings import Settings

N_USERS, N_MOVIES = 60, 40
FIRST_EXTERNAL_ID = 1001
SCALE = RatingScale(0.5, 5.0)


@dataclass(frozen=True)
class Service:
    """The running application with a client."""

    client: AsyncClient
    parts: ApiParts

    async def predict(self, user_id: Any, top_n: int = 10) -> dict[str, Any]:
        """Return the response to one user."""
        response = await self.client.post("/predict/", json={"user_id": user_id, "top_n": top_n})
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document


@dataclass(frozen=True)
class Artifact:
    """A fitted model on disk."""

    folder: Path
    manifest_sha256: str
    recipe: Recipe


async def eventually(is_so: Callable[[], Awaitable[Any]]) -> None:
    """Wait until a condition holds, for about ten seconds at most."""
    for _ in range(500):
        if await is_so():
            return
        await asyncio.sleep(0.02)
    pytest.fail("what was waited for did not happen within ten seconds")


def error_of(response: Response) -> dict[str, Any]:
    """Return the error of a response."""
    error: dict[str, Any] = response.json()["error"]
    return error


def movie_ids(body: dict[str, Any]) -> list[int]:
    """Return the ids of the recommended films, in order."""
    return [recommendation["movie_id"] for recommendation in body["recommendations"]]


def small_log() -> RatingLog:
    """Return ratings in which users with even numbers like even films and the others odd ones."""
    rng = np.random.default_rng(7)
    rows = [
        (user, movie, 4.5 if user % 2 == movie % 2 else 2.0)
        for user in range(1, N_USERS + 1)
        for movie in range(1, N_MOVIES + 1)
        if rng.random() < (0.6 if user % 2 == movie % 2 else 0.15)
    ]
    users, movies, ratings = (np.array(column) for column in zip(*rows, strict=True))
    rated_at = np.arange(len(rows), dtype=np.int64) * 1_000_000 + 1_600_000_000_000_000
    return RatingLog.from_columns(users, movies, ratings.astype(np.float32), rated_at, SCALE)


def small_artifact(folder: Path, name: str, recipe: Recipe | None = None) -> Artifact:
    """Return a model, by default with its default recipe, fitted on the small catalogue and written into a folder."""
    log = small_log()
    recipe = recipe or catalogue.default_recipe(name)
    fitted = catalogue.fit(recipe, RatingMatrix.from_log(log), np.random.default_rng(0), lambda _: None)
    identity = SnapshotIdentity(len(log), datetime(2026, 1, 1, tzinfo=UTC), "0" * 64)
    return Artifact(folder, write_artifact(folder, fitted, small_movies(), identity), fitted.recipe)


def small_movies() -> list[Movie]:
    """Return the films of the small catalogue."""
    return [
        Movie(number, str(FIRST_EXTERNAL_ID + number - 1), f"Film {number}", 1980 + number, ("Drama",))
        for number in range(1, N_MOVIES + 1)
    ]


def fill(database_url: str) -> None:
    """Insert the small catalogue and its ratings into a database."""
    log = small_log()
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO cineclub.catalogue VALUES (true, 0.5, 5, true, true)")
        cursor.executemany(
            "INSERT INTO cineclub.movies (external_id, title, year, genres) VALUES (%s, %s, %s, %s)",
            [
                (small_movie.external_id, small_movie.title, small_movie.year, list(small_movie.genres))
                for small_movie in small_movies()
            ],
        )
        cursor.execute("INSERT INTO cineclub.users (external_id) SELECT i::text FROM generate_series(1, 60) AS i")
        with cursor.copy("COPY cineclub.ratings FROM STDIN") as copy:
            for user, movie, rating, rated_at in zip(
                log.user_ids, log.movie_ids, log.ratings, log.rated_at, strict=True
            ):
                copy.write_row((user, movie, rating, datetime.fromtimestamp(rated_at / 1e6, UTC)))


def promote(database_url: str, version: int, artifact: Artifact) -> None:
    """Record a promotion as the worker does."""
    promotion = NewPromotion(
        version=version,
        verdict="PROMOTE",
        reason="better",
        promoted_by="gate",
        recipe=artifact.recipe,
        manifest_sha256=artifact.manifest_sha256,
        artifact_folder=str(artifact.folder),
        training_id=None,
    )
    PostgresPromotions(database_url).record(promotion)


class TurnTaking(ASGITransport):
    """A transport that yields to other tasks before each request, as a server does."""

    async def handle_async_request(self, request: Request) -> Response:
        """Pass a request on."""
        await asyncio.sleep(0)
        return await super().handle_async_request(request)


@contextlib.asynccontextmanager
async def running(database_url: str, home: Path, **settings: Any) -> AsyncIterator[Service]:
    """Run the application, as bootstrapped, over a database."""
    wired = api_parts(Settings(home=home, database_url=database_url, model_poll_seconds=0.05, **settings))
    app = create_app(wired)
    async with app.router.lifespan_context(app):
        transport = TurnTaking(app=app)
        async with AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            yield Service(client, wired)

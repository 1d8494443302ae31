"""A database that takes no writes, as after a failover: writes are 503, predictions go on, and all comes back."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from small_service import Artifact, Service, error_of, eventually, fill, promote, running

from cineclub.adapters.postgres.api_keys import PostgresApiKeys
from read_only_database import set_read_only

pytestmark = pytest.mark.anyio

RATING = {"user_id": 2, "movie_id": 1003, "rating": 4}
WRITES = [
    ("POST", "/ratings/", RATING),
    ("POST", "/ratings/", [RATING, RATING]),
    ("DELETE", "/ratings/2/1003", None),
    ("POST", "/training/", {}),
    ("DELETE", "/users/2", None),
    ("POST", "/monitoring/drift/baseline", {}),
    ("DELETE", "/monitoring/drift/baseline", None),
]


async def is_read_only(service: Service) -> bool:
    """Return whether a write is refused for that reason."""
    response = await service.client.post("/ratings/", json=RATING)
    return response.status_code == 503 and error_of(response)["code"] == "storage_read_only"


async def is_writable(service: Service) -> bool:
    """Return whether a rating is written."""
    return (await service.client.post("/ratings/", json=RATING)).status_code == 200


def rows(database_url: str, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode()).fetchall()


async def test_writes_are_refused_and_reads_go_on(trained_url: str, home: Path) -> None:
    """Every write is 503 with the cause; predictions come from present ratings, and their log waits."""
    async with running(trained_url, home) as service:
        set_read_only(trained_url, is_on=True)
        await eventually(lambda: is_read_only(service))
        for method, path, body in WRITES:
            refused = await service.client.request(method, path, json=body)
            assert (refused.status_code, error_of(refused)["code"]) == (503, "storage_read_only"), (method, path)
            assert "takes no writes" in error_of(refused)["message"]
            assert int(refused.headers["Retry-After"]) > 0
        sent = [(await service.predict(user_id))["recommendation_id"] for user_id in (2, 3, "stranger")]
        assert not (await service.predict(4))["degraded"]
        for path in ("/movies/popular", "/movies/?search=Film", "/users/2/ratings", "/models/", "/training/"):
            assert (await service.client.get(path)).status_code == 200, path
        ready = (await service.client.get("/ready")).json()
        assert not ready["degraded"]
        await asyncio.sleep(1)
        set_read_only(trained_url, is_on=False)
        await eventually(lambda: is_writable(service))

        async def is_logged() -> bool:
            logged = rows(trained_url, "SELECT recommendation_id::text FROM cineclub.predictions")
            return {(recommendation_id,) for recommendation_id in sent} <= set(logged)

        await eventually(is_logged)


async def test_the_use_of_keys_is_recorded_later(trained_url: str, home: Path) -> None:
    """Keys keep working; when they were used is recorded once the database takes writes again."""
    _, secret = PostgresApiKeys(trained_url).create("reader", ["read"], None)
    async with running(trained_url, home, require_keys=True) as service:
        set_read_only(trained_url, is_on=True)
        header = {"Authorization": f"Bearer {secret}"}

        async def is_served() -> bool:
            response = await service.client.post("/predict/", json={"user_id": 2}, headers=header)
            return response.status_code == 200

        await eventually(is_served)
        set_read_only(trained_url, is_on=False)
        await eventually(is_served)
    assert rows(trained_url, "SELECT last_used_at IS NOT NULL FROM cineclub.api_keys") == [(True,)]


async def test_a_service_starts_over_a_read_only_database(
    database_url: str, home: Path, artifacts: Callable[[str], Artifact]
) -> None:
    """It predicts from the start, and writes as soon as the database takes writes."""
    fill(database_url)
    promote(database_url, 1, artifacts("ease"))
    set_read_only(database_url, is_on=True)
    async with running(database_url, home) as service:
        assert not (await service.predict(2))["degraded"]
        assert await is_read_only(service)
        set_read_only(database_url, is_on=False)
        await eventually(lambda: is_writable(service))

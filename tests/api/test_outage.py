"""PostgreSQL goes away while the service runs, and comes back."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from small_service import Artifact, Service, error_of, eventually, fill, film_ids, promote, running

from cineclub.adapters.postgres.embedded import embedded_postgres
from cineclub.adapters.postgres.migrate import migrate

pytestmark = pytest.mark.anyio


async def is_answered_from_the_database(service: Service) -> bool:
    """Say whether an answer is not degraded."""
    return not (await service.predict(2))["degraded"]


async def is_degraded(service: Service) -> bool:
    """Say whether an answer is degraded; the very first one may not know yet that the database is gone."""
    return bool((await service.predict(2))["degraded"])


async def is_shown(service: Service, line: str) -> bool:
    """Say whether /metrics has a line."""
    return line in (await service.client.get("/metrics")).text.splitlines()


async def test_answers_go_on_without_the_database(home: Path, artifacts: Callable[[str], Artifact]) -> None:
    """Known users are answered from memory, others with popular films, writes are 503; all heals by itself."""
    with contextlib.ExitStack() as server:
        url = server.enter_context(embedded_postgres(home))
        migrate(url)
        fill(url)
        promote(url, 1, artifacts("ease"))
        async with running(url, home) as service:
            before = await service.predict(2)
            server.close()
            await eventually(lambda: is_degraded(service))
            during = await service.predict(2)
            assert (during["degraded"], during["strategy"]) == (True, "model")
            assert film_ids(during) == film_ids(before)
            stranger = await service.predict(3)
            assert (stranger["degraded"], stranger["strategy"]) == (True, "popular")
            rating = {"user_id": 2, "movie_id": 1001, "rating": 4}
            for method, path, body in [("POST", "/ratings/", rating), ("POST", "/training/", {})]:
                refused = await service.client.request(method, path, json=body)
                assert refused.status_code == 503
                assert int(refused.headers["Retry-After"]) > 0
                assert error_of(refused)["code"] == "storage_unavailable"
            ready = await service.client.get("/ready")
            assert (ready.status_code, ready.json()["degraded"]) == (200, True)
            await eventually(lambda: is_shown(service, "cineclub_database_up 0.0"))
            began = asyncio.get_running_loop().time()
            for _ in range(20):
                assert (await service.predict(2))["degraded"]
            assert asyncio.get_running_loop().time() - began < 10
            server.enter_context(embedded_postgres(home))
            await eventually(lambda: is_answered_from_the_database(service))
            assert (await service.client.post("/ratings/", json=rating)).status_code == 200
            await eventually(lambda: is_shown(service, "cineclub_database_up 1.0"))


async def test_the_popular_list_in_memory_outlives_the_database(home: Path) -> None:
    """Without a model the popular films of a minute ago are better than nothing; without those the answer is 503."""
    with contextlib.ExitStack() as server:
        url = server.enter_context(embedded_postgres(home))
        migrate(url)
        fill(url)
        async with running(url, home) as service:
            before = await service.predict("somebody")
            server.close()
            await eventually(lambda: is_degraded(service))
            during = await service.predict("somebody")
            assert (during["degraded"], film_ids(during)) == (True, film_ids(before))
        async with running(url, home) as service:
            refused = await service.client.post("/predict/", json={"user_id": 1})
            assert (refused.status_code, error_of(refused)["code"]) == (503, "storage_unavailable")
            assert (await service.client.get("/ready")).status_code == 503
            assert (await service.client.get("/health")).status_code == 200

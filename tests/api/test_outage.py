"""Outages of PostgreSQL while the service runs."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from small_service import Artifact, Service, error_of, eventually, fill, movie_ids, promote, running

from cineclub.adapters.postgres.embedded import embedded_postgres, place_of
from cineclub.adapters.postgres.migrate import migrate

pytestmark = pytest.mark.anyio


async def is_served_from_the_database(service: Service) -> bool:
    """Return whether a response is not degraded."""
    return not (await service.predict(2))["degraded"]


async def is_degraded(service: Service) -> bool:
    """Return whether a response is degraded; the first one may precede the detection of the outage."""
    return bool((await service.predict(2))["degraded"])


async def is_shown(service: Service, line: str) -> bool:
    """Return whether /metrics has a line."""
    return line in (await service.client.get("/metrics")).text.splitlines()


async def test_responses_go_on_without_the_database(home: Path, artifacts: Callable[[str], Artifact]) -> None:
    """Known users get cached histories, others popular films, writes 503; the service recovers by itself."""
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
            assert movie_ids(during) == movie_ids(before)
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
            await eventually(lambda: is_served_from_the_database(service))
            assert (await service.client.post("/ratings/", json=rating)).status_code == 200
            await eventually(lambda: is_shown(service, "cineclub_database_up 1.0"))


async def test_the_popular_list_in_memory_outlives_the_database(home: Path) -> None:
    """Without a model the cached popular films serve; without a cache the response is 503."""
    with contextlib.ExitStack() as server:
        url = server.enter_context(embedded_postgres(home))
        migrate(url)
        fill(url)
        async with running(url, home) as service:
            before = await service.predict("somebody")
            server.close()
            await eventually(lambda: is_degraded(service))
            during = await service.predict("somebody")
            assert (during["degraded"], movie_ids(during)) == (True, movie_ids(before))
        async with running(url, home) as service:
            refused = await service.client.post("/predict/", json={"user_id": 1})
            assert (refused.status_code, error_of(refused)["code"]) == (503, "storage_unavailable")
            assert (await service.client.get("/ready")).status_code == 503
            assert (await service.client.get("/health")).status_code == 200


async def test_every_acknowledged_write_is_known_when_the_database_dies(
    home: Path, artifacts: Callable[[str], Artifact]
) -> None:
    """After kill -9 no film is recommended that was rated over this process, and one taken back may be again."""
    with contextlib.ExitStack() as server:
        url = server.enter_context(embedded_postgres(home))
        migrate(url)
        fill(url)
        promote(url, 1, artifacts("ease"))
        async with running(url, home) as service:
            shown = {user: movie_ids(await service.predict(user, 40)) for user in (2, 4, "new")}
            users = {2: shown[2][0], 4: shown[4][0], "new": shown["new"][0], "never seen": shown["new"][1]}
            several = [{"user_id": user, "movie_id": movie, "rating": 5} for user, movie in users.items()]
            taken_back = {"user_id": 6, "movie_id": shown[2][1], "rating": 4.5}
            assert (await service.client.post("/ratings/", json=several[0])).status_code == 200
            assert (await service.client.post("/ratings/", json=[*several[1:], taken_back])).status_code == 200
            assert (await service.client.delete(f"/ratings/6/{taken_back['movie_id']}")).status_code == 204
            os.kill(int((place_of(home).data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            server.close()
            for user, movie in users.items():
                assert movie not in movie_ids(await service.predict(user, 40))
            await eventually(lambda: is_degraded(service))
            for user, movie in users.items():
                during = await service.predict(user, 40)
                assert during["degraded"]
                assert movie not in movie_ids(during)
            assert taken_back["movie_id"] in movie_ids(await service.predict(6, 40))
            batch = await service.client.post("/predict/batch", json={"user_ids": list(users), "top_n": 40})
            lists = [movie_ids(response) for response in batch.json()["answers"]]
            assert not [movie for movie, shown_then in zip(users.values(), lists, strict=True) if movie in shown_then]

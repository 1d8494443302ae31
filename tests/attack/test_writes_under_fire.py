"""Ratings while their users are erased, and predictions after kill -9 of PostgreSQL."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_service import (
    FIRST_EXTERNAL_ID,
    N_MOVIES,
    Artifact,
    Service,
    eventually,
    fill,
    movie_ids,
    promote,
    running,
    small_artifact,
)

from cineclub.adapters.postgres.embedded import embedded_postgres, place_of
from cineclub.adapters.postgres.migrate import migrate

if TYPE_CHECKING:
    from conftest import Repetitions

pytestmark = [pytest.mark.anyio, pytest.mark.attack, pytest.mark.timeout(900)]

N_WRITERS, N_ERASERS = 6, 2
USERS = ("a", "b", "c")


async def rate_again_and_again(service: Service, n_ratings: int, statuses: Counter[int]) -> None:
    """Send ratings one after another and count the statuses."""
    for number in range(n_ratings):
        movie_id = FIRST_EXTERNAL_ID + number % N_MOVIES
        rating = {"user_id": USERS[number % len(USERS)], "movie_id": movie_id, "rating": 4}
        if number % 7:
            response = await service.client.post("/ratings/", json=rating)
        else:
            user_id = USERS[(number - 1) % len(USERS)]
            response = await service.client.delete(f"/ratings/{user_id}/{movie_id - 1}")
        statuses[response.status_code] += 1


async def test_ratings_while_their_users_are_erased(database_url: str, home: Path, repetitions: "Repetitions") -> None:
    """No rating, deletion or erasure of three users is an unexpected error, and none is lost after the last erasure."""
    fill(database_url)
    n_ratings = repetitions.of(6000, least=300)
    written: Counter[int] = Counter()
    erased: Counter[int] = Counter()
    async with running(database_url, home) as service:
        writing = [
            asyncio.create_task(rate_again_and_again(service, n_ratings // N_WRITERS, written))
            for _ in range(N_WRITERS)
        ]

        async def erase_again_and_again(nth: int) -> None:
            while not all(task.done() for task in writing):
                erased[(await service.client.delete(f"/users/{USERS[nth]}")).status_code] += 1

        await asyncio.gather(*writing, *(erase_again_and_again(nth) for nth in range(N_ERASERS)))
        for user in USERS:
            movies = range(FIRST_EXTERNAL_ID, FIRST_EXTERNAL_ID + N_MOVIES)
            several = [{"user_id": user, "movie_id": movie_id, "rating": 4} for movie_id in movies]
            assert (await service.client.post("/ratings/", json=several)).status_code == 200
            rows = (await service.client.get(f"/users/{user}/ratings")).json()["ratings"]
            assert len(rows) == N_MOVIES
    sys.stdout.write(f"writes {dict(written)}, erasures {dict(erased)}\n")
    assert set(written) <= {200, 204, 404, 409}
    assert set(erased) <= {200, 404, 409}


async def is_back(service: Service) -> bool:
    """Return whether PostgreSQL answers again."""
    return not (await service.predict(1))["degraded"]


async def is_acknowledged(service: Service, rating: dict[str, int]) -> bool:
    """Send a rating and return whether it was acknowledged; just after a restart it may be 503."""
    response = await service.client.post("/ratings/", json=rating)
    assert response.status_code in {200, 503}
    return response.status_code == 200


async def test_no_rated_film_comes_back_after_kill_9(tmp_path: Path, home: Path, repetitions: "Repetitions") -> None:
    """A film that was rated over a process is in no later response of it, though PostgreSQL was killed in between."""
    artifact: Artifact = small_artifact(tmp_path / "ease", "ease")
    n_rounds, n_back = repetitions.of(24, least=2), 0
    with contextlib.ExitStack() as server:
        url = server.enter_context(embedded_postgres(home))
        migrate(url)
        fill(url)
        promote(url, 1, artifact)
        async with running(url, home) as service:
            for nth in range(n_rounds):
                user = nth % 20 + 1
                movie = movie_ids(await service.predict(user))[0]
                rating = {"user_id": user, "movie_id": movie, "rating": 4}
                await eventually(partial(is_acknowledged, service, rating))
                os.kill(int((place_of(home).data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
                n_back += movie in movie_ids(await service.predict(user))
                n_back += movie in movie_ids(await service.predict(user))
                server.close()
                server.enter_context(embedded_postgres(home))
                await eventually(partial(is_back, service))
    sys.stdout.write(f"kill -9 {n_rounds} times, {n_back} rated films back\n")
    assert n_back == 0

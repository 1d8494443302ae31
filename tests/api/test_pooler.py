"""Requests through PgBouncer in transaction mode, and the refusal of one in place of PostgreSQL itself."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError
from small_service import Service, eventually, movie_ids, running

from cineclub.bootstrap import storage
from cineclub.domain.errors import Conflict
from cineclub.settings import Settings
from pgbouncer import pgbouncer

pytestmark = pytest.mark.anyio

N_PEOPLE, N_ROUNDS = 20, 8


def refusal_of(**settings: Any) -> str:
    """Return the message with which a database is refused; empty for one that is taken."""
    try:
        with storage.database(Settings(**settings)):
            return ""
    except Conflict as error:
        return str(error)


@pytest.mark.parametrize("size", [1, 4])
def test_a_pooler_in_transaction_mode_needs_a_direct_address(database_url: str, home: Path, size: int) -> None:
    """Alone it is refused at the start, with the setting that is missing; beside a direct address it is taken."""
    with pgbouncer(database_url, size=size) as pooled:
        for _ in range(5):
            assert "set CINECLUB_DIRECT_DATABASE_URL" in refusal_of(home=home, database_url=pooled)
        assert refusal_of(home=home, database_url=pooled, direct_database_url=database_url) == ""
        message = refusal_of(home=home, database_url=pooled, direct_database_url=pooled)
        assert message.startswith("CINECLUB_DIRECT_DATABASE_URL is the address of a pooler")


def test_a_busy_pooler_is_recognized_too(database_url: str, home: Path) -> None:
    """Sessions of others that come and go do not hide its mode."""
    with pgbouncer(database_url) as pooled, psycopg.connect(pooled) as other:
        for _ in range(5):
            other.execute("SELECT 1")
            assert "set CINECLUB_DIRECT_DATABASE_URL" in refusal_of(home=home, database_url=pooled)
            other.rollback()


def test_what_keeps_sessions_is_taken(database_url: str, home: Path) -> None:
    """PostgreSQL itself, and a pooler in session mode, whether or not it has a session left for the check."""
    assert refusal_of(home=home, database_url=database_url) == ""
    for size in (1, 4):
        with pgbouncer(database_url, mode="session", size=size) as pooled:
            assert refusal_of(home=home, database_url=pooled) == ""


def test_addresses_that_do_not_belong_together_are_refused(database_url: str, server_url: str, home: Path) -> None:
    """The pooler of another database, one for single statements, and a direct address alone."""
    with pgbouncer(server_url) as pooled:
        message = refusal_of(home=home, database_url=pooled, direct_database_url=database_url)
        assert "lead to different databases" in message
    with pgbouncer(database_url, mode="statement") as pooled:
        message = refusal_of(home=home, database_url=pooled, direct_database_url=database_url)
        assert "set its pool_mode to transaction" in message
    with pytest.raises(ValidationError, match="needs CINECLUB_DATABASE_URL"):
        Settings(home=home, direct_database_url=database_url)


async def person(service: Service, nth: int) -> list[tuple[str, int]]:
    """Return the requests and statuses of a person who rates what is recommended."""
    statuses = []
    for _ in range(N_ROUNDS):
        predicted = await service.client.post("/predict/", json={"user_id": nth, "top_n": 3})
        statuses.append(("predict", predicted.status_code))
        rating = {"user_id": nth, "movie_id": movie_ids(predicted.json())[0], "rating": 4}
        statuses.append(("rate", (await service.client.post("/ratings/", json=rating)).status_code))
        paths = ("/movies/popular", f"/users/{nth}/ratings", "/monitoring/recommendations?days=3")
        statuses += [(path, (await service.client.get(path)).status_code) for path in paths]
        again = movie_ids(await service.predict(nth, 3))
        statuses.append(("a rated movie came back", 500 if rating["movie_id"] in again else 200))
    return statuses


@pytest.mark.parametrize("history_cache", [True, False])
async def test_requests_go_through_the_pooler(trained_url: str, home: Path, *, history_cache: bool) -> None:
    """Under load no request fails, notices arrive, the log is written, and no lock is left in the pooler's sessions."""
    with pgbouncer(trained_url, size=3) as pooled:
        settings: dict[str, Any] = {"direct_database_url": trained_url, "history_cache": history_cache}
        async with running(pooled, home, **settings) as service:
            people = await asyncio.gather(*(person(service, nth) for nth in range(1, N_PEOPLE + 1)))
            failed = [outcome for statuses in people for outcome in statuses if outcome[1] != 200]
            assert failed == []
            assert (await service.client.post("/training/", json={})).status_code == 202
            assert (await service.client.get("/monitoring/drift/history")).status_code == 200

            async def is_logged() -> bool:
                lines = (await service.client.get("/metrics")).text.splitlines()
                return "cineclub_prediction_log_waiting_rows 0.0" in lines

            await eventually(is_logged)
            with psycopg.connect(trained_url) as connection:
                [[n_logged]] = connection.execute("SELECT count(*) FROM cineclub.predictions").fetchall()
                locks = connection.execute("SELECT * FROM pg_locks WHERE locktype = 'advisory'").fetchall()
            assert (await service.client.delete("/users/7")).status_code == 200
        assert n_logged == 2 * N_PEOPLE * N_ROUNDS
        assert locks == []

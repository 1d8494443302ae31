"""Statements that PostgreSQL refuses or ends while it answers: no outage, and no list of movies that were rated."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from small_service import Service, error_of, movie_ids, running

pytestmark = pytest.mark.anyio

RATING = {"user_id": 2, "movie_id": 1003, "rating": 4}
LIMIT = "SELECT format('ALTER DATABASE %I SET statement_timeout = 1000', current_database())"
RAISING = """
CREATE SEQUENCE cineclub.raised;
CREATE FUNCTION cineclub.raises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('cineclub.raised') <= {times} THEN
        RAISE EXCEPTION 'as it happens' USING ERRCODE = '{sqlstate}';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER raises AFTER INSERT OR UPDATE ON cineclub.ratings FOR STATEMENT EXECUTE FUNCTION cineclub.raises();
"""


def run(database_url: str, statements: str) -> None:
    """Run statements."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statements.encode())


@contextlib.contextmanager
def locked_ratings(database_url: str) -> Iterator[None]:
    """Hold a lock under which nobody can read ratings."""
    with psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE cineclub.ratings IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


async def post(service: Service, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any], str | None]:
    """Return status, document and ``Retry-After`` of a response."""
    response = await service.client.post(path, json=body)
    return response.status_code, response.json(), response.headers.get("Retry-After")


async def test_a_timeout_is_no_outage(trained_url: str, home: Path) -> None:
    """A history that cannot be read in time is the known one if nothing changed since, and 503 otherwise."""
    with psycopg.connect(trained_url, autocommit=True) as connection:
        connection.execute(connection.execute(LIMIT).fetchall()[0][0].encode())
    async with running(trained_url, home, history_cache=False) as service:
        before, rated = await service.predict(4), (await service.predict(2))
        movie_id = movie_ids(rated)[0]
        body = {"user_id": 2, "movie_id": movie_id, "rating": 5}
        assert (await service.client.post("/ratings/", json=body)).status_code == 200
        with locked_ratings(trained_url):
            known, changed, unknown, batch, given = await asyncio.gather(
                *(post(service, "/predict/", {"user_id": user_id}) for user_id in (4, 2, 6)),
                post(service, "/predict/batch", {"user_ids": [4]}),
                post(service, "/predict/", {"ratings": [{"movie_id": 1001, "rating": 5}]}),
            )
            assert "cineclub_database_up 1.0" in (await service.client.get("/metrics")).text.splitlines()
        assert (known[0], known[1]["degraded"], movie_ids(known[1])) == (200, True, movie_ids(before))
        assert (given[0], given[1]["degraded"]) == (200, False)
        if changed[0] == 200:  # it was read again between the rating and the lock
            assert movie_id not in movie_ids(changed[1])
        for status, document, retry_after in (changed, unknown, batch)[changed[0] == 200 :]:
            assert (status, document["error"]["code"], retry_after) == (503, "storage_too_slow", "2")
            assert "too long" in document["error"]["message"]
        after = await service.predict(2)
        assert not after["degraded"]
        assert movie_id not in movie_ids(after)


async def test_a_read_that_this_process_cuts_is_no_outage_either(trained_url: str, home: Path) -> None:
    """A statement over the limit of the process is told apart from a PostgreSQL that hangs."""
    async with running(trained_url, home, history_cache=False) as service:
        await service.predict(4)
        with locked_ratings(trained_url):
            status, document, _ = await post(service, "/predict/", {"user_id": 6})
            assert (status, document["error"]["code"]) == (503, "storage_too_slow")
            assert (await service.client.get("/models/")).status_code == 200
        assert not (await service.predict(6))["degraded"]


@pytest.mark.parametrize(
    ("sqlstate", "code"),
    [
        ("53100", "storage_full"),
        ("58030", "storage_failed"),
        ("57014", "storage_too_slow"),
        ("25006", "storage_read_only"),
        ("53200", "storage_overloaded"),
        ("53300", "storage_overloaded"),
        ("XX001", "storage_failed"),
        ("42883", "storage_mismatch"),
    ],
)
async def test_a_refused_write_is_no_outage(trained_url: str, home: Path, sqlstate: str, code: str) -> None:
    """A write that PostgreSQL refuses is 503 with the cause; predictions go on undisturbed, and so does the write."""
    run(trained_url, RAISING.format(sqlstate=sqlstate, times=2))
    async with running(trained_url, home, history_cache=False) as service:
        refused = await service.client.post("/ratings/", json=RATING)
        assert not (await service.predict(2))["degraded"]
        assert (refused.status_code, error_of(refused)["code"]) == (503, code)
        assert int(refused.headers["Retry-After"]) > 0
        assert "as it happens" in error_of(refused)["message"]
        again = await service.client.post("/ratings/", json=RATING)
        assert (again.status_code == 200) or (await service.client.post("/ratings/", json=RATING)).status_code == 200


async def test_a_write_that_gave_way_once_is_repeated(trained_url: str, home: Path) -> None:
    """One deadlock is not shown to the caller."""
    run(trained_url, RAISING.format(sqlstate="40P01", times=1))
    async with running(trained_url, home) as service:
        assert (await service.client.post("/ratings/", json=RATING)).status_code == 200


async def test_a_closed_connection_is_not_noticed(trained_url: str, home: Path) -> None:
    """Connections that an administrator closes are replaced; no response is degraded."""
    close = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> {pid}"
    async with running(trained_url, home, history_cache=False) as service:
        for _ in range(5):
            await service.predict(2)
            with psycopg.connect(trained_url, autocommit=True) as connection:
                connection.execute(close.format(pid="pg_backend_pid()").encode())
            assert not (await service.predict(2))["degraded"]
            assert (await service.client.post("/ratings/", json=RATING)).status_code == 200

"""A failover to a standby: writes are refused with the cause, predictions go on, and its promotion ends that."""

import httpx
import psycopg
import pytest
from api_processes import free_ports, start_api, wait_until_alive
from own_server import OwnServer

from cineclub.adapters.postgres.embedded import place_of
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue, WorkerPresence
from cineclub.adapters.postgres.migrate import migrate
from cineclub.domain.errors import StorageReadOnly
from waiting import eventually

pytestmark = pytest.mark.faults

RATING = {"user_id": 2, "movie_id": 1003, "rating": 4}


def become_standby(server: OwnServer) -> None:
    """Start the server again as a standby that waits for a primary."""
    server.stop()
    (place_of(server.home).data / "standby.signal").touch(mode=0o666)
    server.start()


def code_of(url: str) -> str:
    """Return the code of the error of a write; empty for a written rating."""
    response = httpx.post(f"{url}/ratings/", json=RATING)
    return "" if response.status_code == 200 else f"{response.status_code} {response.json()['error']['code']}"


def is_complete(url: str) -> bool:
    """Return whether a prediction is made of present ratings."""
    return not httpx.post(f"{url}/predict/", json={"user_id": 2}).json()["degraded"]


def test_a_service_goes_on_over_a_standby(server: OwnServer) -> None:
    """The API and a worker go on over a standby, and write once it is promoted; migrations have nothing to do."""
    [port] = free_ports(1)
    process, url = start_api(server.url, server.home, port), f"http://127.0.0.1:{port}"
    presence = WorkerPresence(server.url)
    try:
        wait_until_alive(url)
        become_standby(server)
        eventually(lambda: code_of(url) == "503 storage_read_only")
        eventually(lambda: is_complete(url))
        assert migrate(server.url) == []
        presence.wait_for_work(0.1)
        with pytest.raises(StorageReadOnly):
            TrainingQueue(server.url, "a worker", 5, 3).claim()
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        eventually(lambda: code_of(url) == "")
        presence.wait_for_work(0.1)
        assert PostgresTrainingJobs(server.url).is_worker_alive()
    finally:
        presence.close()
        process.terminate()
        process.wait(20)

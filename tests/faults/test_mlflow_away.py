"""MLflow is away over a restart, and PostgreSQL too: the last good version answers by its own number, and all heals."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from api_processes import free_ports, start_api, wait_until_alive
from own_server import OwnServer

from cineclub.adapters import artifacts
from cineclub.adapters.mlflow.client import connect, store_uri
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue
from cineclub.adapters.postgres.migrate import migrate
from cineclub.adapters.postgres.promotions import PromotionHistory
from registry_bench import Bench, write_ratings
from waiting import eventually

pytestmark = pytest.mark.faults

HOLDER = "a worker"
KNOWN_USER = 2
START_SECONDS, HEALING_SECONDS = 10.0, 10.0


class Service:
    """An API process that is started and stopped again and again, always at the same address."""

    def __init__(self, bench: Bench) -> None:
        """Take whose database and copies it serves from."""
        self._bench = bench
        [self._port] = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def restart(self, **environment: str) -> None:
        """Stop it if it runs, and start it with these variables."""
        self.stop()
        self._process = start_api(self._bench.database_url, self._bench.home, self._port, **environment)
        wait_until_alive(self.url)

    def stop(self) -> None:
        """Stop it and see that it ends well."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(15) == 0
            self._process = None

    def answer(self) -> dict[str, Any]:
        """Return the answer to a known user."""
        response = httpx.post(f"{self.url}/predict/", json={"user_id": KNOWN_USER, "top_n": 3}, timeout=10)
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document

    def promote(self, version: int) -> httpx.Response:
        """Ask for a version to serve."""
        return httpx.post(f"{self.url}/models/{version}/promote", json={"reason": "a test"}, timeout=150)


@pytest.fixture
def server(home: Path) -> Iterator[OwnServer]:
    """A server of its own."""
    one = OwnServer(home)
    with one.running:
        one.start()
        yield one


@pytest.fixture
def bench(server: OwnServer, home: Path) -> Bench:
    """A registry in that server with two versions; the second served, then a person went back to the first."""
    url = server.url
    migrate(url)
    write_ratings(url)
    with psycopg.connect(url) as connection:  # the small models' films have names for ids
        connection.execute("UPDATE cineclub.catalogue SET movie_ids_are_integers = false")
    registry = MlflowRegistry(store_uri(url), home, artifacts, PromotionHistory(url, HOLDER))
    registry.open()
    PostgresTrainingJobs(url).start({}, None)
    lease = TrainingQueue(url, HOLDER, 30, 3).claim()
    assert lease is not None
    one = Bench(url, home, registry, connect(store_uri(url)), PromotionHistory(url), lease)
    assert [one.promoted(0).version, one.promoted(1).version] == [1, 2]
    lease.close()
    registry.roll_back(1, "a test", "person")
    return one


@pytest.fixture
def service(bench: Bench) -> Iterator[Service]:
    """The API over that registry, which has served the first version and was stopped."""
    one = Service(bench)
    one.restart()
    assert one.answer()["model"]["version"] == 1
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


def rename_schema(database_url: str, name: str, new_name: str) -> None:
    """Let MLflow's tables be gone, or there again."""
    with psycopg.connect(database_url) as connection:
        connection.execute(f"ALTER SCHEMA {name} RENAME TO {new_name}".encode())


def test_a_silent_mlflow_server_changes_nothing_for_those_who_ask(
    service: Service, silent_server: str, server: OwnServer
) -> None:
    """The API starts in moments and answers; without PostgreSQL too, and again with it."""
    began = time.monotonic()
    service.restart(MLFLOW_TRACKING_URI=silent_server)
    answer = service.answer()
    assert time.monotonic() - began < START_SECONDS
    assert (answer["degraded"], answer["model"]["version"]) == (False, 1)
    server.stop()
    service.restart(MLFLOW_TRACKING_URI=silent_server)
    answer = service.answer()
    assert (answer["degraded"], answer["model"]["version"]) == (True, 1)
    server.start()
    eventually(lambda: not service.answer()["degraded"], HEALING_SECONDS)
    assert service.answer()["model"]["version"] == 1


def test_without_mlflows_tables_answers_go_on_and_a_decision_is_refused_until_they_are_back(
    service: Service, bench: Bench
) -> None:
    """503 says that the store is away and nothing changes; with the tables back the same process follows a decision."""
    rename_schema(bench.database_url, "mlflow", "elsewhere")
    service.restart()
    assert service.answer()["model"]["version"] == 1
    refused = service.promote(2)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "registry_unavailable"), refused.text
    assert "MLflow" in refused.json()["error"]["message"]
    assert service.answer()["model"]["version"] == 1
    assert bench.promotions.newest().version == 1
    rename_schema(bench.database_url, "elsewhere", "mlflow")
    assert service.promote(2).status_code == 200
    eventually(lambda: service.answer()["model"]["version"] == 2, HEALING_SECONDS)

"""Outages of MLflow and PostgreSQL over a restart: the last good version serves, and the service recovers."""

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

from cineclub.adapters.mlflow.client import connect, store_uri
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue
from cineclub.adapters.postgres.migrate import migrate
from cineclub.adapters.postgres.promotions import PostgresPromotions
from registry_bench import Bench, promotion_flow, write_ratings
from waiting import eventually

pytestmark = pytest.mark.faults

HOLDER = "a worker"
KNOWN_USER = 2
START_SECONDS, HEALING_SECONDS = 10.0, 10.0


class Service:
    """An API process that is restarted at the same address."""

    def __init__(self, bench: Bench) -> None:
        """Take the registry whose database and copies it uses."""
        self._bench = bench
        [self._port] = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def restart(self, **environment: str) -> None:
        """Stop the process if it runs, and start it with these variables."""
        self.stop()
        self._process = start_api(self._bench.database_url, self._bench.home, self._port, **environment)
        wait_until_alive(self.url)

    def stop(self) -> None:
        """Stop the process and check its exit status."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(15) == 0
            self._process = None

    def predict(self) -> dict[str, Any]:
        """Return the response for a known user."""
        response = httpx.post(f"{self.url}/predict/", json={"user_id": KNOWN_USER, "top_n": 3}, timeout=10)
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document

    def promote(self, version: int) -> httpx.Response:
        """Request the promotion of a version."""
        return httpx.post(f"{self.url}/models/{version}/promote", json={"reason": "a test"}, timeout=150)


@pytest.fixture
def server(home: Path) -> Iterator[OwnServer]:
    """A PostgreSQL server for this test."""
    started = OwnServer(home)
    with started.running:
        started.start()
        yield started


@pytest.fixture
def bench(server: OwnServer, home: Path) -> Bench:
    """A registry in that server with two versions; the second was promoted, then rolled back to the first."""
    url = server.url
    migrate(url)
    write_ratings(url)
    with psycopg.connect(url) as connection:  # the small models' films have names for ids
        connection.execute("UPDATE cineclub.catalogue SET movie_ids_are_integers = false")
    promotion = promotion_flow(url, home, HOLDER)
    promotion.versions.registry.open()
    PostgresTrainingJobs(url).start({}, None)
    lease = TrainingQueue(url, HOLDER, 30, 3).claim()
    assert lease is not None
    built = Bench(url, home, promotion, connect(store_uri(url)), PostgresPromotions(url), lease)
    assert [built.promoted(0).version, built.promoted(1).version] == [1, 2]
    lease.close()
    assert promotion.roll_back("a test").version == 1
    return built


@pytest.fixture
def service(bench: Bench) -> Iterator[Service]:
    """The API over that registry, stopped after it served the first version."""
    started = Service(bench)
    started.restart()
    assert started.predict()["model"]["version"] == 1
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


def rename_schema(database_url: str, name: str, new_name: str) -> None:
    """Rename the schema of MLflow's tables, so that they are missing or present."""
    with psycopg.connect(database_url) as connection:
        connection.execute(f"ALTER SCHEMA {name} RENAME TO {new_name}".encode())


def test_a_silent_mlflow_server_changes_nothing_for_users(
    service: Service, silent_server: str, server: OwnServer
) -> None:
    """With a silent MLflow server the API starts quickly and serves, without PostgreSQL too."""
    began = time.monotonic()
    service.restart(MLFLOW_TRACKING_URI=silent_server)
    body = service.predict()
    assert time.monotonic() - began < START_SECONDS
    assert (body["degraded"], body["model"]["version"]) == (False, 1)
    server.stop()
    service.restart(MLFLOW_TRACKING_URI=silent_server)
    body = service.predict()
    assert (body["degraded"], body["model"]["version"]) == (True, 1)
    server.start()
    eventually(lambda: not service.predict()["degraded"], HEALING_SECONDS)
    assert service.predict()["model"]["version"] == 1


def test_without_mlflows_tables_responses_go_on_and_a_decision_is_refused_until_they_are_back(
    service: Service, bench: Bench
) -> None:
    """Without MLflow's tables promotions are 503 and change nothing; once they are back the same process promotes."""
    rename_schema(bench.database_url, "mlflow", "elsewhere")
    service.restart()
    assert service.predict()["model"]["version"] == 1
    refused = service.promote(2)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "registry_unavailable"), refused.text
    assert "MLflow" in refused.json()["error"]["message"]
    assert service.predict()["model"]["version"] == 1
    assert bench.promotions.newest().version == 1
    rename_schema(bench.database_url, "elsewhere", "mlflow")
    assert service.promote(2).status_code == 200
    eventually(lambda: service.predict()["model"]["version"] == 2, HEALING_SECONDS)

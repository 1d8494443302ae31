"""A real Prometheus reads a real service with real traffic: every panel and every rule has data."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml

from cineclub import bootstrap
from cineclub.adapters.prometheus.metrics import PrometheusMetrics
from cineclub.api.app import create_app
from cineclub.serving import ApiParts
from cineclub.settings import Settings
from debian_tools import tool
from ops.alerts import ALERTS
from ops.dashboards import DASHBOARDS
from ops.files import RULES, files
from ops.panels import RATE
from registry_bench import write_ratings
from waiting import eventually

SECONDS = 60.0
LOOKED_BACK = "8s"
"""In place of Grafana's own choice, which is made for an interval of 15 s."""


@dataclass(frozen=True)
class Watched:
    """A service with a Prometheus that reads it."""

    address: str
    prometheus: str
    parts: ApiParts

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the JSON of a request to the service."""
        answer = httpx.request(method, f"{self.address}{path}", json=body, timeout=SECONDS)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def ask(self, path: str, **question: str) -> Any:
        """Return the data of a request to Prometheus."""
        answer = httpx.get(f"{self.prometheus}/api/v1/{path}", params=question, timeout=SECONDS)
        assert answer.status_code == 200, f"{question}: {answer.text}"
        return answer.json()["data"]

    def values_of(self, expression: str) -> list[float]:
        """Return the values that an expression has now."""
        found = self.ask("query", query=expression.replace(RATE, LOOKED_BACK))["result"]
        return [float(one["value"][1]) for one in found]


def free_port() -> int:
    """Return a port that nobody uses at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(settings: Settings) -> Iterator[ApiParts]:
    """Serve the application over HTTP from a thread of this process, so that a check of drift can be told to it."""
    parts = bootstrap.api_parts(settings)
    server = uvicorn.Server(uvicorn.Config(create_app(parts), port=settings.port, log_level="warning"))
    thread = threading.Thread(target=server.run, name="service")
    thread.start()
    eventually(lambda: server.started)
    try:
        yield parts
    finally:
        server.should_exit = True
        thread.join(SECONDS)


@contextlib.contextmanager
def reading(folder: Path, service_port: int) -> Iterator[str]:
    """Run Prometheus on the rules as written, reading the service each second; give its address."""
    config = yaml.safe_load(files()["prometheus/prometheus.yml"])
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config.pop("alerting")
    target = [{"targets": [f"127.0.0.1:{service_port}"]}]
    config["scrape_configs"] = [{"job_name": "cineclub", "static_configs": target}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "rules.yml").write_text(files()[RULES])
    address = f"127.0.0.1:{free_port()}"
    command = [tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        eventually(lambda: is_ready(f"http://{address}"))
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(SECONDS)


def is_ready(address: str) -> bool:
    """Say whether a Prometheus answers."""
    try:
        return httpx.get(f"{address}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def working(settings: Settings) -> Iterator[None]:
    """Run a worker."""
    ours = {"CINECLUB_DATABASE_URL": bootstrap.database_url(settings), "CINECLUB_HOME": str(settings.home)}
    worker = subprocess.Popen([sys.executable, "-m", "cineclub.worker"], env={**os.environ, **ours})
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(SECONDS)


@pytest.fixture
def watched(bench_database: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A service over real tables, with a worker, and a Prometheus that reads it."""
    write_ratings(bench_database)
    monkeypatch.setattr("cineclub.flows.monitoring.FRESH_SECONDS", 0.0)
    settings = Settings(home=home, database_url=bench_database, port=free_port(), outcome_refresh_seconds=0.5)
    with served(settings) as parts, reading(tmp_path, settings.port) as prometheus, working(settings):
        yield Watched(f"http://127.0.0.1:{settings.port}", prometheus, parts)


def train(service: Watched) -> None:
    """Train a model, and wait until it answers."""
    asked = service.call("POST", "/training/", {"models": ["popular", "ease"]})
    path = f"/training/{asked['training_id']}"
    eventually(lambda: service.call("GET", path)["status"] not in {"queued", "running"}, SECONDS)
    assert service.call("GET", path)["status"] == "succeeded", service.call("GET", path)["error"]
    eventually(lambda: service.call("GET", "/ready")["model"] is not None)


def use(service: Watched) -> None:
    """Ask for recommendations of known and new people, and rate one of the films."""
    answer = service.call("POST", "/predict/", {"user_id": 1})
    service.call("POST", "/predict/", {"user_id": "somebody-new"})
    film = answer["recommendations"][0]["movie_id"]
    service.call("POST", "/ratings/", {"user_id": 1, "movie_id": film, "rating": 4.0})


def keep_using(service: Watched, seconds: float) -> None:
    """Let there be traffic for a while: a rate is made of several readings.

    The service's own checks find too few ratings for any distance, so one of another check is told again and again.
    """
    assert isinstance(service.parts.metrics, PrometheusMetrics)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        service.parts.metrics.drift_checked("OK", {"genre_mix": 0.02}, datetime.now(tz=UTC))
        for user in range(1, 6):
            service.call("POST", "/predict/", {"user_id": user})
        time.sleep(0.2)


def test_every_panel_and_every_rule_has_data(watched: Watched) -> None:
    """After a training and some traffic no query is empty, no rule fails, and what is fine alerts nobody."""
    train(watched)
    use(watched)
    keep_using(watched, 4.0)
    asked = {
        f"{dashboard.name}: {panel.title}: {query.expression}": query.expression
        for dashboard in DASHBOARDS
        for panel in dashboard.panels()
        for query in panel.queries
    } | {f"alert {alert.full_name}: {alert.measured}": alert.measured for alert in ALERTS}
    assert len(asked) > 60
    deadline = time.monotonic() + 20
    while empty := [name for name, expression in asked.items() if not watched.values_of(expression)]:
        assert time.monotonic() < deadline, "\n".join(empty)
        keep_using(watched, 1.0)
    rules = watched.ask("rules")["groups"][0]["rules"]
    assert {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")} == {}
    assert {rule["name"] for rule in rules} == {alert.full_name for alert in ALERTS}
    assert watched.values_of('sum(cineclub_trainings_total{outcome="succeeded"})') == [1.0]
    assert watched.values_of("max(cineclub_model_version)") == [1.0]
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []

"""A real Prometheus with a real service under traffic: every panel and rule has data."""

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

from cineclub.adapters.prometheus.metrics import PrometheusMetrics
from cineclub.api.app import create_app
from cineclub.bootstrap import storage
from cineclub.bootstrap.parts import ApiParts
from cineclub.bootstrap.serving import api_parts
from cineclub.settings import Settings
from debian_tools import tool
from ops.alerts import ALERTS
from ops.dashboards import DASHBOARDS
from ops.files import RULES, files
from ops.panels import RATE
from registry_bench import write_ratings
from waiting import eventually

SECONDS = 60.0
LOOKBACK = "8s"
"""In place of Grafana's own choice, which is made for an interval of 15 s."""


@dataclass(frozen=True)
class Watched:
    """A service and the Prometheus that scrapes it."""

    address: str
    prometheus: str
    parts: ApiParts

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the JSON of a request to the service."""
        response = httpx.request(method, f"{self.address}{path}", json=body, timeout=SECONDS)
        assert response.status_code < 300, response.text
        return response.json()

    def ask(self, path: str, **params: str) -> Any:
        """Return the data of a request to Prometheus."""
        response = httpx.get(f"{self.prometheus}/api/v1/{path}", params=params, timeout=SECONDS)
        assert response.status_code == 200, f"{params}: {response.text}"
        return response.json()["data"]

    def values_of(self, expression: str) -> list[float]:
        """Return the present values of an expression."""
        series = self.ask("query", query=expression.replace(RATE, LOOKBACK))["result"]
        return [float(sample["value"][1]) for sample in series]


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(settings: Settings) -> Iterator[ApiParts]:
    """Serve the application from a thread of this process, so that the test can report a drift check to it."""
    parts = api_parts(settings)
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
    """Run Prometheus with the written rules, scraping each second; yield its address."""
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
    """Return whether a Prometheus responds."""
    try:
        return httpx.get(f"{address}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def working(settings: Settings) -> Iterator[None]:
    """Run a worker process."""
    ours = {"CINECLUB_DATABASE_URL": storage.database_url(settings), "CINECLUB_HOME": str(settings.home)}
    worker = subprocess.Popen([sys.executable, "-m", "cineclub.processes.worker"], env={**os.environ, **ours})
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(SECONDS)


@pytest.fixture
def watched(bench_database: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A service over a real database, with a worker and a Prometheus."""
    write_ratings(bench_database)
    monkeypatch.setattr("cineclub.runtime.fresh_cache.FRESH_SECONDS", 0.0)
    settings = Settings(home=home, database_url=bench_database, port=free_port(), outcome_refresh_seconds=0.5)
    with served(settings) as parts, reading(tmp_path, settings.port) as prometheus, working(settings):
        yield Watched(f"http://127.0.0.1:{settings.port}", prometheus, parts)


def train(service: Watched) -> None:
    """Train a model, and wait until it serves."""
    training = service.call("POST", "/training/", {"models": ["popular", "ease"]})
    path = f"/training/{training['training_id']}"
    eventually(lambda: service.call("GET", path)["status"] not in {"queued", "running"}, SECONDS)
    assert service.call("GET", path)["status"] == "succeeded", service.call("GET", path)["error"]
    eventually(lambda: service.call("GET", "/ready")["model"] is not None)


def use(service: Watched) -> None:
    """Request recommendations for known and new users, and rate a film."""
    recommendations = service.call("POST", "/predict/", {"user_id": 1})
    service.call("POST", "/predict/", {"user_id": "somebody-new"})
    movie = recommendations["recommendations"][0]["movie_id"]
    service.call("POST", "/ratings/", {"user_id": 1, "movie_id": movie, "rating": 4.0})


def keep_using(service: Watched, seconds: float) -> None:
    """Send requests for a while, since a rate needs several scrapes.

    The service's own checks have too few ratings for a distance, so the test reports one repeatedly.
    """
    assert isinstance(service.parts.metrics, PrometheusMetrics)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        service.parts.metrics.drift_checked("OK", {"genre_mix": 0.02}, datetime.now(tz=UTC))
        for user in range(1, 6):
            service.call("POST", "/predict/", {"user_id": user})
        time.sleep(0.2)


def test_every_panel_and_every_rule_has_data(watched: Watched) -> None:
    """After a training and traffic no query is empty and no alert fires."""
    train(watched)
    use(watched)
    keep_using(watched, 4.0)
    expressions = {
        f"{dashboard.name}: {panel.title}: {query.expression}": query.expression
        for dashboard in DASHBOARDS
        for panel in dashboard.panels()
        for query in panel.queries
    } | {f"alert {alert.full_name}: {alert.measured}": alert.measured for alert in ALERTS}
    assert len(expressions) > 60
    deadline = time.monotonic() + 20
    while empty := [name for name, expression in expressions.items() if not watched.values_of(expression)]:
        assert time.monotonic() < deadline, "\n".join(empty)
        keep_using(watched, 1.0)
    rules = watched.ask("rules")["groups"][0]["rules"]
    assert {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")} == {}
    assert {rule["name"] for rule in rules} == {alert.full_name for alert in ALERTS}
    assert watched.values_of('sum(cineclub_trainings_total{outcome="succeeded"})') == [1.0]
    assert watched.values_of("max(cineclub_model_version)") == [1.0]
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []

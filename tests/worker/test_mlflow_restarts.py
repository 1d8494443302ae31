"""A training waits for an MLflow server that restarts, hears a cancel meanwhile, and gives up after the setting."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cineclub.adapters.mlflow.client import connect, store_uri
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.bootstrap import storage
from cineclub.flows.training import TrainingFlow
from cineclub.processes import worker
from cineclub.settings import Settings
from registry_bench import copied_database, write_ratings
from tracking_server import TrackingServer

MODELS = {"models": ["popular", "ease", "svd"]}
OUTAGE_SECONDS = 3.0


@pytest.fixture
def server(server_url: str, mlflow_template: str, home: Path) -> Iterator[TrackingServer]:
    """A running MLflow server with a database of its own."""
    with copied_database(server_url, mlflow_template) as url:
        started = TrackingServer(store_uri(url), home / "server")
        started.start()
        yield started
        started.stop()


@pytest.fixture
def start(bench_database: str, home: Path, server: TrackingServer) -> Callable[[float], str]:
    """Return a function that runs one training with a wait of so many seconds, and returns its id."""
    write_ratings(bench_database)

    def train(wait_seconds: float) -> str:
        settings = Settings.apart(
            database_url=bench_database,
            home=home,
            mlflow_tracking_uri=server.url,
            mlflow_wait_seconds=wait_seconds,
        )
        training = PostgresTrainingJobs(bench_database).start(MODELS, None)
        holder = storage.worker_name()
        presence = storage.worker_presence(settings)
        parts = worker.WorkerParts(
            storage.training_queue(settings, holder),
            presence,
            storage.promotion_flow(settings, holder),
            storage.rating_store(settings),
            settings,
        )
        worker.run_worker(parts, worker.StopRequest(), until_idle=True)
        presence.close()
        return training.training_id

    return train


def versions_on(server: TrackingServer) -> list[int]:
    """Return the numbers of the registered versions."""
    return [int(version.version) for version in connect(server.url).search_model_versions("name = 'cineclub'")]


def stop_for_a_while(server: TrackingServer) -> None:
    """Stop the server, and start it again while others wait."""
    server.stop()
    threading.Timer(OUTAGE_SECONDS, server.start).start()


@pytest.mark.parametrize("step", ["grid_search_svd", "register_model", "promote_if_better"])
def test_a_training_outlives_a_restart_of_mlflow(
    step: str,
    start: Callable[[float], str],
    server: TrackingServer,
    bench_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that restarts before a step costs no attempt, and the version is registered once and promoted."""
    original = getattr(TrainingFlow, step)

    def with_outage(flow: TrainingFlow, *arguments: Any) -> Any:
        stop_for_a_while(server)
        return original(flow, *arguments)

    monkeypatch.setattr(TrainingFlow, step, with_outage)
    training = PostgresTrainingJobs(bench_database).get(start(120))
    assert (training.status, training.attempt, training.error) == ("succeeded", 1, None)
    assert PostgresPromotions(bench_database).newest().version == 1
    assert versions_on(server) == [1]


def test_a_restart_after_the_version_was_registered_leaves_it_alone(
    start: Callable[[float], str],
    server: TrackingServer,
    bench_database: str,
) -> None:
    """A server that ends after it has registered the version, before it responds, does not register it again."""
    create, cuts = server._responders["POST", "/api/2.0/mlflow/model-versions/create"], iter([True])

    def cut_off(request: Any) -> Any:
        created = create[1](request)
        if next(cuts, False):
            threading.Thread(target=stop_for_a_while, args=(server,)).start()
            time.sleep(OUTAGE_SECONDS / 3)
            raise ConnectionAbortedError
        return created

    server._responders["POST", "/api/2.0/mlflow/model-versions/create"] = (create[0], cut_off)
    training = PostgresTrainingJobs(bench_database).get(start(120))
    assert (training.status, training.attempt, training.error) == ("succeeded", 1, None)
    assert PostgresPromotions(bench_database).newest().version == 1
    assert versions_on(server) == [1]


def test_a_cancel_is_heard_while_a_training_waits_for_mlflow(
    start: Callable[[float], str],
    server: TrackingServer,
    bench_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A training that waits for MLflow is cancelled within seconds, and keeps its lease until then."""
    original, jobs = TrainingFlow.register_model, PostgresTrainingJobs(bench_database)

    def cancelled(flow: TrainingFlow, *arguments: Any) -> Any:
        server.stop()
        threading.Timer(1.0, jobs.cancel, (flow.training_id,)).start()
        return original(flow, *arguments)

    monkeypatch.setattr(TrainingFlow, "register_model", cancelled)
    began = time.monotonic()
    training = jobs.get(start(600))
    assert (training.status, training.attempt) == ("cancelled", 1)
    assert time.monotonic() - began < 150


def test_a_server_that_stays_away_ends_the_training_after_the_wait(
    start: Callable[[float], str], server: TrackingServer, bench_database: str
) -> None:
    """After the wait of the setting in each attempt the training fails with the cause."""
    server.stop()
    training = PostgresTrainingJobs(bench_database).get(start(0.3))
    assert (training.status, training.attempt) == ("failed", 3)
    assert "MLflow" in (training.error or "")


def test_a_server_that_drips_does_not_keep_a_worker_from_its_queue(
    server: TrackingServer, bench_database: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that sends a byte a second holds up the reconciliation alone, which is not started a second time."""
    monkeypatch.setattr(worker, "SECONDS_OF_RECONCILING", 1.0)
    settings = Settings.apart(database_url=bench_database, home=home, mlflow_tracking_uri=server.url)
    promotion = storage.promotion_flow(settings)
    promotion.versions.open()
    server.seconds_per_byte = 1.0
    holder = storage.worker_name()
    presence = storage.worker_presence(settings)
    queue, claims = storage.training_queue(settings, holder), []
    monkeypatch.setattr(queue, "claim", lambda: claims.append("claimed"))
    store = storage.rating_store(settings)
    began = time.monotonic()
    for _ in range(2):
        parts = worker.WorkerParts(queue, presence, promotion, store, settings)
        worker.run_worker(parts, worker.StopRequest(), until_idle=True)
    assert len(claims) == 2
    assert time.monotonic() - began < 60
    presence.close()

"""A real `cineclub serve` with its own home: PostgreSQL, worker, API and MLflow's store."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from api_processes import free_ports

CINECLUB = str(Path(sys.executable).with_name("cineclub"))
START_SECONDS, TRAINING_SECONDS, STOP_SECONDS = 300.0, 180.0, 30.0  # the demo trains before it responds


def environment_of(home: Path, port: int, **more: str) -> dict[str, str]:
    """Return a clean environment with its own home and port, and with more settings."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("CINECLUB_", "MLFLOW_"))}
    return {
        **theirs,
        "CINECLUB_HOME": str(home),
        "CINECLUB_PORT": str(port),
        "CINECLUB_MODEL_POLL_SECONDS": "0.2",
        **more,
    }


@contextlib.contextmanager
def served(home: Path, command: str = "serve", **settings: str) -> Iterator[str]:
    """Yield the address of a service with its own home and settings; ``demo`` brings ratings and a model."""
    [port] = free_ports(1)
    environment = environment_of(home, port, **settings)
    with (home / "service.log").open("wb") as log:
        process = subprocess.Popen([CINECLUB, command], env=environment, stdout=log, stderr=log)
    try:
        wait_until_alive(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)


def wait_until_alive(address: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait for the first response."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/health").status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    message = f"{address} does not answer"
    raise TimeoutError(message)


def train(address: str, body: dict[str, object]) -> None:
    """Run a training in the service, and wait until its model serves."""
    training = httpx.post(f"{address}/training/", json=body).json()
    deadline = time.monotonic() + TRAINING_SECONDS
    while time.monotonic() < deadline:
        training = httpx.get(f"{address}/training/{training['training_id']}").json()
        is_served = httpx.get(f"{address}/models/production").status_code == httpx.codes.OK
        if training["status"] == "succeeded" and is_served:
            return
        if training["status"] in {"failed", "cancelled"}:
            break
        time.sleep(0.1)
    message = f"the training did not succeed: {training}"
    raise TimeoutError(message)

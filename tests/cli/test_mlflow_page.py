"""The command `cineclub mlflow`: its child process, environment and refusals."""

import os
import signal
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from cineclub.adapters.processes.mlflow_page import page_command, page_environment
from cineclub.bootstrap import storage
from cineclub.cli.main import main
from cineclub.domain.errors import CineclubError, Conflict
from cineclub.processes import supervisor
from cineclub.settings import Settings

STORE = "postgresql+psycopg://ann:secret@db/films?options=-csearch_path=mlflow"
PAGE = """
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""
LAUNCHER = """
import signal, subprocess, sys, time
server = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
signal.signal(signal.SIGTERM, lambda *_: None if sys.argv[2] == "deaf" else server.send_signal(signal.SIGTERM))
print(server.pid, flush=True)
server.wait()
"""
SERVER = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)"
OURS = """
import os, signal, sys, time
from pathlib import Path
from cineclub.processes.supervisor import Child
page = Child("page", dict(os.environ), Path(sys.argv[1]), command=sys.argv[2:], death_signal=signal.SIGTERM)
page.start()
time.sleep(600)
"""


def test_the_store_travels_in_the_environment_alone(tmp_path: Path) -> None:
    """The store's address is passed in the environment alone, without other stores, with the artifacts folder."""
    command = page_command("127.0.0.1", 5001)
    assert command[1:4] == ("-m", "mlflow", "server")
    assert command[4:8] == ("--host", "127.0.0.1", "--port", "5001")
    assert "secret" not in " ".join(command)
    outside = {"PATH": "/bin", "MLFLOW_TRACKING_URI": "elsewhere", "MLFLOW_SERVER_ALLOWED_HOSTS": "films.example"}
    environment = page_environment(outside, STORE, tmp_path)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == environment["MLFLOW_REGISTRY_STORE_URI"] == STORE
    assert environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == (tmp_path / "artifacts").as_uri()
    assert environment["MLFLOW_SERVER_ALLOWED_HOSTS"] == "films.example"
    assert "MLFLOW_TRACKING_URI" not in environment


def test_without_the_package_the_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without the package the command exits with 1 and starts no database."""

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setattr(sys, "argv", ["cineclub", "mlflow"])
    monkeypatch.setenv("CINECLUB_HOME", str(tmp_path / "home"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert '-m pip install "mlflow>=3.5,<4"' in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "home").exists()


def test_a_server_has_a_page_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With MLFLOW_TRACKING_URI there is no page to start."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(Conflict, match="a page of its own"):
        supervisor.show_mlflow(Settings(home=tmp_path), "127.0.0.1", 5001, lambda _address: None)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port; the page's package counts as installed."""
    monkeypatch.setattr(storage, "refuse_without_mlflow_page", lambda _settings: None)
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def test_the_page_is_announced_when_it_responds_and_ends_with_us(
    monkeypatch: pytest.MonkeyPatch, connected: Settings, port: int
) -> None:
    """The address is printed once the page responds; a signal ends the page and frees the port."""
    command = (sys.executable, "-c", PAGE, str(port))
    monkeypatch.setattr(storage, "mlflow_page", lambda *_arguments: (command, dict(os.environ)))
    announced = []

    def stop(address: str) -> None:
        announced.append(address)
        with pytest.raises(Conflict, match="--port"):
            supervisor.show_mlflow(connected, "127.0.0.1", port, lambda _address: None)
        os.kill(os.getpid(), signal.SIGTERM)

    supervisor.show_mlflow(connected, "127.0.0.1", port, stop)
    assert announced == [f"http://127.0.0.1:{port}"]
    supervisor.refuse_used_port("127.0.0.1", port)


def test_a_page_that_ends_at_once_is_an_error(monkeypatch: pytest.MonkeyPatch, connected: Settings, port: int) -> None:
    """A page that exits at once is reported as an error."""
    command = (sys.executable, "-c", "raise SystemExit(3)")
    monkeypatch.setattr(storage, "mlflow_page", lambda *_arguments: (command, dict(os.environ)))
    with pytest.raises(CineclubError, match="MLflow's page ended before it answered"):
        supervisor.show_mlflow(connected, "127.0.0.1", port, lambda _address: None)


def server_in(log: Path, timeout_seconds: float = 30) -> int:
    """Return the process id that the launcher printed."""
    deadline = time.monotonic() + timeout_seconds
    while not (log.exists() and log.read_text().endswith("\n")):
        assert time.monotonic() < deadline, "the launcher started nothing"
        time.sleep(0.02)
    return int(log.read_text())


def ends(process: int, timeout_seconds: float = 30) -> bool:
    """Return whether a process ends in time; a zombie has ended too."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
        if not state.stdout.strip() or state.stdout.startswith("Z"):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("launcher", ["obedient", "deaf"])
def test_the_server_behind_the_page_ends_with_it(
    launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server of MLflow's command ends on a signal, or is killed with its process group."""
    monkeypatch.setattr(supervisor, "STOP_TIMEOUT_SECONDS", 15.0 if launcher == "obedient" else 0.2)
    command = (sys.executable, "-c", LAUNCHER, SERVER, launcher)
    page = supervisor.Child("page", dict(os.environ), tmp_path / "page.log", command)
    page.start()
    server = server_in(tmp_path / "page.log")
    page.stop()
    assert ends(server)


def test_the_server_behind_the_page_ends_when_we_are_killed(tmp_path: Path) -> None:
    """After kill -9 nothing listens on the port."""
    log = tmp_path / "page.log"
    command = [sys.executable, "-c", OURS, str(log), sys.executable, "-c", LAUNCHER, SERVER, "obedient"]
    ours = subprocess.Popen(command)
    server = server_in(log)
    ours.kill()
    ours.wait()
    assert ends(server)

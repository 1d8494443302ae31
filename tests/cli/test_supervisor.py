"""The supervisor's restarts of its children and its database."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from cineclub.bootstrap import storage
from cineclub.cli import serving
from cineclub.processes import supervised_database
from cineclub.processes.supervised_database import SupervisedDatabase
from cineclub.processes.supervisor import Child, child_environment, serve
from cineclub.runtime.child_processes import FIRST_DELAY_SECONDS, StopRequest
from cineclub.runtime.heartbeats import HangDetector
from cineclub.settings import Settings


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_child_that_dies_is_started_again_after_growing_delays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delay doubles with each death, so that a failing child does not use up the processor."""
    child = Child("no_such_module", dict(os.environ), tmp_path / "child.log")
    child.start()
    wait_for(lambda: not child.is_running)
    now = [time.monotonic()]
    monkeypatch.setattr("cineclub.runtime.child_processes.time.monotonic", lambda: now[0])
    delays = []
    for _ in range(3):
        child.restart_if_dead()
        assert not child.is_running
        died_at = now[0]
        while not child.is_running and child.n_starts == len(delays) + 1:
            now[0] += 0.25
            child.restart_if_dead()
        delays.append(now[0] - died_at)
        assert child.process is not None
        child.process.wait()
    assert delays == [FIRST_DELAY_SECONDS, 2 * FIRST_DELAY_SECONDS, 4 * FIRST_DELAY_SECONDS]
    assert "no_such_module" in (tmp_path / "child.log").read_text()


def test_a_child_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    """A child that was stopped gives no more beats, and is replaced; one that beats is left alone."""
    beating = (
        "import sys, time; from cineclub.runtime.heartbeats import Heartbeat; beats = Heartbeat.passed_in(sys.argv)\n"
        "while True: beats.beat(); time.sleep(0.05)"
    )
    hang = HangDetector.of_child(2.0)
    assert hang is not None
    heartbeat = hang.heartbeat
    child = Child("api", dict(os.environ), tmp_path / "log", [sys.executable, "-c", beating], hang=hang)

    def is_replaced() -> bool:
        child.restart_if_dead()
        return child.n_starts == 2 and child.is_running and heartbeat.last_seconds is not None

    child.start()
    try:
        wait_for(lambda: heartbeat.last_seconds is not None)
        began = time.monotonic()
        while time.monotonic() < began + 3:
            assert not is_replaced()
            time.sleep(0.05)
        assert child.process is not None
        os.kill(child.process.pid, signal.SIGSTOP)
        wait_for(is_replaced, 60)
    finally:
        child.stop()


def test_an_embedded_server_that_dies_is_started_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service keeps its address after its PostgreSQL was killed and restarted."""
    monkeypatch.setattr(supervised_database, "DATABASE_POLL_SECONDS", 0.0)
    with SupervisedDatabase(Settings(home=home)) as database:
        assert database.is_ready_before(StopRequest())
        address = storage.database_url(database.settings)
        kill_server(address)
        wait_for(lambda: is_there_again(database))
        assert storage.database_url(database.settings) == address


def test_a_server_that_cannot_come_back_does_not_end_the_service(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its starts fail with a logged cause, after growing pauses, until what kept it down is gone."""
    monkeypatch.setattr(supervised_database, "DATABASE_POLL_SECONDS", 0.0)
    with SupervisedDatabase(Settings(home=home)) as database:
        assert database.is_ready_before(StopRequest())
        address = storage.database_url(database.settings)
        data_folder = kill_server(address)
        configuration = data_folder / "postgresql.conf"
        intact = configuration.read_text()
        configuration.write_text("shared_buffers = nonsense\n")
        wait_for(lambda: not is_there_again(database) and "contains errors" in caplog.text)
        assert database._backoff.next_seconds > FIRST_DELAY_SECONDS
        configuration.write_text(intact)
        wait_for(lambda: is_there_again(database), 60)
        assert "database_back" in caplog.text


def test_a_stop_ends_the_wait_for_a_recovery(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while PostgreSQL starts is obeyed, and nothing else is started."""
    monkeypatch.setattr("cineclub.adapters.postgres.embedded.EmbeddedServer.is_ready", lambda _: False)
    with SupervisedDatabase(Settings(home=home)) as database:
        assert not database.is_ready_before(StopRequest(is_made=True))


def kill_server(address: str) -> Path:
    """Kill the postmaster, wait until nothing responds, and return its data folder."""
    with psycopg.connect(address) as connection:
        [[data_folder]] = connection.execute("SHOW data_directory").fetchall()
    os.kill(int(Path(data_folder, "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    wait_for(lambda: not storage.is_database_reachable(Settings(database_url=address)))
    return Path(data_folder)


def is_there_again(database: SupervisedDatabase) -> bool:
    """Let the supervisor check, and return whether the database answers."""
    database.restart_if_dead()
    return storage.is_database_reachable(database.settings)


def test_a_child_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    """A log that cannot be opened, as on a full disk, does not end the supervisor."""
    log = tmp_path / "logs" / "child.log"
    child = Child("no_such_module", dict(os.environ), log)
    log.parent.write_text("in the way")
    wait_for(lambda: child.restart_if_dead() or child.backoff.next_seconds > 2 * FIRST_DELAY_SECONDS)
    assert child.n_starts == 0
    log.parent.unlink()
    wait_for(lambda: child.restart_if_dead() or child.n_starts == 1)


def test_secrets_travel_in_the_environment(home: Path) -> None:
    """Children get the database's address from the environment, not from a visible command line."""
    with storage.database(Settings(home=home, workers=3)) as settings:
        environment = child_environment(settings)
    assert environment["CINECLUB_DATABASE_URL"].startswith("postgresql://cineclub:")
    assert environment["CINECLUB_HOME"] == str(home)
    assert environment["CINECLUB_WORKERS"] == "3"


@pytest.mark.parametrize(("given", "served"), [(None, 2), (3, 3)])
def test_the_number_of_workers_is_given_or_set(monkeypatch: pytest.MonkeyPatch, given: int | None, served: int) -> None:
    """The command's option overrides the setting."""
    numbers: list[int] = []
    monkeypatch.setenv("CINECLUB_WORKERS", "2")
    monkeypatch.setattr("cineclub.processes.supervisor.serve", lambda settings, **_: numbers.append(settings.workers))
    serving.serve(with_worker=True, workers=given)
    assert numbers == [served]


def test_the_service_can_leave_trainings_to_a_worker_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is started, and the API answers."""
    monkeypatch.setattr("cineclub.processes.supervisor.keep_running", lambda _children, _stop: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    addresses: list[str] = []
    serve(Settings(home=home, port=port), on_live=addresses.append, log_folder=home, with_worker=False)
    assert addresses == [f"http://127.0.0.1:{port}"]
    assert (home / "api.log").is_file()
    assert not (home / "worker.log").exists()

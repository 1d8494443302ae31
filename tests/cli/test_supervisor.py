"""How the supervisor keeps its children and its database alive."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from cineclub import bootstrap
from cineclub.children import FIRST_PAUSE_SECONDS
from cineclub.cli import serving
from cineclub.settings import Settings
from cineclub.supervisor import Child, KeptDatabase, child_environment, serve


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_child_that_dies_is_started_again_after_growing_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause doubles with each death, so that a child which cannot live does not burn the processor."""
    child = Child("no_such_module", dict(os.environ), tmp_path / "child.log")
    child.start()
    wait_for(lambda: not child.is_running)
    now = [time.monotonic()]
    monkeypatch.setattr("cineclub.children.time.monotonic", lambda: now[0])
    pauses = []
    for _ in range(3):
        child.revive()
        assert not child.is_running
        died_at = now[0]
        while not child.is_running and child.n_starts == len(pauses) + 1:
            now[0] += 0.25
            child.revive()
        pauses.append(now[0] - died_at)
        assert child.process is not None
        child.process.wait()
    assert pauses == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert "no_such_module" in (tmp_path / "child.log").read_text()


def test_an_embedded_server_that_dies_is_started_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service goes on with the same address after its PostgreSQL was killed."""
    monkeypatch.setattr("cineclub.supervisor.DATABASE_LOOK_SECONDS", 0.0)
    with KeptDatabase(Settings(home=home)) as kept:
        address = bootstrap.database_url(kept.settings)
        with psycopg.connect(address) as connection:
            [[data_folder]] = connection.execute("SHOW data_directory").fetchall()
        os.kill(int(Path(data_folder, "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        wait_for(lambda: not bootstrap.is_database_reachable(kept.settings))

        def is_there_again() -> bool:
            kept.revive()  # as the supervisor's loop does: the killed process may not be gone at the first look
            return bootstrap.is_database_reachable(kept.settings)

        wait_for(is_there_again)
        assert bootstrap.database_url(kept.settings) == address


def test_secrets_travel_in_the_environment(home: Path) -> None:
    """Children learn the database's address from their environment, never from a command line that others can read."""
    with bootstrap.database(Settings(home=home, workers=3)) as settings:
        environment = child_environment(settings)
    assert environment["CINECLUB_DATABASE_URL"].startswith("postgresql://cineclub:")
    assert environment["CINECLUB_HOME"] == str(home)
    assert environment["CINECLUB_WORKERS"] == "3"


@pytest.mark.parametrize(("given", "served"), [(None, 2), (3, 3)])
def test_the_number_of_workers_is_given_or_set(monkeypatch: pytest.MonkeyPatch, given: int | None, served: int) -> None:
    """The option of the command goes before the setting."""
    asked: list[int] = []
    monkeypatch.setenv("CINECLUB_WORKERS", "2")
    monkeypatch.setattr("cineclub.supervisor.serve", lambda settings, **_: asked.append(settings.workers))
    serving.serve(with_worker=True, workers=given)
    assert asked == [served]


def test_the_service_can_leave_trainings_to_a_worker_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is started, and the API answers."""
    monkeypatch.setattr("cineclub.supervisor.keep_running", lambda _children, _stop: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answered: list[str] = []
    serve(Settings(home=home, port=port), on_live=answered.append, log_folder=home, with_worker=False)
    assert answered == [f"http://127.0.0.1:{port}"]
    assert (home / "api.log").is_file()
    assert not (home / "worker.log").exists()

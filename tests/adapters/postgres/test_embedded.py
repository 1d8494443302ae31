"""The embedded PostgreSQL: starts, keeps its data, is shared, and goes with its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres import embedded
from cineclub.adapters.postgres.embedded import embedded_postgres, is_server_running, place_of
from cineclub.domain.errors import StorageUnavailable

HOLD_A_SERVER = """
import signal, sys, time
from collections.abc import Callable
from pathlib import Path
from cineclub.adapters.postgres.embedded import embedded_postgres
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests in the background
with embedded_postgres(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(60)
"""


def wait_until(is_so: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Say whether something came to be so within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.05)
    return False


def test_what_is_written_is_there_after_a_restart(home: Path) -> None:
    """Data outlive the server."""
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]
    assert not is_server_running(home)


def test_a_second_process_attaches_to_the_running_server(home: Path) -> None:
    """Whoever comes while a server runs uses it, and leaves it running."""
    with embedded_postgres(home) as first:
        with embedded_postgres(home) as second:
            assert second == first
        assert is_server_running(home)


def test_a_long_home_gets_a_short_socket_folder(home: Path) -> None:
    """A path that is too long for a socket is no reason to fail."""
    deep = home / ("x" * 60) / ("y" * 60)
    for folder in (deep.parent, deep):
        folder.mkdir(mode=0o711)
    with embedded_postgres(deep) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_neither_a_password_nor_a_socket_is_open_to_others(home: Path) -> None:
    """The password file and the socket's folder belong to the server's user alone, and a wrong password is refused."""
    with embedded_postgres(home) as url:
        place = place_of(home)
        assert place.password_file.stat().st_mode & 0o077 == 0
        assert place.socket_folder.stat().st_mode & 0o077 == 0
        password = place.password_file.read_text()
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(password, "wrong"))


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_the_server_stops_with_its_parent(home: Path, signal_number: signal.Signals) -> None:
    """Ctrl-C and kill -9 of the parent both stop PostgreSQL."""
    command = [sys.executable, "-c", HOLD_A_SERVER, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        postgres = int((place_of(home).data / "postmaster.pid").read_text().split()[0])
        parent.send_signal(signal_number)
        parent.wait(20)
    assert wait_until(lambda: not Path(f"/proc/{postgres}").exists() if sys.platform == "linux" else gone(postgres))
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def gone(pid: int) -> bool:
    """Say whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_data_of_another_major_version_are_not_hidden_by_an_empty_database(home: Path) -> None:
    """The error says how to bring the data along."""
    (place_of(home).state.parent / "9" / "data").mkdir(parents=True)
    with pytest.raises(StorageUnavailable, match="cineclub backup"), embedded_postgres(home):
        pass


def test_missing_programs_are_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Without any PostgreSQL programs the error names both ways to get a database."""
    monkeypatch.setattr(embedded, "find_spec", lambda _name: None)
    monkeypatch.setattr(embedded, "SYSTEM_PROGRAMS", home)
    with pytest.raises(StorageUnavailable, match="CINECLUB_DATABASE_URL"):
        embedded.packaged_binaries()

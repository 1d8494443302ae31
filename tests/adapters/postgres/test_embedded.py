"""The embedded PostgreSQL: start, restart, sharing between processes, and its end with the parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres import server_programs
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
    """Return whether a condition became true within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.05)
    return False


def test_what_is_written_is_there_after_a_restart(home: Path) -> None:
    """Data are kept over a restart."""
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]
    assert not is_server_running(home)


def test_a_second_process_attaches_to_the_running_server(home: Path) -> None:
    """A second process uses the running server and leaves it running."""
    with embedded_postgres(home) as first:
        with embedded_postgres(home) as second:
            assert second == first
        assert is_server_running(home)


def deep_home(home: Path) -> Path:
    """Return a home whose path is too long for a socket."""
    deep = home / ("x" * 60) / ("y" * 60)
    for folder in (deep.parent, deep):
        folder.mkdir(mode=0o711)
    return deep


def test_a_long_home_gets_a_short_socket_folder(home: Path) -> None:
    """A home too long for a socket path works."""
    deep = deep_home(home)
    with embedded_postgres(deep) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_link_in_place_of_the_socket_folder_is_refused(home: Path) -> None:
    """A link that somebody planted in /tmp is not followed, and its target stays as it is."""
    deep, target = deep_home(home), home / "somebody's"
    target.mkdir(mode=0o755)
    target.chmod(0o755)
    before = target.stat()
    link = place_of(deep).socket_folder
    assert home not in link.parents
    link.symlink_to(target)
    try:
        with pytest.raises(StorageUnavailable, match="no folder of ours"), embedded_postgres(deep):
            pass
    finally:
        link.unlink()
    after = target.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


def test_a_socket_folder_of_another_user_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that another user made first is refused with what to do; that user could read or replace the socket."""
    deep = deep_home(home)
    folder = place_of(deep).socket_folder
    folder.mkdir(mode=0o777)
    mode = folder.stat().st_mode
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    try:
        with pytest.raises(StorageUnavailable, match="belongs to another user: remove it"), embedded_postgres(deep):
            pass
        assert folder.stat().st_mode == mode
    finally:
        folder.rmdir()


def test_neither_a_password_nor_a_socket_is_open_to_others(home: Path) -> None:
    """Password file and socket folder belong to the server's user alone, and a wrong password is refused."""
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
    """Return whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_data_of_another_major_version_are_not_hidden_by_an_empty_database(home: Path) -> None:
    """The error says how to migrate the data."""
    (place_of(home).state.parent / "9" / "data").mkdir(parents=True)
    with pytest.raises(StorageUnavailable, match="cineclub backup"), embedded_postgres(home):
        pass


def test_missing_programs_are_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Without PostgreSQL programs the error names both ways to get a database."""
    monkeypatch.setattr(server_programs, "find_spec", lambda _name: None)
    monkeypatch.setattr(server_programs, "SYSTEM_PROGRAMS", home)
    with pytest.raises(StorageUnavailable, match="CINECLUB_DATABASE_URL"):
        server_programs.packaged_binaries()

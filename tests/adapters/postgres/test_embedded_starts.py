"""The embedded PostgreSQL starts whatever a killed server left behind, takes its time, and says what keeps it down."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres import embedded, server_programs
from cineclub.adapters.postgres.embedded import EmbeddedServer, Place, embedded_postgres, place_of
from cineclub.adapters.postgres.server_files import server_pid
from cineclub.domain.errors import StorageUnavailable
from waiting import eventually

NAMES = [
    "with a space 100% & more=c;d#e?f back\\slash 'quoted' \"twice\" Kinö-東京",
    "a,b",
    "/".join(["x" * 100] * 6),
]
LEFT = ["", "garbage\n", "-\n\n\n", "0\n", "9999999999999999999999\n"]


@pytest.fixture
def killed(home: Path) -> Place:
    """The place of a server that was killed while it held data."""
    with embedded_postgres(home) as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
        place = place_of(home)
        os.kill(server_pid(place.data) or 0, signal.SIGKILL)
    return place


@pytest.fixture
def stranger(killed: Place) -> Iterator[int]:
    """A process of the server's user that is no PostgreSQL."""
    owner = killed.owner
    with subprocess.Popen(["sleep", "60"], user=owner.pw_uid if owner else None) as process:
        yield process.pid
        process.kill()


def assert_starts(home: Path) -> None:
    """Check that the server starts with its data."""
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(42,)]


def test_an_empty_or_garbled_file_of_a_killed_server_is_no_obstacle(killed: Place, home: Path) -> None:
    """Neither the file in the data folder nor the one beside the socket keeps the next server off."""
    for left in LEFT:
        (killed.data / "postmaster.pid").write_text(left)
        (killed.socket_folder / ".s.PGSQL.5432.lock").write_text(left)
        assert_starts(home)


def test_a_file_with_the_number_of_another_process_is_no_obstacle(killed: Place, home: Path, stranger: int) -> None:
    """After a restart of the machine any process may have the number of the killed server."""
    for path in (killed.data / "postmaster.pid", killed.socket_folder / ".s.PGSQL.5432.lock"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join([str(stranger), *lines[1:]]) + "\n")
    assert_starts(home)


def test_no_second_server_starts_on_a_data_folder_in_use(home: Path) -> None:
    """Without lock and with a garbled file the first server is still noticed, and goes on."""
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        place = place_of(home)
        (place.state / "lock").unlink()
        intact = (place.data / "postmaster.pid").read_text()
        (place.data / "postmaster.pid").write_text("")
        second = EmbeddedServer(home)
        with pytest.raises(StorageUnavailable, match="earlier PostgreSQL still uses"):
            second.start(0.2)
        second.stop()
        assert (place.data / "postmaster.pid").read_text() == ""
        (place.data / "postmaster.pid").write_text(intact)
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize("name", NAMES)
def test_a_home_may_have_any_path(name: str, home: Path) -> None:
    """The address finds the socket, whatever the path of the home has in it."""
    folder = home / name
    folder.mkdir(parents=True)
    for path in (folder, *folder.parents):
        if path.is_relative_to(home):
            path.chmod(0o711)
    with embedded_postgres(folder) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        [[data]] = connection.execute("SHOW data_directory").fetchall()
        assert Path(data).is_relative_to(folder)


def test_a_home_with_a_line_break_is_refused(home: Path) -> None:
    """PostgreSQL's own files hold the path in a line."""
    with pytest.raises(StorageUnavailable, match="line break"):
        place_of(home / "two\nlines")


@pytest.fixture
def slow_recovery(killed: Place) -> Callable[[], None]:
    """Let the next recovery wait until the returned function is called."""
    flag = killed.state / "hold"
    flag.touch()
    script = killed.state / "hold.sh"
    script.write_text(f"while [ -e '{flag}' ]; do sleep 0.1; done; exit 1\n")
    with (killed.data / "postgresql.auto.conf").open("a") as file:
        file.write(f"restore_command = 'sh {script}'\n")
    (killed.data / "recovery.signal").touch()
    if killed.owner:
        os.chown(killed.data / "recovery.signal", killed.owner.pw_uid, killed.owner.pw_gid)
    return flag.unlink


def test_a_long_recovery_is_waited_for_and_reported(
    slow_recovery: Callable[[], None], home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No limit of time ends it, another process waits with the first, and its progress is logged."""
    monkeypatch.setattr(embedded, "START_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(embedded, "SECONDS_BETWEEN_REPORTS", 0.2)
    first, second = EmbeddedServer(home), EmbeddedServer(home)
    try:
        first.start()
        eventually(lambda: not first.is_ready() and "recovers" in caplog.text)
        second.start()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert not first.is_ready()
            assert not second.is_ready()
            time.sleep(0.02)
        slow_recovery()
        monkeypatch.setattr(embedded, "START_TIMEOUT_SECONDS", 60.0)
        eventually(lambda: first.is_ready() and second.is_ready())
        with psycopg.connect(second.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(42,)]
    finally:
        second.stop()
        first.stop()
    assert caplog.records[0].levelno == logging.WARNING


def test_a_process_that_joined_takes_over_when_the_first_one_ends(home: Path) -> None:
    """A server that ended before it was ready is started by the one who waits."""
    first, second = EmbeddedServer(home), EmbeddedServer(home)
    try:
        first.start()
        second.start()
        assert second.is_running
        first.stop()
        eventually(second.is_ready)
        with psycopg.connect(second.url) as connection:
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
    finally:
        second.stop()


def test_a_server_that_does_not_start_names_its_cause(killed: Place, home: Path) -> None:
    """The message has the last complaint of the server's own log, and the log's path."""
    (killed.data / "postgresql.conf").write_text("shared_buffers = nonsense\n")
    with (
        pytest.raises(StorageUnavailable, match=r"configuration file.*contains errors.*postgres\.log"),
        embedded_postgres(home),
    ):
        pass


def test_without_shared_memory_of_the_system_the_server_uses_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without /dev/shm has a server that works, with parallel queries too."""
    monkeypatch.setattr(embedded, "SHARED_MEMORY", home / "missing")
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SHOW dynamic_shared_memory_type").fetchall() == [("mmap",)]
        connection.execute("SET debug_parallel_query = on")
        assert connection.execute("SELECT sum(i) FROM generate_series(1, 1000) AS i").fetchall() == [(500_500,)]


def test_programs_that_cannot_be_run_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is missing is looked for elsewhere; one that fails is named with the way out."""
    folder = home / "16" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setattr(server_programs, "find_spec", lambda _name: None)
    monkeypatch.setattr(server_programs, "SYSTEM_PROGRAMS", home)
    (folder / "initdb").touch(mode=0o755)
    with pytest.raises(StorageUnavailable, match="no PostgreSQL programs"):
        place_of(home)
    (folder / "postgres").write_text("#!/bin/sh\necho no library >&2\nexit 127\n")
    (folder / "postgres").chmod(0o755)
    with pytest.raises(StorageUnavailable, match=r"no library.*CINECLUB_DATABASE_URL"):
        place_of(home)


def test_a_file_in_the_way_of_the_folder_is_named(home: Path) -> None:
    """An error of the files is a message with the path, and nothing is started."""
    (home / "postgres").write_text("in the way")
    with pytest.raises(StorageUnavailable, match=r"postgres.*a part of the path is a file"), embedded_postgres(home):
        pass


def test_a_stopped_server_does_not_block_who_asks_for_it(home: Path) -> None:
    """A server that takes no connection is not ready; the supervisor has other work meanwhile."""
    server = EmbeddedServer(home)
    try:
        server.start()
        eventually(server.is_ready)
        pid = server_pid(place_of(home).data) or 0
        os.kill(pid, signal.SIGSTOP)
        try:
            assert not server.is_ready()
        finally:
            os.kill(pid, signal.SIGCONT)
        eventually(server.is_ready)
    finally:
        server.stop()


def test_a_server_with_damaged_files_is_not_ready(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An internal error of PostgreSQL ends neither the wait nor the supervisor."""

    def damaged(*_: object, **__: object) -> None:
        raise psycopg.errors.DataCorrupted

    server = EmbeddedServer(home)
    try:
        server.start()
        eventually(server.is_ready)
        with monkeypatch.context() as patch:
            patch.setattr(psycopg, "connect", damaged)
            assert not server.is_ready()
        assert server.is_ready()
    finally:
        server.stop()

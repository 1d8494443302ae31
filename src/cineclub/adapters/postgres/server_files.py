"""The files by which PostgreSQL keeps a second server off its data, where a killed server has left them behind."""

import contextlib
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cineclub.domain.errors import StorageUnavailable
from cineclub.runtime.file_errors import explanation_of

PROCESSES = Path("/proc")
POLL_SECONDS = 0.05
POSTMASTER_FILE = "postmaster.pid"
SOCKET = ".s.PGSQL.5432"
PROGRAM = "postgres"
LOG_TAIL_BYTES = 20_000
FATAL_MARKS = ("PANIC:", "FATAL:", "error:", "No space left on device")
LINE_HEAD = re.compile(r"^\d{4}-\d\d-\d\d \S+ \S+ \[\d+\]\s*(LOG: +)?")
FIXES = {
    "No space left on device": "free disk space",
    "Read-only file system": "mount the disk for writing",
    "Permission denied": "run cineclub as the owner of CINECLUB_HOME",
    "wrong ownership": "run cineclub as the owner of CINECLUB_HOME",
    "Cannot allocate memory": "free memory",
    "contains errors": "correct that file",
}
"""What a person can do about causes in the server's log."""
STATUS_LINE = 7
"""The line of postmaster.pid, from 0, with ``starting``, ``ready`` or ``stopping``."""


@contextlib.contextmanager
def file_errors() -> Iterator[None]:
    """Raise errors of the server's files and processes as StorageUnavailable, with how to fix them."""
    try:
        yield
    except OSError as error:
        message = f"the embedded PostgreSQL cannot run: {explanation_of(error) or error}"
        raise StorageUnavailable(message) from error


def server_pid(data: Path) -> int | None:
    """Return the process id in the server's file; None without a file, or without a number in it."""
    return _pid_in(data / POSTMASTER_FILE)


def server_status(data: Path) -> str:
    """Return the state that the server writes: ``starting``, ``ready`` or ``stopping``; empty where it wrote none."""
    try:
        lines = (data / POSTMASTER_FILE).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[STATUS_LINE].strip() if len(lines) > STATUS_LINE else ""


def last_line(log_file: Path, begins_at: int = 0) -> str:
    """Return the last line of the server's log from a position on; empty without one."""
    return (_lines_of(log_file, begins_at) or [""])[-1]


def explained(problem: str, log_file: Path, begins_at: int) -> str:
    """Return the message about a problem, with its cause from the server's log from a position on, and the fix."""
    lines = _lines_of(log_file, begins_at)
    fatal = [line for line in lines if any(mark in line for mark in FATAL_MARKS)]
    cause = LINE_HEAD.sub("", (fatal or lines or [""])[-1])
    fix = next((fix for mark, fix in FIXES.items() if mark in cause), "run `cineclub doctor`")
    return f"{problem}{f' ({cause})' if cause else ''}: {fix}; its log is {log_file}"


def _lines_of(log_file: Path, begins_at: int) -> list[str]:
    """Return the last lines of a log from a position on."""
    try:
        with log_file.open("rb") as file:
            file.seek(max(begins_at, log_file.stat().st_size - LOG_TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def clear_leftovers(data: Path, socket_folder: Path, wait_seconds: float) -> None:
    """Wait for the processes of an earlier server on this data folder, then delete files that would keep a new one off.

    PostgreSQL refuses an empty or garbled file, and one with the number of a process that lives: after a restart of the
    machine or the container that may be any process. Its own files are left alone, as it examines the shared memory
    that they name. The caller holds the lock of the data folder.

    Raises:
        StorageUnavailable: a process of PostgreSQL still uses the data folder.
    """
    deadline = time.monotonic() + wait_seconds
    while users := _processes_in(data):
        if time.monotonic() >= deadline:
            message = f"an earlier PostgreSQL still uses {data} (process {min(users)}): wait until it ends, or stop it"
            raise StorageUnavailable(message)
        time.sleep(POLL_SECONDS)
    if server_pid(data) is None and _is_listened_on(socket_folder / SOCKET):
        message = f"an earlier PostgreSQL still listens in {socket_folder}: wait until it ends, or stop it"
        raise StorageUnavailable(message)
    for path in (data / POSTMASTER_FILE, socket_folder / f"{SOCKET}.lock"):
        pid = _pid_in(path)
        is_of_another_process = sys.platform == "linux" and pid is not None and is_process(pid)
        if pid is None or is_of_another_process:
            path.unlink(missing_ok=True)


def is_process(pid: int) -> bool:
    """Return whether a process with this number runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _pid_in(path: Path) -> int | None:
    """Return the number at the beginning of a file, negative for a server of one user; None if there is none."""
    try:
        pid = abs(int(path.read_text("ascii", errors="replace").split()[0]))
    except (OSError, ValueError, IndexError):
        return None
    return pid or None


def _processes_in(data: Path) -> set[int]:
    """Return the processes of PostgreSQL on a data folder, which is their working folder.

    Systems without /proc name the server in its file alone.
    """
    if not PROCESSES.joinpath("self", "cwd").exists():
        pid = server_pid(data)
        return {pid} if pid is not None and is_process(pid) else set()
    folder = data.resolve()
    return {int(path.name) for path in PROCESSES.iterdir() if path.name.isdigit() and _is_server_in(path, folder)}


def _is_server_in(process: Path, folder: Path) -> bool:
    """Return whether a process is PostgreSQL's and works in a folder; not if it has ended or is closed to us."""
    try:
        return process.joinpath("cwd").readlink() == folder and process.joinpath("comm").read_text().strip() == PROGRAM
    except OSError:
        return False


def _is_listened_on(path: Path) -> bool:
    """Return whether a process accepts connections at a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False

"""A running `cineclub serve`, its processes to kill, and a small disk to fill."""

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from own_postgres import OwnPostgres

from waiting import eventually

CINECLUB: Final = str(Path(sys.executable).with_name("cineclub"))
DISK_MEGABYTES: Final = 500
CHUNK: Final = bytes(1 << 20)
START_SECONDS: Final = 120.0
BACK_SECONDS: Final = 240.0
KINDS: Final = ("API process", "API process", "API process", "API parent", "worker", "postmaster", "backend", "backend")


@dataclass(frozen=True, slots=True)
class ServedHome:
    """A service started by `cineclub serve`.

    Attributes:
        process: the supervisor.
        home: its state folder.
        port: the port of the API.
        own_server: a PostgreSQL that the supervisor does not start; None: the supervisor's child.
    """

    process: "subprocess.Popen[bytes]"
    home: Path
    port: int
    own_server: OwnPostgres | None = None

    def victims(self, kind: str) -> list[int]:
        """Return the processes of a kind that run now."""
        children = _children(self.process.pid)
        parents = [pid for pid in children if "cineclub.processes.api" in _command(pid)]
        postmasters = [pid for pid in children if "/bin/postgres" in _command(pid)]
        if self.own_server is not None:
            postmasters = [self.own_server.pid]
        match kind:
            case "API parent":
                return parents
            case "API process":
                return [child for pid in parents for child in _children(pid)]
            case "worker":
                return [pid for pid in children if "cineclub.processes.worker" in _command(pid)]
            case "postmaster":
                return postmasters
        sessions = [child for pid in postmasters for child in _children(pid)]
        return [pid for pid in sessions if _command(pid).startswith("postgres: cineclub cineclub")]

    def kill_one(self, kind: str, rng: random.Random) -> bool:
        """Kill one process of a kind by SIGKILL, and return whether there was one."""
        victims = self.victims(kind)
        if not victims:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(victims), signal.SIGKILL)
        return True

    def responds(self) -> bool:
        """Return whether the API is alive."""
        return self._status("GET", "/health") == 200

    def recommends(self) -> bool:
        """Return whether the API recommends, from memory if need be."""
        return self._status("POST", "/predict/", {"user_id": "somebody", "top_n": 5}) == 200

    def takes_ratings(self) -> bool:
        """Return whether a rating is acknowledged."""
        return self._status("POST", "/ratings/", {"user_id": "probe", "movie_id": 1001, "rating": 4}) == 200

    def train(self) -> None:
        """Queue a training, unless one is under way or the database is away."""
        self._status("POST", "/training/", {"models": ["popular", "ease"]})

    def wait_until_back(self) -> float:
        """Wait until ratings are taken; return the seconds."""
        begun = time.monotonic()
        eventually(self._is_back, BACK_SECONDS)
        return time.monotonic() - begun

    def _is_back(self) -> bool:
        """Start an own server that is gone, which a killed one may be only after a moment, and send a rating."""
        if self.own_server is not None:
            self.own_server.start_again()
        return self.takes_ratings()

    def _status(self, method: str, path: str, body: object = None) -> int:
        """Return the status of a request over a connection of its own; 0 without a response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


@contextlib.contextmanager
def served(
    home: Path, port: int, log: Path, own_server: OwnPostgres | None = None, **variables: str
) -> Iterator[ServedHome]:
    """Run `cineclub serve` for the duration of the block."""
    environment = {**os.environ, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(port), "CINECLUB_WORKERS": "2"}
    with log.open("wb") as output:
        command = [CINECLUB, "serve"]
        process = subprocess.Popen(command, env=environment | variables, stdout=output, stderr=output)
    try:
        service = ServedHome(process, home, port, own_server)
        eventually(service.takes_ratings, START_SECONDS)
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a small disk on a folder for the duration of the block, where that is possible: it needs root on Linux."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m,mode=0711", "cineclub-attack", str(folder)]
    is_mounted = shutil.which("mount") is not None and subprocess.run(command, check=False).returncode == 0
    try:
        yield
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Fill the disk of a folder to the last byte for the duration of the block."""
    filler = folder / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(CHUNK):
                pass
        yield
    finally:
        filler.unlink()


def _children(pid: int) -> list[int]:
    """Return the children of a process; none if it has ended."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""

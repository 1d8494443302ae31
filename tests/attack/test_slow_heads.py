"""Slow heads, half requests, endless headers, unread responses, few file descriptors: honest requests are answered."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from api_processes import free_ports, wait_until_alive
from small_service import fill, promote, small_artifact

from conftest import Repetitions

pytestmark = [pytest.mark.attack, pytest.mark.timeout(900)]

SECONDS = 60.0
HONEST_REQUESTS = 100
MOST_MB = 20
GET = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = (
    b"POST /predict/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
BATCH = json.dumps({"user_ids": list(range(1, 1001)), "top_n": 100}).encode()


@dataclass
class Attacked:
    """A real API process, the largest memory it has had, and the attackers that must stop."""

    process: "subprocess.Popen[bytes]"
    port: int
    peak_bytes: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def rss_bytes(self) -> int:
        """Its resident memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def connect(self, sent: bytes) -> socket.socket:
        """Return a connection on which some bytes were sent; the client takes few bytes unread."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(SECONDS)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(sent)
        return connection

    def hold(self, n_connections: int, sent: bytes, more: bytes = b"") -> None:
        """Keep a number of connections open, and send more on each now and then; closed ones are opened again."""
        held: list[socket.socket] = []
        while not self.is_over.wait(0.05):
            with contextlib.suppress(OSError):
                held += [self.connect(sent) for _ in range(n_connections - len(held))]
            held = [connection for connection in held if _is_open(connection, more)]
        for connection in held:
            connection.close()

    def predict(self, number: int) -> int:
        """Return the status of an honest request on a connection of its own; 0 without a response."""
        self.peak_bytes = max(self.peak_bytes, self.rss_bytes)
        try:
            body = {"user_id": number % 60 + 1}
            return httpx.post(f"{self.url}/predict/", json=body, timeout=SECONDS).status_code
        except httpx.TransportError:
            return 0


def _is_open(connection: socket.socket, more: bytes) -> bool:
    """Send more on a connection, and return whether the other side still keeps it."""
    try:
        connection.settimeout(0)
        if more:
            connection.send(more)
            connection.recv(1, socket.MSG_PEEK)
        connection.settimeout(SECONDS)
    except BlockingIOError:
        return True
    except OSError:
        connection.close()
        return False
    else:
        if not more:
            return True
        connection.close()
        return False


@pytest.fixture(params=[None, 128], ids=["files as usual", "128 files"])
def attacked(database_url: str, home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Attacked]:
    """A warm API with EASE in production, with the system's number of file descriptors or with few."""
    fill(database_url)
    promote(database_url, 1, small_artifact(tmp_path / "ease", "ease"))
    [port] = free_ports(1)
    limit = f"ulimit -n {request.param} && " if request.param else ""
    ours = {"CINECLUB_DATABASE_URL": database_url, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(port)}
    command = ["sh", "-c", f'{limit}exec "$0" -m cineclub.processes.api', sys.executable]
    started = Attacked(subprocess.Popen(command, env={**os.environ, **ours}), port)
    try:
        wait_until_alive(started.url)
        for number in range(60):
            assert started.predict(number) == 200
        for _ in range(2):
            assert (
                httpx.post(
                    f"{started.url}/predict/batch",
                    content=BATCH,
                    headers={"Content-Type": "application/json"},
                    timeout=SECONDS,
                ).status_code
                == 200
            )
        started.peak_bytes = 0
        yield started
    finally:
        started.process.terminate()
        started.process.wait(SECONDS)


def slow_heads(attacked: Attacked) -> None:
    """Send heads byte by byte on 300 connections."""
    attacked.hold(300, GET, b"x")


def half_requests(attacked: Attacked) -> None:
    """Send half a body on 200 connections."""
    attacked.hold(200, POST % len(BATCH) + BATCH[:100])


def endless_headers(attacked: Attacked) -> None:
    """Send 300 MB of headers, on one connection as far as it takes them."""
    n_sent = 0
    while n_sent < 300_000_000 and not attacked.is_over.is_set():
        with contextlib.suppress(OSError), attacked.connect(GET) as connection:
            while n_sent < 300_000_000:
                n_sent += connection.send(b"X-Long: " + b"x" * 1_000_000 + b"\r\n")
            attacked.is_over.wait(SECONDS)


def unread_responses(attacked: Attacked) -> None:
    """Ask on 20 connections for the lists of 1,000 users, and read nothing."""
    attacked.hold(20, POST % len(BATCH) + BATCH)


def half_open(attacked: Attacked) -> None:
    """Open 300 connections and send nothing."""
    attacked.hold(300, b"")


@pytest.mark.parametrize(
    "attack",
    [slow_heads, half_requests, endless_headers, unread_responses, half_open],
    ids=lambda attack: attack.__name__,
)
def test_honest_requests_are_answered(
    attacked: Attacked, attack: Callable[[Attacked], None], repetitions: Repetitions
) -> None:
    """During each attack every honest request is answered by 200, and memory grows by 20 MB at most."""
    before = attacked.rss_bytes
    n_requests = repetitions.of(HONEST_REQUESTS, least=25)
    with ThreadPoolExecutor(1) as pool:
        attacking = pool.submit(attack, attacked)
        try:
            time.sleep(1.0)
            statuses = [(time.sleep(0.05), attacked.predict(number))[1] for number in range(n_requests)]
        finally:
            attacked.is_over.set()
        attacking.result(SECONDS)
    grown = (attacked.peak_bytes - before) / 1e6
    answered = statuses.count(200)
    print(f"\n{attack.__name__}: {answered} of {n_requests} honest requests answered, memory +{grown:.1f} MB")
    assert answered == n_requests
    assert grown <= MOST_MB

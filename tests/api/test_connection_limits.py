"""Connections of a real API process: sizes of heads, times of heads, bodies and responses, numbers of connections."""

import contextlib
import dataclasses
import json
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from api_processes import free_ports, start_api, wait_until_alive
from pydantic import ValidationError

from cineclub.processes.connection_limits import ConnectionLimits
from cineclub.processes.limited_connection import OpenConnections
from cineclub.settings import Settings
from waiting import eventually

GET = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = b"POST /predict/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
QUICK = {
    "CINECLUB_HEAD_SECONDS": "1",
    "CINECLUB_BODY_SECONDS": "1",
    "CINECLUB_UNREAD_SECONDS": "1",
    "CINECLUB_MAX_CONNECTIONS": "20",
}
MANY_SECONDS = 30.0
"""More than any of the times above, also on a slow machine."""


@dataclass(frozen=True)
class Running:
    """A real API process with its port."""

    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def rss_bytes(self) -> int:
        """Its resident memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def n_files(self) -> int:
        """The number of its file descriptors."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def processor_seconds(self) -> float:
        """The processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connect(self, sent: bytes = b"") -> socket.socket:
        """Return a connection on which some bytes were sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=MANY_SECONDS)
        connection.sendall(sent)
        return connection

    def is_alive(self) -> bool:
        """Return whether it answers a new connection."""
        return httpx.get(f"{self.url}/health", timeout=MANY_SECONDS).status_code == 200


@pytest.fixture(scope="module")
def service(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An API with short times and few connections."""
    [port] = free_ports(1)
    started = Running(start_api(server_url, tmp_path_factory.mktemp("home"), port, **QUICK), port)
    try:
        wait_until_alive(started.url)
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def response_on(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON of the response that ends a connection; 0 if it ends without one."""
    received = b""
    with connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while part := connection.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    if not head:
        return 0, {}
    return int(head.split()[1]), json.loads(body)


def drip(connection: socket.socket) -> None:
    """Send a byte now and then until the other side ends the connection."""
    deadline = time.monotonic() + MANY_SECONDS
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            connection.sendall(b"x")
            time.sleep(0.05)
            connection.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                connection.recv(1, socket.MSG_PEEK)
                connection.settimeout(MANY_SECONDS)
                return
            connection.settimeout(MANY_SECONDS)


@pytest.mark.parametrize(
    "more",
    [b"X: " + b"x" * 300_000, b"X: x\r\n" * 120 + b"\r\n", b"X: x\r\n" * 60_000, b"X" * 300_000],
    ids=["long_value", "many_headers", "many_headers_without_end", "long_name"],
)
def test_a_large_head_is_refused(service: Running, more: bytes) -> None:
    """A head of too many bytes or headers is 431, whether it ends or not; the response says what is allowed."""
    status, body = response_on(service.connect(GET + more))
    assert (status, body["error"]["code"]) == (431, "head_too_large")
    assert "100 headers and 65536 bytes" in body["error"]["message"]
    assert service.is_alive()


def test_a_long_address_is_a_large_head(service: Running) -> None:
    """The request line counts too."""
    status, _ = response_on(service.connect(b"GET /" + b"x" * 300_000))
    assert status == 431


def test_endless_headers_take_no_memory(service: Running) -> None:
    """40 MB of headers on one connection leave the process as large as before."""
    before = service.rss_bytes
    with service.connect(GET) as connection, contextlib.suppress(ConnectionError):
        for _ in range(40):
            connection.sendall(b"X: " + b"x" * 1_000_000 + b"\r\n")
    assert service.rss_bytes - before < 15_000_000


def test_trailers_and_chunk_extensions_are_bounded(service: Running) -> None:
    """What comes with a body in chunks and is no body may not grow, and becomes no header of the request."""
    for framing in (b"0\r\nX: " + b"x" * 400_000, b"1;" + b"x" * 400_000):
        status, _ = response_on(service.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n" + framing))
        assert status in {0, 400, 422}  # the response to the body itself may be first
        assert service.is_alive()


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", 0), (GET, 408), (POST + b"Content-Length: 100\r\n\r\n{", 408)],
    ids=["nothing", "half a head", "half a body"],
)
@pytest.mark.parametrize("drips", [False, True])
def test_a_request_that_does_not_end_is_ended(service: Running, sent: bytes, status: int, *, drips: bool) -> None:
    """A request has its time in all, not for each byte; a part of one gets 408."""
    connection = service.connect(sent)
    if drips and sent:
        drip(connection)
    received, body = response_on(connection)
    assert received == status
    assert not status or body["error"]["code"] == "request_timeout"


def test_half_requests_do_not_keep_others_out(service: Running) -> None:
    """With more half requests than connections the newest ones are served, and the oldest give way."""
    with contextlib.ExitStack() as held:
        waiting = [held.enter_context(service.connect(GET)) for _ in range(60)]
        for _ in range(10):
            waiting += [held.enter_context(service.connect(GET)) for _ in range(10)]
            assert service.is_alive()
    assert service.is_alive()


def test_connections_at_work_are_never_spared(service: Running) -> None:
    """Idle connections give way to new ones; each request on an open connection is answered."""
    with httpx.Client(base_url=service.url, timeout=MANY_SECONDS) as client, contextlib.ExitStack() as held:
        for _ in range(30):
            held.enter_context(service.connect())
            assert client.get("/health").status_code == 200


def test_pipelined_requests_are_answered_in_order_and_bounded(service: Running) -> None:
    """A few requests sent at once are answered; thousands end the connection."""
    with service.connect((GET + b"\r\n") * 10 + GET + b"Connection: close\r\n\r\n") as connection:
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200 ") == 11
    with service.connect((GET + b"\r\n") * 5000) as connection, contextlib.suppress(ConnectionError):
        received = b"".join(iter(lambda: connection.recv(65536), b""))
        assert received.count(b"HTTP/1.1 200 ") < 100
    assert service.is_alive()


def test_an_unread_response_ends(service: Running) -> None:
    """A client that takes nothing of its responses is disconnected, whatever it does with the connection."""
    n_files = service.n_files
    connections = []
    for more in (b"", b"Connection: close\r\n"):
        unread = socket.socket()
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        unread.connect(("127.0.0.1", service.port))
        unread.sendall((b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n" + more + b"\r\n") * (1 if more else 10))
        connections.append(unread)
    eventually(lambda: service.n_files <= n_files)
    for unread in connections:
        unread.close()


def test_another_protocol_is_not_taken_up(service: Running) -> None:
    """A request to upgrade is answered as any other, and ends the connection."""
    upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
    assert response_on(service.connect(GET + upgrade)) == (200, {"status": "alive"})


def test_no_request_at_all_is_refused_as_json(service: Running) -> None:
    """Bytes that are no HTTP get 400 with the usual body."""
    status, body = response_on(service.connect(b"\x16\x03\x01 TLS?\r\n\r\n"))
    assert (status, body["error"]["code"]) == (400, "bad_request")


def test_without_file_descriptors_connections_wait(service: Running) -> None:
    """A process that may open no more files neither ends nor takes the processor, and accepts when it may again."""
    pid = service.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (service.n_files, usual[1]))
    try:
        with service.connect(GET + b"\r\n") as connection:
            before = service.processor_seconds
            time.sleep(1)
            assert service.processor_seconds - before < 0.5
            resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)


class Held:
    """A connection that ``OpenConnections`` holds; it is closed at once."""

    def __init__(self, address: str | None, spare_rank: int | None, began_at: float) -> None:
        """Begin in a phase."""
        self.address, self.spare_rank, self.phase_began_at = address, spare_rank, began_at
        self.deadline = float("inf")
        self.is_closed = False

    def abort(self) -> None:
        """Close it."""
        self.is_closed = True


@pytest.mark.anyio
async def test_an_address_has_its_share() -> None:
    """At its limit an address gives up its own oldest connection, and without one that can be spared it gets no more.

    Where all have no room, the address with the most connections gives up one; those at work never do.
    """
    limits = dataclasses.replace(ConnectionLimits.of(Settings()), n_connections=8, n_per_address=3)
    held = OpenConnections(limits)
    near, far = [Held(None, 1, at) for at in range(2)], [Held("192.0.2.8", rank, rank or 9) for rank in (4, 1, None)]
    assert all(held.add(cast("Any", connection)) for connection in near + far)
    assert held.add(cast("Any", Held("192.0.2.8", None, 10)))
    assert [connection.is_closed for connection in far] == [False, True, False]
    held.remove(cast("Any", far[1]))
    far[0].spare_rank = None
    assert not held.add(cast("Any", Held("192.0.2.8", 1, 11)))
    assert not held.is_full
    assert held.add(cast("Any", Held("192.0.2.9", 1, 0)))
    held.n_accepting = 1
    assert held.is_full
    assert held.spare()
    assert not any(connection.is_closed for connection in near)


def test_addresses_are_counted_by_those_who_hold_them() -> None:
    """This machine and the proxies have no limit; IPv6 addresses count by their first 64 bits."""
    limits = ConnectionLimits.of(Settings(proxy_addresses="10.1.0.0/16, 192.0.2.7"))
    groups = {address: limits.group_of(address) for address in ("127.0.0.1", "::1", "10.1.2.3", "192.0.2.7")}
    assert set(groups.values()) == {None}
    assert limits.group_of("192.0.2.8") == limits.group_of("::ffff:192.0.2.8") == "192.0.2.8"
    assert limits.group_of("2001:db8::1") == limits.group_of("2001:db8::2") != limits.group_of("2001:db8:0:1::1")
    with pytest.raises(ValidationError, match="'the proxy' does not appear to be an IPv4 or IPv6 network"):
        Settings(proxy_addresses="the proxy")

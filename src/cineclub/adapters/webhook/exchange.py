"""One HTTP request that ends within a total time, however slowly the other side sends."""

import contextlib
import socket
import threading
import time
import urllib.request
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from types import TracebackType
from typing import Any, Self, TypeVar

Connection = TypeVar("Connection", bound="_CutConnection")


class Deadline:
    """Cuts the connections of a request when its time is over; a context manager."""

    def __init__(self, seconds: float) -> None:
        """Begin the time."""
        self._until = time.monotonic() + seconds
        self._cuts: list[tuple[threading.Timer, socket.socket]] = []
        self._is_over = threading.Event()

    def __enter__(self) -> Self:
        """Return the deadline."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop to wait for the end of the time."""
        for timer, twin in self._cuts:
            timer.cancel()
            timer.join()
            twin.close()

    def cut_at_end(self, connection: socket.socket) -> None:
        """Cut a connection at the end of the time, also while TLS is negotiated over it."""
        twin = connection.dup()
        timer = threading.Timer(max(0.0, self._until - time.monotonic()), self._cut, (twin,))
        timer.daemon = True
        self._cuts.append((timer, twin))
        timer.start()

    def check(self) -> None:
        """Raise TimeoutError if a connection was cut: the head of a response may look whole without its end."""
        if self._is_over.is_set():
            raise TimeoutError

    def _cut(self, connection: socket.socket) -> None:
        """End a connection in both directions, which wakes whoever reads from it."""
        self._is_over.set()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class _CutConnection(HTTPConnection):
    """A connection that its deadline cuts."""

    deadline: Deadline

    def connect(self) -> None:
        """Connect, and let the time end the connection."""
        super().connect()
        self.deadline.cut_at_end(self.sock)


class _CutTlsConnection(HTTPSConnection, _CutConnection):
    """The same with TLS, which is negotiated after the connection has its end."""


class _CutHandler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens addresses over connections that a deadline cuts."""

    def __init__(self, deadline: Deadline) -> None:
        """Use this deadline."""
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        """Open an address with http."""
        return self.do_open(self._connections(_CutConnection), req)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        """Open an address with https."""
        return self.do_open(self._connections(_CutTlsConnection), req)

    def _connections(self, kind: type[Connection]) -> Any:
        """Return the maker of connections that urllib calls."""

        def connection(host: str, **options: Any) -> Connection:
            made = kind(host, **options)
            made.deadline = self._deadline
            return made

        return connection


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: that would fetch the other page without the message, and count as delivered."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request, so that the status of the redirect is the result."""


def send_within(request: urllib.request.Request, seconds_per_read: float, total_seconds: float) -> None:
    """Send a request, and read the head of the response within a total time.

    Raises:
        HTTPError: the status is not of success; redirects are not followed.
        OSError: the address is not reachable, or the time is over.
        HTTPException: the response is no HTTP, or the time is over.
    """
    with Deadline(total_seconds) as deadline:
        opener = urllib.request.build_opener(_NoRedirect, _CutHandler(deadline))
        with opener.open(request, timeout=seconds_per_read):
            deadline.check()

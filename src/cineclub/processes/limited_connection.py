"""HTTP connections: uvicorn's protocol, with limits of sizes and of times that a client cannot stretch."""

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from cineclub.api.errors import error_bytes
from cineclub.api.security_middleware import HEADERS
from cineclub.processes.connection_limits import ConnectionLimits

SWEEP_SECONDS = 0.5
MAX_PIPELINED = 16
LEAST_PROGRESS_BYTES = 48 * 1024
"""A client must take so much of a response, or all of it, in the time for it."""
LINGER_SECONDS = 2.0
"""After a refusal: a client that is still sending would otherwise lose the response with the connection."""
FRAMING_PER_BYTE = 6
"""A body in chunks of one byte each comes with five bytes for each."""
NEVER = float("inf")

Refusal = tuple[int, str, str]
"""Status, code and message."""
NO_HTTP: Refusal = (400, "bad_request", "this is no valid HTTP/1.1 request")
TOO_MANY_PIPELINED: Refusal = (400, "bad_request", f"at most {MAX_PIPELINED} requests may wait on one connection")
TOO_MANY_CONNECTIONS: Refusal = (
    503,
    "too_many_connections",
    "this address has too many connections: close some, or see CINECLUB_MAX_CONNECTIONS_PER_ADDRESS",
)


class OpenConnections:
    """The open connections of one process.

    Expired ones are ended twice a second. Where there is no room for another one, the connection that can be spared
    best is closed: one that waits for the head of a request, then an idle one, an unread response, an unfinished body;
    among these one of the address with the most connections, and the oldest. A connection whose request is being
    answered is never closed.
    """

    def __init__(self, limits: ConnectionLimits, on_room: Callable[[], None] = lambda: None) -> None:
        """Take the limits, and a function that is called when a connection has ended."""
        self.limits = limits
        self.n_accepting = 0
        self.on_room = on_room
        self._all: set[LimitedConnection] = set()
        self._by_address: Counter[str | None] = Counter()
        self._sweep: asyncio.TimerHandle | None = None

    def add(self, connection: "LimitedConnection") -> bool:
        """Add a connection; return False if its address has too many already, none of which can be spared."""
        address = connection.address
        is_one_too_many = address is not None and self._by_address[address] >= self.limits.n_per_address
        is_allowed = not is_one_too_many or self.spare(address)
        self._all.add(connection)
        self._by_address[address] += 1
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._end_expired)
        return is_allowed

    def remove(self, connection: "LimitedConnection") -> None:
        """Forget a connection that has ended."""
        if connection in self._all:
            self._all.discard(connection)
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]
        self.on_room()

    @property
    def is_full(self) -> bool:
        """No other connection may be accepted now."""
        return len(self._all) + self.n_accepting >= self.limits.n_connections

    def spare(self, address: str | None = None) -> bool:
        """Close the connection that can be spared best, of this address if one is given; False if there is none."""
        spared = [
            (rank, -self._by_address[connection.address], connection.phase_began_at, id(connection), connection)
            for connection in self._all
            if (rank := connection.spare_rank) is not None and address in {None, connection.address}
        ]
        if not spared:
            return False
        min(spared)[-1].abort()
        return True

    def _end_expired(self) -> None:
        """End the connections whose time is over, and come again while there are others."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [connection for connection in self._all if connection.deadline <= now]:
            connection.expire()
        self._sweep = loop.call_later(SWEEP_SECONDS, self._end_expired) if self._all else None


class Phase(IntEnum):
    """What a connection does; a lower phase can be spared better."""

    CLOSING = 0
    HEAD = 1
    IDLE = 2
    UNREAD = 3
    BODY = 4
    RESPONDING = 5


class LimitedConnection(HttpToolsProtocol):
    """A connection whose every phase but the work on a response ends by itself."""

    def __init__(self, open_connections: OpenConnections, **more: Any) -> None:
        """Take the connections of this process, and the arguments of uvicorn's protocol."""
        super().__init__(**more)
        self._open = open_connections
        self._limits = open_connections.limits
        self._refusal = NO_HTTP
        self._n_bytes = self._n_body_bytes = self._n_unread = 0
        self._unread_deadline = NEVER
        self._phase_deadline = NEVER
        self._phase = Phase.HEAD
        self._is_upgraded = False
        self.address: str | None = None
        self.phase_began_at = 0.0

    @property
    def deadline(self) -> float:
        """The time of the loop at which it expires."""
        return min(self._phase_deadline, self._unread_deadline)

    @property
    def spare_rank(self) -> int | None:
        """The order in which connections are closed for others; None while a request is being answered."""
        if self._unread_deadline != NEVER:
            return Phase.UNREAD
        is_next_head = self._phase is Phase.HEAD and self._is_busy()
        return None if self._phase is Phase.RESPONDING or is_next_head else self._phase

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head, or refuse the connection."""
        super().connection_made(transport)
        self.address = self._limits.group_of(self.client[0]) if self.client else None
        self._begin(Phase.HEAD, self._limits.head_seconds)
        if not self._open.add(self):
            self._refuse(TOO_MANY_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another connection."""
        super().connection_lost(exc)
        self._phase_deadline = self._unread_deadline = NEVER
        self._open.remove(self)

    def data_received(self, data: bytes) -> None:
        """Parse the next bytes; refuse a head or the framing of a body that is too large."""
        if self._phase is Phase.CLOSING or self._is_upgraded:
            return
        if self._phase is Phase.IDLE:
            self._begin(Phase.HEAD, self._limits.head_seconds)
        self._unset_keepalive_if_required()
        self._n_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # answered without the other protocol, and then closed
            self._is_upgraded, self.cycle.keep_alive = True, False
        except httptools.HttpParserError:
            self._refuse(self._refusal)
        else:
            if self._n_bytes > self._limits.head_bytes:
                self._check_sizes()

    def on_message_begin(self) -> None:
        """Begin a head; a client may not queue many requests before it takes responses."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refusal = TOO_MANY_PIPELINED
            raise ValueError
        if self._phase is not Phase.HEAD:
            self._begin(Phase.HEAD, self._limits.head_seconds)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin a body, and the work on the request."""
        limits = self._limits
        is_measured = self._n_bytes > limits.head_bytes  # it arrived with more bytes, such as those of the body
        if len(self.headers) > limits.n_headers or (is_measured and self._is_head_too_large()):
            self._refusal = self._head_too_large()
            raise ValueError
        self._begin(Phase.BODY, limits.body_seconds)
        super().on_headers_complete()
        self.headers = []  # what follows the body must not become headers of the request

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body."""
        self._n_body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body: the connection has time until the response is ready, or is idle if it has been sent."""
        super().on_message_complete()
        if self.cycle.response_complete:
            self._begin(Phase.IDLE, self.timeout_keep_alive)
        else:
            self._begin(Phase.RESPONDING, NEVER)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the client to take what is left."""
        was_last = not self.pipeline
        super().on_response_complete()
        if self.transport.is_closing():
            self._begin(Phase.CLOSING, NEVER)
            self._await_reading()
        elif was_last and self._phase is Phase.RESPONDING:
            self._begin(Phase.IDLE, self.timeout_keep_alive)

    def pause_writing(self) -> None:
        """Begin the time in which the client must take a part of the response."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """Go on with the response."""
        super().resume_writing()
        self._unread_deadline = NEVER
        if self._phase is Phase.CLOSING:
            self._await_reading()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection when the client has taken the rest of the last response."""
        self._begin(Phase.CLOSING, NEVER)
        self._await_reading()
        super().timeout_keep_alive_handler()

    def expire(self) -> None:
        """End the connection: a part of a request is answered by 408."""
        if self._unread_deadline <= self.loop.time():
            self._end_if_nothing_was_read()
        elif self._phase is Phase.IDLE:
            self.timeout_keep_alive_handler()
        elif self._phase is Phase.BODY:
            self._refuse(_too_slow("body", self._limits.body_seconds))
        elif self._phase is Phase.HEAD and self._n_bytes:
            self._refuse(_too_slow("head", self._limits.head_seconds))
        else:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._begin(Phase.CLOSING, NEVER)
        self._unread_deadline = NEVER
        self.transport.abort()

    def _begin(self, phase: Phase, seconds: float) -> None:
        """Begin a phase that ends by itself after a time."""
        self._phase, self.phase_began_at = phase, self.loop.time()
        self._phase_deadline = self.phase_began_at + seconds
        if phase is Phase.HEAD or phase is Phase.CLOSING:
            self._n_bytes = self._n_body_bytes = 0

    def _is_busy(self) -> bool:
        """Return whether the response to a request is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def _await_reading(self) -> None:
        """Begin a time in which the client must take a part of what was written."""
        self._n_unread = self.transport.get_write_buffer_size()
        self._unread_deadline = self.loop.time() + self._limits.unread_seconds

    def _end_if_nothing_was_read(self) -> None:
        """End the connection unless the client has taken enough of the response since the last time."""
        n_read = self._n_unread - self.transport.get_write_buffer_size()
        if n_read >= LEAST_PROGRESS_BYTES:
            self._await_reading()
        else:
            self.abort()

    def _check_sizes(self) -> None:
        """Refuse a head that is not complete yet and too large, and a body of mostly something else."""
        if self._phase is Phase.HEAD and self._n_bytes > self._limits.head_bytes:
            self._refuse(self._head_too_large())
        framing = self._n_bytes - self._n_body_bytes
        if self._phase is Phase.BODY and framing > 2 * self._limits.head_bytes + FRAMING_PER_BYTE * self._n_body_bytes:
            self._refuse(NO_HTTP)

    def _is_head_too_large(self) -> bool:
        """Return whether a complete head is too large."""
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self._limits.head_bytes

    def _head_too_large(self) -> Refusal:
        """Return the refusal of a large head."""
        most = f"{self._limits.n_headers} headers and {self._limits.head_bytes} bytes"
        return 431, "head_too_large", f"the head of a request may have {most} (CINECLUB_MAX_HEAD_BYTES)"

    def _refuse(self, refusal: Refusal) -> None:
        """Respond with an error and close; without a response if that would be taken for another request's."""
        cycle, is_own = self.cycle, self._phase is Phase.BODY
        is_busy = self._is_busy()
        if is_busy and (not is_own or cycle.response_started or self.pipeline):
            self.abort()
            return
        if is_busy:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(_response(refusal))
        self._begin(Phase.CLOSING, LINGER_SECONDS)
        if self.transport.can_write_eof():
            self.transport.write_eof()


def _too_slow(part: str, seconds: float) -> Refusal:
    """Return the refusal of a request that takes too long to arrive."""
    return 408, "request_timeout", f"the {part} of the request took more than {seconds:g} seconds"


def _response(refusal: Refusal) -> bytes:
    """Return a whole response with an error."""
    status, code, message = refusal
    body = error_bytes(code, message)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *HEADERS,
    ]
    return b"".join([STATUS_LINE[status], *(b"%s: %s\r\n" % header for header in headers), b"\r\n", body])

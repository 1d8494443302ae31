"""uvicorn's server, which accepts connections one by one and only while there is room for them."""

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from cineclub.processes.connection_limits import ConnectionLimits
from cineclub.processes.limited_connection import LimitedConnection, OpenConnections
from cineclub.settings import Settings

log = logging.getLogger(__name__)

BACKLOG = 2048
UNUSED_FAMILY = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
RETRY_SECONDS = 0.05
BEAT_SECONDS = 0.25
SECONDS_BETWEEN_WARNINGS = 60.0


@contextlib.contextmanager
def listening_sockets(settings: Settings) -> Iterator[list[socket.socket]]:
    """Give a socket for each address of the host; connections wait in them while no process accepts.

    Exits with a message if an address cannot be used.
    """
    with contextlib.ExitStack() as opened:
        try:
            sockets = [opened.enter_context(listening) for listening in _bound(settings.host, settings.port)]
        except OSError as error:
            sys.exit(f"error: cannot listen on {settings.host}:{settings.port} ({error.strerror or error})")
        yield sockets


def _bound(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of a host, such as both of localhost.

    An address of a family that the machine does not use is left out if there is another.

    Raises:
        OSError: the host has no address here, or one is in use.
    """
    sockets, unused = [], None
    resolved = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, address in dict.fromkeys((family, address) for family, _, _, _, address in resolved):
        try:
            sockets.append(socket.create_server(address, family=family, backlog=BACKLOG))
        except OSError as error:
            if error.errno not in UNUSED_FAMILY:
                raise
            unused = error
    if not sockets and unused is not None:
        raise unused
    return sockets


class Acceptor:
    """Accepts the connections of one socket; those that find no room wait in its backlog.

    uvloop and asyncio accept all that wait, and without free file descriptors close them or stop for a second.
    """

    def __init__(
        self,
        listening: socket.socket,
        make_connection: Callable[[], asyncio.Protocol],
        open_connections: OpenConnections,
    ) -> None:
        """Begin to accept; ``make_connection`` returns the protocol of an accepted connection."""
        self._listening = listening
        self._make_connection = make_connection
        self._open = open_connections
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._next_warning_at = 0.0
        listening.settimeout(0)
        self._loop.add_reader(listening.fileno(), self._accept)

    def resume(self) -> None:
        """Accept again, at once, after a pause without room."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
            if not self._is_closed:
                self._loop.add_reader(self._listening.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more connections."""
        if not self._is_closed and self._retry is None:
            self._loop.remove_reader(self._listening.fileno())
        self._is_closed = True

    async def wait_closed(self) -> None:
        """Return: nothing is left to wait for."""

    def _accept(self) -> None:
        """Accept one connection, after one that can be spared has been closed where there is no room."""
        if self._open.is_full:
            self._open.spare()
            self._await_room()
            return
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was first, or the client has gone
        except OSError as error:
            self._warn("connection_not_accepted error=%s", error)
            self._open.spare()  # it may be the last file descriptor
            self._await_room()
            return
        self._open.n_accepting += 1
        task = self._loop.create_task(self._serve(accepted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        """Hand an accepted connection to its protocol."""
        try:
            accepted.settimeout(0)
            await self._loop.connect_accepted_socket(self._make_connection, accepted)
        except OSError as error:  # the client has gone
            accepted.close()
            log.debug("connection_failed error=%s", error)
        finally:
            self._open.n_accepting -= 1

    def _await_room(self) -> None:
        """Let connections wait until one has ended, or for a moment: one at work may have become idle."""
        self._loop.remove_reader(self._listening.fileno())
        self._retry = self._loop.call_later(RETRY_SECONDS, self.resume)

    def _warn(self, message: str, error: OSError) -> None:
        """Log a warning, at most one a minute."""
        if self._loop.time() >= self._next_warning_at:
            self._next_warning_at = self._loop.time() + SECONDS_BETWEEN_WARNINGS
            log.warning(message, error)


class LimitedServer(uvicorn.Server):
    """uvicorn's server with connections within limits."""

    def __init__(
        self, config: uvicorn.Config, limits: ConnectionLimits, beat: Callable[[], None] = lambda: None
    ) -> None:
        """Take the configuration and the limits, and a function to call while the event loop works."""
        super().__init__(config)
        self._limits = limits
        self._beat = beat

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal asks to stop, and show that the event loop works."""
        beating = asyncio.create_task(self._beat_while_serving())
        try:
            await super().serve(sockets)
        finally:
            beating.cancel()

    async def _beat_while_serving(self) -> None:
        """Beat until it is cancelled."""
        while True:
            self._beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and accept connections."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        open_connections = OpenConnections(self._limits)
        loop = asyncio.get_running_loop()

        def make_connection() -> LimitedConnection:
            return LimitedConnection(
                open_connections,
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                _loop=loop,
            )

        acceptors = [Acceptor(listening, make_connection, open_connections) for listening in sockets or []]
        open_connections.on_room = lambda: _resume(acceptors)
        self.servers = acceptors  # type: ignore[assignment] # close and wait_closed are all that is called
        self.started = True


def _resume(acceptors: Sequence[Acceptor]) -> None:
    """Let every acceptor go on that waits for room."""
    for acceptor in acceptors:
        acceptor.resume()

"""The outermost middleware: it measures every request, and responds to unexpected errors."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cineclub.api.errors import error_bytes

log = logging.getLogger(__name__)

UNMATCHED = "unmatched"
FAILED, UNAVAILABLE = 500, 503
ObserveRequest = Callable[[str, str, int, float], None]
"""Counts a request: method, route template, status, seconds."""


class ErrorBoundary:
    """Responds to an unexpected error with an error id, and logs the cause.

    With ``observe`` it also counts and times every request under its route template, failed ones too. One layer does
    both, because every layer costs time in each request.
    """

    def __init__(
        self, app: ASGIApp, headers: Sequence[tuple[bytes, bytes]] = (), observe: ObserveRequest = lambda *_: None
    ) -> None:
        """Wrap the application; ``headers`` are added to error responses if no outer layer adds them."""
        self._app = app
        self._headers = headers
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, catch its error, and measure it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = perf_counter(), 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if not status:  # only the first message has it
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except asyncio.CancelledError:  # the server is stopping, and the grace period is over
            if status:
                raise
            body = error_bytes("stopping", "the service stopped before it could respond: send the request again")
            await _send(send_and_note, UNAVAILABLE, body, self._headers)
        except Exception:
            error_id = secrets.token_hex(8)
            log.exception("unexpected_error error_id=%s route=%s", error_id, _route_of(scope))
            if status:
                raise
            message = f"unexpected error: look for {error_id} in the log"
            body = error_bytes("internal_error", message, {"error_id": error_id})
            await _send(send_and_note, FAILED, body, self._headers)
        finally:
            self._observe(scope["method"], _route_of(scope), status or FAILED, perf_counter() - begun)


async def _send(send: Send, status: int, body: bytes, more: Sequence[tuple[bytes, bytes]]) -> None:
    """Send an error response."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _route_of(scope: Scope) -> str:
    """Return the template of the route that matched the request, never the raw path."""
    return str(getattr(scope.get("route"), "path", UNMATCHED))

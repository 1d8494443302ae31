"""What surrounds every request: its measurement, and the last net under it."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cineclub.api.errors import error_bytes
from cineclub.ports import RequestMetrics

log = logging.getLogger(__name__)

UNMATCHED = "unmatched"
FAILED, UNAVAILABLE = 500, 503


class ErrorBoundary:
    """Answers what nobody foresaw with an error id; the cause goes to the log and to nobody else.

    With ``metrics`` it also counts and times every request under its route template, the failed ones too: one layer for
    both, because each costs some of the time of every answer.
    """

    def __init__(
        self, app: ASGIApp, headers: Sequence[tuple[bytes, bytes]] = (), metrics: RequestMetrics | None = None
    ) -> None:
        """Wrap the application; ``headers`` are added to the answer where nothing outside adds them."""
        self._app = app
        self._headers = headers
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, catch what it raises, and measure it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = perf_counter(), 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if not status:  # the first message has it
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except asyncio.CancelledError:  # the server stops, and has waited long enough for this request
            if status:
                raise
            body = error_bytes("stopping", "this service is stopping before it could answer: send the request again")
            await _send(send_and_note, UNAVAILABLE, body, self._headers)
        except Exception:
            error_id = secrets.token_hex(8)
            log.exception("unforeseen_error error_id=%s route=%s", error_id, _route_of(scope))
            if status:
                raise
            await _send_failure(send_and_note, error_id, self._headers)
        finally:
            self._measure(scope, status or FAILED, perf_counter() - begun)

    def _measure(self, scope: Scope, status: int, latency_seconds: float) -> None:
        """Count one request, if requests are counted here."""
        if self._metrics is not None:
            self._metrics.observe_request(scope["method"], _route_of(scope), status, latency_seconds)


async def _send_failure(send: Send, error_id: str, more: Sequence[tuple[bytes, bytes]]) -> None:
    """Send a 500 that names the error's id."""
    message = f"something went wrong that was not foreseen: look for {error_id} in the log"
    await _send(send, FAILED, error_bytes("internal_error", message, {"error_id": error_id}), more)


async def _send(send: Send, status: int, body: bytes, more: Sequence[tuple[bytes, bytes]]) -> None:
    """Send an error."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _route_of(scope: Scope) -> str:
    """Return the template of the route that took the request, never the raw path."""
    return str(getattr(scope.get("route"), "path", UNMATCHED))

"""What no request gets past: a foreign name or page, a body without measure; and what every answer tells browsers."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cineclub.api.errors import error_bytes

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
]
ANY_HOST = "*"
MAX_LENGTH_DIGITS = 18


class Shield:
    """Refuses requests by their head, and stops bodies that grow too long."""

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str], max_body_bytes: int) -> None:
        """Wrap the application; ``allowed_hosts`` are names without ports, or ``*`` for any."""
        self._app = app
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refusal(headers)
        if refused is not None:
            await _answer(send, *refused)
            return
        await self._pass_on(scope, receive, send)

    def _refusal(self, headers: Headers) -> tuple[int, str, str] | None:
        """Return status, code and message for a head that is refused; None for one that is not."""
        host = headers.get("host", "")
        if ANY_HOST not in self._allowed_hosts and _name_of(host) not in self._allowed_hosts:
            return 421, "wrong_host", "this name is not one of this service's: add it to CINECLUB_ALLOWED_HOSTS"
        origin = headers.get("origin")
        own_origins = {f"{scheme}://{host}".lower() for scheme in ("http", "https")}  # a proxy may speak TLS for us
        if origin is not None and origin.lower() not in own_origins:
            return 403, "foreign_page", "pages of other sites may not use this service through a visitor's browser"
        length = headers.get("content-length", "0")
        is_number = (
            length.isdecimal() and len(length) <= MAX_LENGTH_DIGITS
        )  # Python refuses to read thousands of digits
        if not is_number or int(length) > self._max_body_bytes:
            return self._too_large()
        return None

    def _too_large(self) -> tuple[int, str, str]:
        """Return the answer to a body that is too long."""
        return 413, "too_large", f"the body may have {self._max_body_bytes} bytes at most (CINECLUB_MAX_BODY_BYTES)"

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, counting what it reads."""
        n_bytes, is_too_large = 0, False

        async def receive_counted() -> Message:
            nonlocal n_bytes, is_too_large
            message = await receive()
            n_bytes += len(message.get("body", b""))
            is_too_large = n_bytes > self._max_body_bytes
            return {"type": "http.disconnect"} if is_too_large else message

        async def send_guarded(message: Message) -> None:
            if is_too_large:
                return  # whatever the application makes of the half, the answer is ours
            if message["type"] == "http.response.start":
                message["headers"] = _with_ours(list(message.get("headers", [])))
            await send(message)

        await self._app(scope, receive_counted, send_guarded)
        if is_too_large:
            await _answer(send, *self._too_large())


async def _answer(send: Send, status: int, code: str, message: str) -> None:
    """Send an error."""
    body = error_bytes(code, message)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_ours(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with ours, but for those in which it says something itself, as the page does."""
    said = {name for name, _ in headers}
    return headers + [one for one in HEADERS if one[0] not in said]


def _name_of(host: str) -> str:
    """Return a host without its port, in small letters."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()

"""Checks of Host, Origin and body size before the application, and the security headers of every response."""

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
OTHER_SITES = {"cross-site", "same-site"}
LINKED_PAGES = {"/", "/docs", "/openapi.json", "/health", "/ready"}
"""Addresses that a link on another site may open: those that need no key. All others may store or compute something."""
FOREIGN_PAGE = (
    "pages of other sites may not use this service through a visitor's browser; to open this address, type it or "
    "start from the page at /"
)
MAX_LENGTH_DIGITS = 18


class SecurityMiddleware:
    """Rejects requests by their headers, and bodies above the maximal size."""

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str], max_body_bytes: int) -> None:
        """Wrap the application; ``allowed_hosts`` are names without ports, or ``*`` for any."""
        self._app = app
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or reject it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (rejection := self._rejection(Headers(scope=scope), scope["path"])) is not None:
            await _send_error(send, *rejection)
            return
        await self._pass_on(scope, receive, send)

    def _rejection(self, headers: Headers, path: str) -> tuple[int, str, str] | None:
        """Return status, code and message for rejected headers; None for accepted ones."""
        host = headers.get("host", "")
        if ANY_HOST not in self._allowed_hosts and _name_of(host) not in self._allowed_hosts:
            return 421, "wrong_host", "this host name is not allowed: add it to CINECLUB_ALLOWED_HOSTS"
        origin = headers.get("origin")
        own_origins = {f"{scheme}://{host}".lower() for scheme in ("http", "https")}  # a proxy may terminate TLS
        if (origin is not None and origin.lower() not in own_origins) or _is_of_foreign_page(headers, path):
            return 403, "foreign_page", FOREIGN_PAGE
        length = headers.get("content-length", "0")
        is_number = length.isdecimal() and len(length) <= MAX_LENGTH_DIGITS  # int() refuses thousands of digits
        if not is_number or int(length) > self._max_body_bytes:
            return self._too_large()
        return None

    def _too_large(self) -> tuple[int, str, str]:
        """Return status, code and message for a body that is too large."""
        return 413, "too_large", f"the body may have {self._max_body_bytes} bytes at most (CINECLUB_MAX_BODY_BYTES)"

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count the bytes of its body."""
        n_bytes, is_too_large = 0, False

        async def receive_counted() -> Message:
            nonlocal n_bytes, is_too_large
            message = await receive()
            n_bytes += len(message.get("body", b""))
            is_too_large = n_bytes > self._max_body_bytes
            return {"type": "http.disconnect"} if is_too_large else message

        async def send_guarded(message: Message) -> None:
            if is_too_large:
                return  # the response to a truncated body is replaced
            if message["type"] == "http.response.start":
                message["headers"] = _with_security_headers(list(message.get("headers", [])))
            await send(message)

        await self._app(scope, receive_counted, send_guarded)
        if is_too_large:
            await _send_error(send, *self._too_large())


async def _send_error(send: Send, status: int, code: str, message: str) -> None:
    """Send an error response."""
    body = error_bytes(code, message)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_security_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a response with ours, except those that the response sets itself."""
    own_names = {name for name, _ in headers}
    return headers + [(name, value) for name, value in HEADERS if name not in own_names]


def _is_of_foreign_page(headers: Headers, path: str) -> bool:
    """Return whether a browser says that a page of another origin made it request this, other than by a link to a page.

    An image or a script needs no Origin. Another port of the same host is another origin, but the same site.
    """
    if headers.get("sec-fetch-site", "") not in OTHER_SITES:
        return False
    is_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (is_link and path in LINKED_PAGES)


def _name_of(host: str) -> str:
    """Return a host in lower case without its port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()

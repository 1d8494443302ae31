"""A server with the page's files and canned responses in place of the API."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from cineclub.api.routes.dashboard import ASSETS, INDEX, POLICY

CannedResponses = Mapping[str, tuple[int, Any]]


@contextlib.contextmanager
def canned(responses: CannedResponses, posted: list[Any] | None = None) -> Iterator[str]:
    """Yield the address of a server that returns a status and JSON for each path, and 404 for others.

    The bodies of POST requests are appended to ``posted``.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(responses, [] if posted is None else posted))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler_of(responses: CannedResponses, posted: list[Any]) -> type[BaseHTTPRequestHandler]:
    """Return the request handler."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            name = INDEX if path == "/" else path.removeprefix("/assets/")
            if name in ASSETS:
                self._send(HTTPStatus.OK, ASSETS[name].media_type, ASSETS[name].content)
                return
            self._respond(path)

        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._respond(urlsplit(self.path).path)

        def _respond(self, path: str) -> None:
            missing = (HTTPStatus.NOT_FOUND, {"error": {"code": "no_such_page", "message": "there is nothing here"}})
            status, document = responses.get(path, missing)
            self._send(status, "application/json", json.dumps(document).encode())

        def _send(self, status: int, media_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Stay silent."""

    return Handler

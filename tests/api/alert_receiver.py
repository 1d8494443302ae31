"""A real HTTP server that receives alerts, or refuses some first."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """The address of the server, the received messages, and the statuses of the first responses."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)


@contextlib.contextmanager
def alert_receiver(*statuses: int) -> Iterator[Receiver]:
    """Run the server; the first requests get these statuses, the others 200."""
    receiver = Receiver(statuses=list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status := receiver.statuses.pop(0) if receiver.statuses else 200)
            if status // 100 == 3:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hooks/opensesame"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)

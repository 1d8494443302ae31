"""A PostgreSQL server that one test stops and starts."""

import contextlib
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from cineclub.adapters.postgres.embedded import embedded_postgres, place_of


@dataclass
class OwnServer:
    """A server that is stopped and started again at the same address."""

    home: Path
    url: str = ""
    running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self) -> None:
        """Start the server."""
        self.url = self.running.enter_context(embedded_postgres(self.home))

    def send(self, what: signal.Signals) -> None:
        """Send a signal to all its processes: SIGSTOP lets it hang, SIGCONT go on."""
        first = int((place_of(self.home).data / "postmaster.pid").read_text().split()[0])
        others = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for pid in (first, *map(int, others)):
            os.kill(pid, what)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server by a signal: SIGINT cuts connections, SIGQUIT and SIGKILL save nothing."""
        os.kill(int((place_of(self.home).data / "postmaster.pid").read_text().split()[0]), how)
        self.running.close()

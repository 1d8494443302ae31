"""Polling of /metrics during a month, as Prometheus does it: the times at which an alarm was first visible."""

import contextlib
import threading
import time
from dataclasses import dataclass, field

from cineclub.client import Client, ServiceError

POLL_SECONDS = 0.5
REJECTED_SERVES = "\ncineclub_served_version_rejected 1.0\n"


@dataclass
class AlarmMonitor:
    """Polls /metrics in a thread; times are those of ``time.time``.

    Attributes:
        address: base URL of the service.
        rejected_seen_at: each time at which the alarm was raised that the gate had rejected the served version.
    """

    address: str
    rejected_seen_at: list[float] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to poll."""
        self._thread = threading.Thread(target=self._poll, name="alarm monitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop to poll."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _poll(self) -> None:
        """Poll until stopped; a poll without a response is skipped."""
        is_raised = False
        with Client(self.address, timeout=5.0, retries=0) as client:
            while not self._stopping.wait(POLL_SECONDS):
                with contextlib.suppress(ServiceError):
                    was_raised, is_raised = is_raised, REJECTED_SERVES in client.metrics()
                    if is_raised and not was_raised:
                        self.rejected_seen_at.append(time.time())

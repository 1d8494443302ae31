"""Watches a service during a month as Prometheus would: when an alarm of its metrics was first seen."""

import contextlib
import threading
import time
from dataclasses import dataclass, field

from cineclub.client import Client, ServiceError

LOOK_SECONDS = 0.5
REJECTED_SERVES = "\ncineclub_served_version_rejected 1.0\n"


@dataclass
class Watcher:
    """Looks at /metrics again and again, in a thread; times are those of ``time.time``.

    Attributes:
        address: where the service answers.
        rejected_seen_at: when it was first seen, each time, that a version serves which the gate had rejected.
    """

    address: str
    rejected_seen_at: list[float] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        """Look until told to stop; what does not answer is looked at again."""
        is_raised = False
        with Client(self.address, timeout=5.0, retries=0) as client:
            while not self._stopping.wait(LOOK_SECONDS):
                with contextlib.suppress(ServiceError):
                    was_raised, is_raised = is_raised, REJECTED_SERVES in client.metrics()
                    if is_raised and not was_raised:
                        self.rejected_seen_at.append(time.time())

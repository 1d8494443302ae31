"""Waiting for what another process does."""

import time
from collections.abc import Callable


def eventually(happened: Callable[[], bool], timeout_seconds: float = 60) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)

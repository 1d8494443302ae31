"""Waiting for other processes and tasks."""

import asyncio
import time
from collections.abc import Callable


def eventually(happened: Callable[[], bool], timeout_seconds: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout_seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


async def until(happened: Callable[[], bool], timeout_seconds: float = 10) -> None:
    """Wait until a condition holds while other tasks run."""
    async with asyncio.timeout(timeout_seconds):
        while not happened():  # noqa: ASYNC110 - what is waited for knows of no event
            await asyncio.sleep(0.01)

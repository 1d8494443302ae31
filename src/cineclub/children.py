"""What all processes that we start have in common: they end with us, and are started again after growing pauses."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

PR_SET_PDEATHSIG = 1
LOOK_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
CALM_SECONDS = 60.0
"""A child that lived this long before it died is started again after the first pause."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Revivable(Protocol):
    """What can die and is started again."""

    def revive(self) -> None:
        """Start it again if it died; returns at once otherwise."""
        ...


@dataclass
class StopRequest:
    """Whether a person or the system asked us to end; set by SIGINT, SIGTERM and SIGHUP."""

    is_made: bool = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        """Remember the request: the loop looks at it."""
        self.is_made = True


@dataclass
class Pauses:
    """How long a dead child stays dead: twice as long after each death, from the beginning after a long life."""

    next_seconds: float = FIRST_PAUSE_SECONDS
    _started_at_seconds: float = 0.0
    _over_at_seconds: float | None = None

    def note_start(self) -> None:
        """Remember that the child has just been started."""
        self._started_at_seconds = time.monotonic()
        self._over_at_seconds = None

    def is_over(self) -> bool:
        """Say whether the child, found dead, may be started now; the first call begins the pause."""
        now = time.monotonic()
        if self._over_at_seconds is None:
            if now - self._started_at_seconds > CALM_SECONDS:
                self.next_seconds = FIRST_PAUSE_SECONDS
            self._over_at_seconds = now + self.next_seconds
            self.next_seconds = min(2 * self.next_seconds, LONGEST_PAUSE_SECONDS)
            return False
        return now >= self._over_at_seconds


def keep_running(children: Sequence[Revivable], stop: StopRequest) -> None:
    """Start children again when they die, until we are asked to stop."""
    while not stop.is_made:
        for child in children:
            child.revive()
        time.sleep(LOOK_SECONDS)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM and SIGHUP into a request to stop for as long as the block lasts."""
    request = StopRequest()
    before = {name: signal.signal(name, request) for name in STOP_SIGNALS}
    try:
        yield request
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def end_with_parent(parent_pid: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    """Return what a child does before it becomes itself: ask Linux to end it when its parent dies.

    Nothing is lost that a power cut would not lose: PostgreSQL frees the lease of a killed worker.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def ask_the_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent_pid:
            os.kill(os.getpid(), death_signal)

    return ask_the_kernel

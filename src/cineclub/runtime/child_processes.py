"""Child processes: they end with their parent, and are restarted after growing delays when they die."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Protocol

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.1
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0
STABLE_SECONDS = 60.0
"""A child that lived this long before it died is restarted after the first delay again."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Restartable(Protocol):
    """A resource that can die and be started again."""

    def restart_if_dead(self) -> None:
        """Start the resource again if it died and its restart is due; returns at once otherwise."""
        ...


@dataclass
class StopRequest:
    """Request to stop this process, made by SIGINT, SIGTERM or SIGHUP.

    Attributes:
        is_made: whether a signal has arrived; loops poll it.
        on_made: called once, by the first signal, in the order in which they were added.
    """

    is_made: bool = False
    on_made: list[Callable[[], None]] = field(default_factory=list)

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        """Handle a signal: note the request, and call the reactions if it is the first."""
        reactions = [] if self.is_made else self.on_made
        self.is_made = True
        for react in reactions:
            react()


@dataclass
class RestartBackoff:
    """Exponential back-off of the restarts of a child: the delay doubles with each death, and resets after a long life.

    Attributes:
        next_seconds: the delay after the next death.
    """

    next_seconds: float = FIRST_DELAY_SECONDS
    _started_at_seconds: float = 0.0
    _due_at_seconds: float | None = None

    def note_start(self) -> None:
        """Note that the child has just been started."""
        self._started_at_seconds = time.monotonic()
        self._due_at_seconds = None

    def is_due(self) -> bool:
        """Return whether the dead child may be started now; the first call after a death begins the delay."""
        now = time.monotonic()
        if self._due_at_seconds is None:
            if now - self._started_at_seconds > STABLE_SECONDS:
                self.next_seconds = FIRST_DELAY_SECONDS
            self._due_at_seconds = now + self.next_seconds
            self.next_seconds = min(2 * self.next_seconds, LONGEST_DELAY_SECONDS)
            return False
        return now >= self._due_at_seconds


def keep_running(children: Sequence[Restartable], stop: StopRequest, beat: Callable[[], None] = lambda: None) -> None:
    """Restart children when they die, until a stop is requested; ``beat`` is called in each round."""
    while not stop.is_made:
        beat()
        for child in children:
            child.restart_if_dead()
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM and SIGHUP into a request to stop for as long as the block lasts."""
    request = StopRequest()
    before = {number: signal.signal(number, request) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """Return a function for the child to call first: Linux then sends it a signal when its parent thread ends.

    Returns None on other systems. Call this in the parent. The signal loses no more than a power cut does: PostgreSQL
    recovers, and frees the lease of a killed worker.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent_pid = os.getpid()

    def request_death_signal() -> None:
        prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent_pid:  # the parent ended before the call
            os.kill(os.getpid(), death_signal)

    return request_death_signal

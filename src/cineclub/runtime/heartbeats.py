"""Heartbeats of processes in shared memory, by which a parent detects one that hangs or was stopped."""

import mmap
import os
import time
from collections.abc import Sequence
from typing import Self

OPTION = "--heartbeat"
"""The option of a process that is followed by the file descriptor of its heartbeat."""
START_SECONDS = 120.0
"""In which a process must begin to beat."""
LONGEST_ROUND_SECONDS = 5.0
"""A parent that was away for longer, or for half of the time of a hang, was stopped itself, perhaps with all others."""
SIZE_BYTES = mmap.PAGESIZE


class Heartbeat:
    """The time at which a process last showed that it works, in memory that it shares with its parent.

    The clock stands still while the machine is suspended.
    """

    def __init__(self, file: int = -1) -> None:
        """Share memory with forked processes, or with those that have this file descriptor too."""
        self.file = file
        self._times = memoryview(mmap.mmap(file, SIZE_BYTES)).cast("d")

    @classmethod
    def to_pass_on(cls) -> Self | None:
        """Return one whose file descriptor can be passed to another program; None where the system cannot."""
        if not hasattr(os, "memfd_create"):
            return None
        file = os.memfd_create("heartbeat", 0)
        os.ftruncate(file, SIZE_BYTES)
        return cls(file)

    @classmethod
    def passed_in(cls, arguments: Sequence[str]) -> Self | None:
        """Return the heartbeat that a parent passed to this process by its arguments; None if it passed none."""
        return cls(int(arguments[arguments.index(OPTION) + 1])) if OPTION in arguments else None

    @property
    def arguments(self) -> list[str]:
        """The arguments that pass the heartbeat to another program."""
        return [OPTION, str(self.file)]

    def beat(self) -> None:
        """Show that this process works."""
        self._times[0] = time.monotonic()

    def forget(self) -> None:
        """Forget the beats of a former process."""
        self._times[0] = 0.0

    @property
    def last_seconds(self) -> float | None:
        """The time of the last beat; None before the first."""
        return self._times[0] or None


class HangDetector:
    """Detects that the process of a heartbeat hangs; the parent asks it several times a second."""

    def __init__(self, heartbeat: Heartbeat, seconds: float) -> None:
        """Take the heartbeat, and the time without one after which the process hangs."""
        self.heartbeat = heartbeat
        self._seconds = seconds
        self._started_at = self._checked_at = self._fair_from = time.monotonic()

    @classmethod
    def of_child(cls, seconds: float) -> Self | None:
        """Return a detector for another program with a new heartbeat to pass on; None where the system cannot."""
        heartbeat = Heartbeat.to_pass_on()
        return None if heartbeat is None else cls(heartbeat, seconds)

    def note_start(self) -> None:
        """Note that the process is being started."""
        self.heartbeat.forget()
        self._started_at = self._checked_at = self._fair_from = time.monotonic()

    def is_hanging(self) -> bool:
        """Return whether the process has not shown for too long that it works.

        The time begins again after a time in which this process was not running itself.
        """
        now = time.monotonic()
        if now - self._checked_at > min(LONGEST_ROUND_SECONDS, self._seconds / 2):
            self._fair_from = now
        self._checked_at = now
        last = self.heartbeat.last_seconds
        if last is None:
            return now - max(self._started_at, self._fair_from) > max(START_SECONDS, self._seconds)
        return now - max(last, self._fair_from) > self._seconds

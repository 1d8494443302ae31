"""Work that is repeated as long as a process lives: in the event loop, or in a thread beside a computation."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from cineclub.domain.errors import StorageUnavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds before the first run, between runs, and after a run that failed (None: as between runs)."""

    between: float
    first: float = 0.0
    after_failure: float | None = None


class PeriodicTask:
    """Repeats a coroutine function in the event loop until stopped, whatever it raises.

    Attributes:
        name: begins the lines of the log.
    """

    def __init__(self, name: str, run_once: Callable[[], Awaitable[None]], intervals: Intervals) -> None:
        """Take the work and its intervals; nothing runs before ``start``."""
        self.name = name
        self._run_once = run_once
        self._intervals = intervals
        self._stopping = asyncio.Event()
        self._is_storage_away = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to repeat in the background."""
        self._stopping.clear()
        self._task = asyncio.create_task(self._run(), name=f"periodic {self.name}")

    async def stop(self) -> None:
        """Stop, also in the middle of a run."""
        self._stopping.set()  # a query that is cancelled may end as a database error instead
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        """Run, wait, and repeat until stopped."""
        wait_seconds = self._intervals.first
        while not await self._is_stopped_within(wait_seconds):
            wait_seconds = self._intervals.between
            if not await self._has_succeeded() and self._intervals.after_failure is not None:
                wait_seconds = self._intervals.after_failure

    async def _is_stopped_within(self, seconds: float) -> bool:
        """Wait for a stop, at most so many seconds, and return whether there was one."""
        if seconds <= 0:
            await asyncio.sleep(0)  # or work that never waits would hold up the event loop
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _has_succeeded(self) -> bool:
        """Run once, and return whether it succeeded; an outage of PostgreSQL is logged when it begins, not each run."""
        try:
            await self._run_once()
        except StorageUnavailable as error:
            if not self._is_storage_away:
                log.warning("%s_not_watched cause=%s", self.name, error)
            self._is_storage_away = True
            return False
        except Exception:
            log.exception("%s_watch_failed", self.name)
            return False
        self._is_storage_away = False
        return True


class PeriodicThread:
    """Repeats a function in a thread until stopped, beside a computation that blocks; a context manager.

    ``run_once`` handles its own errors.
    """

    def __init__(self, name: str, run_once: Callable[[], None], interval_seconds: float) -> None:
        """Take the work and the seconds before each run; nothing runs before ``start``."""
        self._run_once = run_once
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start to repeat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the run that is under way; may be called again."""
        self._stopping.set()
        self._thread.join()

    def __enter__(self) -> Self:
        """Start to repeat."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop after the run that is under way."""
        self.stop()

    def _run(self) -> None:
        """Wait, run, and repeat until stopped."""
        while not self._stopping.wait(self._interval_seconds):
            self._run_once()


class BoundedRun:
    """Runs a function in a thread, and waits for it a limited time; one that still hangs is not started again."""

    def __init__(self, name: str, function: Callable[[], None], wait_seconds: float) -> None:
        """Take the function and the longest wait for it."""
        self._name = name
        self._function = function
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __call__(self) -> None:
        """Run the function once, unless a former run still hangs; raise its error if it ends in time with one."""
        with self._lock:
            if self._thread is None:
                self._error = None
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._thread.join(self._wait_seconds)
            if self._thread.is_alive():
                log.warning("%s_hangs seconds=%.0f", self._name, self._wait_seconds)
                return
            self._thread = None
            if self._error is not None:
                raise self._error

    def _run(self) -> None:
        """Run the function, and keep its error."""
        try:
            self._function()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error

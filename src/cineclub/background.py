"""What goes on beside the requests for as long as the service lives."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cineclub.domain.errors import StorageUnavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long is waited before the first look, between looks, and after one that failed; seconds."""

    between: float
    first: float = 0.0
    after_failure: float | None = None


class Watch:
    """Looks at one thing again and again, for as long as the service lives, whatever goes wrong."""

    def __init__(self, name: str, look: Callable[[], Awaitable[None]], pauses: Pauses) -> None:
        """Take what a look is, and when it is made; ``name`` begins the lines of the log."""
        self._name = name
        self._look = look
        self._pauses = pauses
        self._stopping = asyncio.Event()
        self._is_blind = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look in the background."""
        self._stopping.clear()
        self._task = asyncio.create_task(self._watch(), name=f"watch of {self._name}")

    async def stop(self) -> None:
        """Stop, in the middle of a look too."""
        self._stopping.set()  # a query that is cancelled may end as a database error instead
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _watch(self) -> None:
        """Look until told to stop."""
        pause_seconds = self._pauses.first
        while not await self._is_stopped_within(pause_seconds):
            pause_seconds = self._pauses.between
            if not await self._has_looked() and self._pauses.after_failure is not None:
                pause_seconds = self._pauses.after_failure

    async def _is_stopped_within(self, seconds: float) -> bool:
        """Wait, and say whether to stop."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _has_looked(self) -> bool:
        """Look once, and say whether that went well; an outage is logged when it begins, not at every look."""
        try:
            await self._look()
        except StorageUnavailable as error:
            if not self._is_blind:
                log.warning("%s_not_watched cause=%s", self._name, error)
            self._is_blind = True
            return False
        except Exception:
            log.exception("%s_watch_failed", self._name)
            return False
        self._is_blind = False
        return True

"""What is looked at again and again for /metrics, so that a scrape asks nobody: trainings, connections."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from cineclub.domain.errors import StorageUnavailable
from cineclub.ports import PoolMetrics, TrainingFactsReader, TrainingMetrics, WatchedPool

log = logging.getLogger(__name__)


class Watch:
    """Looks at one thing at once and then again and again, for as long as the service lives."""

    def __init__(self, name: str, look: Callable[[], Awaitable[None]], every_seconds: float) -> None:
        """Take what a look is, and how often it is made."""
        self._name = name
        self._look = look
        self._every_seconds = every_seconds
        self._stopping = asyncio.Event()
        self._is_blind = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look in the background."""
        self._stopping.clear()
        self._task = asyncio.create_task(self._watch(), name=f"watch of {self._name}")

    async def stop(self) -> None:
        """Stop, in the middle of a look too."""
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _watch(self) -> None:
        """Look, whatever goes wrong, until told to stop."""
        while not self._stopping.is_set():
            try:
                await self._look()
                self._is_blind = False
            except StorageUnavailable as error:
                if not self._is_blind:  # an outage is no news every second
                    log.warning("watch_without_storage name=%s cause=%s", self._name, error)
                self._is_blind = True
            except Exception:
                log.exception("watch_failed name=%s", self._name)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._every_seconds)


def watch_of_trainings(facts: TrainingFactsReader, metrics: TrainingMetrics, every_seconds: float) -> Watch:
    """Return what keeps the trainings in /metrics as fresh as this, whichever process runs them."""

    async def look() -> None:
        metrics.trainings_known(await facts.read())

    return Watch("trainings", look, every_seconds)


def watch_of_pool(pool: WatchedPool, metrics: PoolMetrics, every_seconds: float) -> Watch:
    """Return what keeps this process's connections in /metrics as fresh as this."""

    async def look() -> None:
        metrics.pool_used(pool.usage())

    return Watch("connections", look, every_seconds)

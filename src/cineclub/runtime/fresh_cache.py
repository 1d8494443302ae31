"""The time-bounded cache: values that are computed again once they are older than a minute."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from cineclub.domain.errors import CineclubError

log = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
MAX_KEYS = 16

K = TypeVar("K")
V = TypeVar("V")


class FreshCache(Generic[K, V]):
    """Values by key, each computed when it is needed and not fresh, one computation at a time.

    ``cachetools.TTLCache`` drops a value that expires, which two callers still use while PostgreSQL is away or while
    the next value is computed, and its locks are locks of threads: it would replace the dictionary alone.
    """

    def __init__(
        self, compute: Callable[[K], Awaitable[V]], name: str = "value", seconds: Callable[[], float] = monotonic
    ) -> None:
        """Take the computation; ``name`` begins the line of the log if one in the background fails."""
        self._compute = compute
        self._name = name
        self._seconds = seconds
        self._values: dict[K, tuple[float, V]] = {}
        self._computing = asyncio.Lock()
        self._renewals: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K) -> V:
        """Return a value that was computed at most a minute ago, and raise what its computation raises."""
        async with self._computing:
            if key in self._values and self._is_fresh(key):
                return self._values[key][1]
            value = await self._compute(key)
            self._values.pop(key, None)
            self._values[key] = (self._seconds(), value)
            if len(self._values) > MAX_KEYS:
                del self._values[next(iter(self._values))]
            return value

    def clear(self) -> None:
        """Drop every value, because its source has changed."""
        self._values.clear()

    def last(self, key: K) -> V | None:
        """Return the value that was computed last, however old; None before the first."""
        return self._values[key][1] if key in self._values else None

    async def get_at_once(self, key: K) -> V:
        """Return the last value, and compute the next in the background where that is old; wait only for the first.

        An empty value counts as none: it is computed again each time, and waited for.
        """
        last = self.last(key)
        if last is None or not last:
            self._values.pop(key, None)
            return await asyncio.shield(self._renewal_of(key))
        if not self._is_fresh(key):
            self._renewal_of(key)
        return last

    def _renewal_of(self, key: K) -> asyncio.Task[V]:
        """Return the computation of a value under way, started now in the background if there is none."""
        if key not in self._renewals:
            renewal = self._renewals[key] = asyncio.create_task(self.get(key), name=f"renewal of {self._name}")
            renewal.add_done_callback(lambda task: self._end(key, task))
        return self._renewals[key]

    def _end(self, key: K, renewal: asyncio.Task[V]) -> None:
        """Log the failure of a computation; the last value stays."""
        del self._renewals[key]
        error = None if renewal.cancelled() else renewal.exception()
        if error is not None:
            cause = error if isinstance(error, CineclubError) else repr(error)
            log.warning("%s_not_renewed cause=%s", self._name, cause)

    def _is_fresh(self, key: K) -> bool:
        """Return whether a value is at most a minute old."""
        return self._seconds() - self._values[key][0] <= FRESH_SECONDS

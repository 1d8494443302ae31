"""Batched reads: reads requested while others are under way go to PostgreSQL together, in one query."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

MAX_QUERIES = 2
"""The number of queries under way: one long history does not delay all others."""

MAX_KEYS = 50

Read = Callable[[Sequence[str]], Awaitable[Mapping[str, bytes]]]
Waiter = asyncio.Future[bytes | None]


class ReadsTogether:
    """Returns what PostgreSQL holds after each read was requested, never an earlier result.

    A busy service spends less time on round trips to PostgreSQL; an idle one queries at once.
    """

    def __init__(self, read: Read) -> None:
        """Take the function that reads many keys at once; its errors are raised to every reader of that query."""
        self._read = read
        self._waiting: dict[str, list[Waiter]] = {}
        self._queries: set[asyncio.Task[None]] = set()

    async def read(self, key: str) -> bytes | None:
        """Return the value of a key; None if there is none."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(waiter)
        self._begin()
        return await waiter

    def _begin(self) -> None:
        """Send a query if few are under way; it includes reads that arrive until it is sent."""
        if len(self._queries) < MAX_QUERIES:
            query = asyncio.create_task(self._query(), name="reads together")
            self._queries.add(query)
            query.add_done_callback(self._end)

    def _end(self, query: asyncio.Task[None]) -> None:
        """Start the next query."""
        self._queries.discard(query)
        if self._waiting:
            self._begin()

    async def _query(self) -> None:
        """Read the waiting keys, oldest first, and pass each its value."""
        keys = list(self._waiting)[:MAX_KEYS]
        if not keys:
            return
        waiters_of = {key: self._waiting.pop(key) for key in keys}
        try:
            values = await self._read(keys)
        except Exception as error:  # noqa: BLE001 - it is raised where the read was requested
            for waiter in _still_waiting(waiters_of.values()):
                waiter.set_exception(error)
            return
        for key, waiters in waiters_of.items():
            for waiter in _still_waiting([waiters]):
                waiter.set_result(values.get(key))


def _still_waiting(groups: Iterable[list[Waiter]]) -> list[Waiter]:
    """Return the waiters that were not cancelled meanwhile."""
    return [waiter for waiters in groups for waiter in waiters if not waiter.done()]

"""Reads that are asked for while others are under way go to PostgreSQL together, in one query."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

MAX_QUERIES = 2
"""So many queries may be under way: one long history does not hold up everybody else."""

MAX_KEYS = 50

Read = Callable[[Sequence[str]], Awaitable[Mapping[str, bytes]]]
Waiter = asyncio.Future[bytes | None]


class ReadsTogether:
    """Answers each read with what PostgreSQL holds after it was asked for, never with an earlier answer.

    A busy service spends less time on the way to PostgreSQL; an idle one asks at once.
    """

    def __init__(self, read: Read) -> None:
        """Take what reads many at once; what it raises is raised to everybody who waits for that query."""
        self._read = read
        self._waiting: dict[str, list[Waiter]] = {}
        self._queries: set[asyncio.Task[None]] = set()

    async def read(self, key: str) -> bytes | None:
        """Return what is read for a key; None if there is nothing."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(waiter)
        self._begin()
        return await waiter

    def _begin(self) -> None:
        """Send a query if few are under way; it takes along whoever comes until it is sent."""
        if len(self._queries) < MAX_QUERIES:
            query = asyncio.create_task(self._query(), name="reads together")
            self._queries.add(query)
            query.add_done_callback(self._end)

    def _end(self, query: asyncio.Task[None]) -> None:
        """Let the next query begin."""
        self._queries.discard(query)
        if self._waiting:
            self._begin()

    async def _query(self) -> None:
        """Read for those who wait, the first ones first, and tell each."""
        keys = list(self._waiting)[:MAX_KEYS]
        if not keys:
            return
        asked = {key: self._waiting.pop(key) for key in keys}
        try:
            found = await self._read(keys)
        except Exception as error:  # noqa: BLE001 - it is raised where the read was asked for
            for waiter in _still_waiting(asked.values()):
                waiter.set_exception(error)
            return
        for key, waiters in asked.items():
            for waiter in _still_waiting([waiters]):
                waiter.set_result(found.get(key))


def _still_waiting(groups: Iterable[list[Waiter]]) -> list[Waiter]:
    """Return those who were not given up meanwhile, as when a caller hung up."""
    return [waiter for waiters in groups for waiter in waiters if not waiter.done()]

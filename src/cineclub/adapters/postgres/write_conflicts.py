"""Writes that others interfere with: tried again, and refused with a clear message when that does not help."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg

from cineclub.adapters.postgres.sessions import Row
from cineclub.domain.errors import Conflict

Outcome = TypeVar("Outcome")

MAX_TRIES = 6
LONGEST_PAUSE_SECONDS = 0.05


class Interfered(Exception):
    """Another transaction has deleted a row that this one needs; a new transaction finds out."""


INTERFERED = (
    Interfered,
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.UniqueViolation,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
)
"""Causes that pass when the other transaction has ended; none of them means that PostgreSQL is unreachable."""

LOCKED_FOR_LONG = (
    "an import or an erasure is changing the ratings: nothing was written, send the request again when it has ended"
)
MANY_WAIT = "many ratings wait to be written: this one was not written, send the request again"
CHANGED_OFTEN = "others change the same ratings all the time: nothing was written, send the request again"


async def retried_async(connection: psycopg.AsyncConnection[Row], write: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Return the outcome of a write in a transaction of its own, tried again while other writes interfere.

    Raises:
        Conflict: others interfered every time, or hold a lock for seconds.
    """
    for _ in range(MAX_TRIES):
        try:
            async with connection.transaction():
                return await write()
        except INTERFERED:
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))  # noqa: S311 - no secret
        except psycopg.errors.LockNotAvailable as error:
            raise Conflict(LOCKED_FOR_LONG) from error
    raise Conflict(CHANGED_OFTEN)


def retried(connection: psycopg.Connection[Row], write: Callable[[], Outcome]) -> Outcome:
    """Return the same for a write that blocks.

    Raises:
        Conflict: others interfered every time, or hold a lock for seconds.
    """
    for _ in range(MAX_TRIES):
        try:
            with connection.transaction():
                return write()
        except INTERFERED:
            time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))  # noqa: S311 - no secret
        except psycopg.errors.LockNotAvailable as error:
            raise Conflict(LOCKED_FOR_LONG) from error
    raise Conflict(CHANGED_OFTEN)

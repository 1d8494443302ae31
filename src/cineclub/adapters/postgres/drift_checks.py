"""Every check of drift, and what followed from it."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from cineclub.adapters.postgres.jobs import CHANNEL
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, Row, named_queries, session
from cineclub.domain.documents import to_document
from cineclub.domain.segment_changes import SegmentChange
from cineclub.ports import AskedBy, DriftCheck, PastCheck

SQL = named_queries("drift_store.sql")
WRITE_LIMIT_SECONDS = 10.0
CLAIM_SECONDS = 120.0
"""Whoever has begun to tell of an alert and has not said for so long how that ended is dead."""


class PostgresDriftChecks:
    """Implements the ports ``DriftChecks`` and ``DriftActions``."""

    def __init__(self, pool: ServingPool) -> None:
        """Use the pool of the request path."""
        self._pool = pool

    async def record(self, check: DriftCheck, asked_by: AskedBy, *, is_usual: bool) -> int:
        """Keep a check, and return its id.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        columns: dict[str, Any] = {
            "checked_at": check.checked_at,
            "asked_by": asked_by,
            "is_usual": is_usual,
            "verdict": check.verdict,
            "summary": check.summary,
            "distances": Jsonb(check.distances),
            "document": Jsonb(to_document(replace(check, check_id=0))),
        }
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            [row] = await (await connection.execute(SQL["record"], columns)).fetchall()
        return int(row["id"])

    async def recent(self, limit: int, before: int | None = None) -> list[PastCheck]:
        """Return the checks, newest first, those before the one with this id if it is given.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            rows = await (await connection.execute(SQL["recent"], {"limit": limit, "before": before})).fetchall()
        return [_past(row) for row in rows]

    async def last(self, asked_by: AskedBy | None = None) -> PastCheck | None:
        """Return the newest check that asked what the settings ask, whoever made it or by one of them.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            row = await (await connection.execute(SQL["last"], {"asked_by": asked_by})).fetchone()
        return None if row is None else _past(row)

    async def claim_notice(self, check_id: int, cooldown: timedelta) -> bool:
        """Say whether whoever wants to know is to be told of an alert: nobody was within the cool-down.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        asked = {
            "check_id": check_id,
            "cooldown_seconds": cooldown.total_seconds(),
            "claim_seconds": CLAIM_SECONDS,
        }
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection, connection.transaction():
            await connection.execute(SQL["one_at_a_time"], _ALONE)
            return (await connection.execute(SQL["claim_notice"], asked)).rowcount > 0

    async def settle_notice(self, check_id: int, *, is_sent: bool) -> None:
        """Note that whoever wants to know was told, or that nobody could be, so that the next alert is tried again.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            await connection.execute(SQL["settle_notice"], {"check_id": check_id, "is_sent": is_sent})

    async def note_followed(self, check_id: int) -> None:
        """Note that all that is to follow from a check was done.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            await connection.execute(SQL["note_followed"], {"check_id": check_id})

    async def unfollowed(self, cooldown: timedelta) -> PastCheck | None:
        """Return the newest alert of the service's own checks within the cool-down of which something is left to do.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        asked = {"cooldown_seconds": cooldown.total_seconds()}
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            row = await (await connection.execute(SQL["unfollowed"], asked)).fetchone()
        return None if row is None else _past(row)

    async def start_training(self, check_id: int, reason: str, cooldown: timedelta) -> str | None:
        """Queue a training because of drift, and return its id; None while one is under way or in the cool-down.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        asked = {"training_id": uuid.uuid4(), "reason": reason, "cooldown_seconds": cooldown.total_seconds()}
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection, connection.transaction():
            await connection.execute(SQL["one_at_a_time"], _ALONE)
            row = await (await connection.execute(SQL["start_training"], asked)).fetchone()
            if row is None:
                return None
            await connection.execute(SQL["note_training"], {"training_id": row["id"], "check_id": check_id})
            await connection.execute(f"NOTIFY {CHANNEL}")
        return str(row["id"])


def last_check(database_url: str) -> PastCheck | None:
    """Return the newest check that asked what the settings ask; blocks.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
    """
    with session(database_url) as connection:
        row = connection.execute(SQL["last"], {"asked_by": None}).fetchone()
    return None if row is None else _past(row)


def _past(row: Row) -> PastCheck:
    """Return the check of a row."""
    return PastCheck(
        **{
            **row,
            "segments": tuple(SegmentChange(**one) for one in row["segments"]),
            "training_id": str(row["training_id"]) if row["training_id"] else None,
        }
    )


_ALONE = {"family": ADVISORY_FAMILY, "drift": AdvisoryLock.DRIFT}

"""Baselines, checks and alerts of drift in PostgreSQL; StorageUnavailable is raised while it does not answer."""

import json
import uuid
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from cineclub.adapters.postgres.jobs import CHANNEL
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, Row, named_queries, session
from cineclub.domain.documents import to_document
from cineclub.domain.drift.documents import check_document
from cineclub.domain.drift.records import Baselines, CheckOrigin, DriftCheck, PastCheck, StoredBaseline
from cineclub.domain.drift.segment_changes import SegmentChange
from cineclub.domain.drift.statistics import Baseline
from cineclub.domain.errors import NotFound
from cineclub.domain.promotion.versions import RegisteredVersion

SQL = named_queries("drift_store.sql")
WRITE_LIMIT_SECONDS = 10.0
LENGTHS_KEPT = 32
CLAIM_SECONDS = 120.0
"""Claims to send a notice expire after this time: their processes have died."""

EXCLUSIVE = {"family": ADVISORY_FAMILY, "drift": AdvisoryLock.DRIFT}


class PostgresDriftStore:
    """Implements the port ``DriftStore``; its methods raise StorageUnavailable while PostgreSQL does not answer."""

    def __init__(self, pool: ServingPool) -> None:
        """Use the pool of the request path."""
        self._pool = pool

    async def baselines(self) -> Baselines:
        """Return the baseline of the promotion in production, and the pinned one."""
        production, pinned_row = await self._row("of_production"), await self._row("pinned")
        pinned = None if pinned_row is None else _stored_baseline(pinned_row)
        if production is None:
            return Baselines(None, None, pinned)
        model = None if production["id"] is None else _stored_baseline(production)
        return Baselines(production["serving_version"], model, pinned)

    async def pin(self, pinned: int | Baseline | None) -> None:
        """Pin the baseline of a version, or one taken from the ratings, in place of the pinned one; None unpins.

        Raises:
            NotFound: there is no such version, or it has no baseline.
        """
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection, connection.transaction():
            await connection.execute(SQL["one_at_a_time"], EXCLUSIVE)
            await connection.execute(SQL["unpin"])
            if isinstance(pinned, Baseline):
                await connection.execute(SQL["pin_taken"], {"document": Jsonb(to_document(pinned))})
            elif pinned is not None:
                cursor = await connection.execute(SQL["pin_version"], {"version": pinned})
                if cursor.rowcount == 0:
                    reason = "it does not exist, or was registered before baselines were kept"
                    message = f"version {pinned} has no baseline: {reason}"
                    raise NotFound(message)

    async def baseline_of_length(self, baseline_id: int, window_days: float) -> Baseline | None:
        """Return a baseline with windows of another length, if that was computed before."""
        row = await self._row("of_length", {"baseline_id": baseline_id, "window_days": window_days})
        return None if row is None else baseline_of_document(row["document"])

    async def keep_length(self, baseline_id: int, baseline: Baseline) -> None:
        """Store a baseline with windows of another length, and delete all but the newest few lengths of it."""
        params = {"baseline_id": baseline_id, "window_days": baseline.window_days}
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            await connection.execute(SQL["keep_length"], params | {"document": Jsonb(to_document(baseline))})
            await connection.execute(SQL["forget_lengths"], {"baseline_id": baseline_id, "n_kept": LENGTHS_KEPT})

    async def record(self, check: DriftCheck, origin: CheckOrigin, *, is_usual: bool) -> int:
        """Store a check, and return its id."""
        params = {
            "checked_at": check.checked_at,
            "asked_by": origin,
            "is_usual": is_usual,
            "verdict": check.verdict,
            "summary": check.summary,
            "distances": Jsonb(check.distances),
            "document": Jsonb(check_document(check) | {"check_id": 0}),
        }
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            [row] = await (await connection.execute(SQL["record"], params)).fetchall()
        return int(row["id"])

    async def recent(self, limit: int, before: int | None = None) -> list[PastCheck]:
        """Return the checks, newest first, those before the one with this id if it is given."""
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            rows = await (await connection.execute(SQL["recent"], {"limit": limit, "before": before})).fetchall()
        return [_past_check(row) for row in rows]

    async def last(self, origin: CheckOrigin | None = None) -> PastCheck | None:
        """Return the newest check with the parameters of the settings, of any origin or of one."""
        row = await self._row("last", {"asked_by": origin})
        return None if row is None else _past_check(row)

    async def claim_notice(self, check_id: int, cooldown: timedelta) -> bool:
        """Claim the notice of an alert, and return whether it was free: none was sent within the cool-down."""
        seconds = {"cooldown_seconds": cooldown.total_seconds(), "claim_seconds": CLAIM_SECONDS}
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection, connection.transaction():
            await connection.execute(SQL["one_at_a_time"], EXCLUSIVE)
            return (await connection.execute(SQL["claim_notice"], {"check_id": check_id, **seconds})).rowcount > 0

    async def settle_notice(self, check_id: int, *, is_sent: bool) -> None:
        """Record that the notice was sent, or that it was not, so that the next alert is tried again."""
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            await connection.execute(SQL["settle_notice"], {"check_id": check_id, "is_sent": is_sent})

    async def note_followed(self, check_id: int) -> None:
        """Record that every action of an alert was taken; no effect while another process sends its notice."""
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            await connection.execute(SQL["note_followed"], {"check_id": check_id})

    async def unfollowed(self, cooldown: timedelta) -> PastCheck | None:
        """Return the newest alert of the service's own checks within the cool-down of which an action is missing."""
        row = await self._row("unfollowed", {"cooldown_seconds": cooldown.total_seconds()})
        return None if row is None else _past_check(row)

    async def start_training(self, check_id: int, reason: str, cooldown: timedelta) -> str | None:
        """Queue a training because of drift, and return its id; None while one is under way or in the cool-down."""
        params = {"training_id": uuid.uuid4(), "reason": reason, "cooldown_seconds": cooldown.total_seconds()}
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection, connection.transaction():
            await connection.execute(SQL["one_at_a_time"], EXCLUSIVE)
            row = await (await connection.execute(SQL["start_training"], params)).fetchone()
            if row is None:
                return None
            await connection.execute(SQL["note_training"], {"training_id": row["id"], "check_id": check_id})
            await connection.execute(f"NOTIFY {CHANNEL}")
        return str(row["id"])

    async def _row(self, name: str, params: Mapping[str, Any] | None = None) -> Row | None:
        """Return the first row of a query, if it has one."""
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            return await (await connection.execute(SQL[name], params)).fetchone()


def keep_baseline(database_url: str, version: RegisteredVersion, statistics: str) -> None:
    """Store the statistics of a version's training data, given as JSON; blocks."""
    params = {"version": version.version, "manifest_sha256": version.manifest_sha256}
    with session(database_url) as connection:
        connection.execute(SQL["keep_baseline"], params | {"document": Jsonb(json.loads(statistics))})


def last_check(database_url: str) -> PastCheck | None:
    """Return the newest check with the parameters of the settings; blocks."""
    with session(database_url) as connection:
        row = connection.execute(SQL["last"], {"asked_by": None}).fetchone()
    return None if row is None else _past_check(row)


def baseline_of_document(document: Any) -> Baseline:
    """Return the baseline of a JSON document."""
    return _baseline_reader().validate_python(document)


@cache
def _baseline_reader() -> TypeAdapter[Baseline]:
    """Return the parser of baselines, created on first use."""
    return TypeAdapter(Baseline)


def _stored_baseline(row: Row) -> StoredBaseline:
    """Return the baseline of a row."""
    return StoredBaseline(row["id"], row["version"], row["taken_at"], baseline_of_document(row["document"]))


def _past_check(row: Row) -> PastCheck:
    """Return the check of a row."""
    segments = tuple(SegmentChange(**segment) for segment in row["segments"])
    training_id = str(row["training_id"]) if row["training_id"] else None
    return PastCheck(**{**row, "segments": segments, "training_id": training_id})

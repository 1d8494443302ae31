"""What drift is measured against: the statistics of each version's training data, and the pinned ones."""

import json
from functools import cache
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, Row, named_queries, session
from cineclub.domain.documents import to_document
from cineclub.domain.errors import NotFound
from cineclub.domain.statistics import Baseline
from cineclub.ports import KeptBaseline, ProductionBaseline, RegisteredVersion

SQL = named_queries("drift_store.sql")
WRITE_LIMIT_SECONDS = 10.0
LENGTHS_KEPT = 16
ALONE = {"family": ADVISORY_FAMILY, "drift": AdvisoryLock.DRIFT}


class PostgresDriftBaselines:
    """Implements the port ``DriftBaselines``."""

    def __init__(self, pool: ServingPool) -> None:
        """Use the pool of the request path."""
        self._pool = pool

    async def of_production(self) -> ProductionBaseline:
        """Return the baseline of the promotion that serves.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            row = await (await connection.execute(SQL["of_production"])).fetchone()
        if row is None:
            return ProductionBaseline(None, None)
        return ProductionBaseline(row["serving_version"], _kept_of(row) if row["id"] is not None else None)

    async def pinned(self) -> KeptBaseline | None:
        """Return the baseline that a person has pinned.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            row = await (await connection.execute(SQL["pinned"])).fetchone()
        return None if row is None else _kept_of(row)

    async def pin(self, pinned: int | Baseline | None) -> None:
        """Pin the baseline of a version, or one that was taken just now, in place of the pinned one; None unpins.

        Raises:
            NotFound: there is no such version, or it has no baseline.
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection, connection.transaction():
            await connection.execute(SQL["one_at_a_time"], ALONE)
            await connection.execute(SQL["unpin"])
            if isinstance(pinned, Baseline):
                await connection.execute(SQL["pin_taken"], {"document": Jsonb(to_document(pinned))})
            elif pinned is not None:
                await _pin_version(connection, pinned)

    async def of_length(self, baseline_id: int, window_days: float) -> Baseline | None:
        """Return a baseline with windows of another length, where that was computed before.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        asked = {"baseline_id": baseline_id, "window_days": window_days}
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            row = await (await connection.execute(SQL["of_length"], asked)).fetchone()
        return None if row is None else baseline_of_document(row["document"])

    async def keep_length(self, baseline_id: int, baseline: Baseline) -> None:
        """Keep a baseline with windows of another length, and forget all but the newest few lengths of it.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        asked = {"baseline_id": baseline_id, "window_days": baseline.window_days}
        async with self._pool.connection(WRITE_LIMIT_SECONDS) as connection:
            await connection.execute(SQL["keep_length"], asked | {"document": Jsonb(to_document(baseline))})
            await connection.execute(SQL["forget_lengths"], {"baseline_id": baseline_id, "n_kept": LENGTHS_KEPT})


def keep_baseline(database_url: str, version: RegisteredVersion, statistics: str) -> None:
    """Keep the statistics of a version's training data, given as JSON; blocks.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
    """
    named = {"version": version.version, "manifest_sha256": version.manifest_sha256}
    with session(database_url) as connection:
        connection.execute(SQL["keep_baseline"], named | {"document": Jsonb(json.loads(statistics))})


def baseline_of_document(document: Any) -> Baseline:
    """Return the baseline of a JSON document."""
    return _reader().validate_python(document)


@cache
def _reader() -> TypeAdapter[Baseline]:
    """Return what reads baselines; made when it is first needed."""
    return TypeAdapter(Baseline)


def _kept_of(row: Row) -> KeptBaseline:
    """Return the baseline of a row."""
    return KeptBaseline(row["id"], row["version"], row["taken_at"], baseline_of_document(row["document"]))


async def _pin_version(connection: psycopg.AsyncConnection[Row], version: int) -> None:
    """Pin the baseline of a version.

    Raises:
        NotFound: it has none.
    """
    if not (await connection.execute(SQL["pin_version"], {"version": version})).rowcount:
        message = f"version {version} has no baseline: it does not exist, or was registered before baselines were kept"
        raise NotFound(message)

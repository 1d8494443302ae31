"""API keys: created, listed and revoked in PostgreSQL, cached in the memory of the service."""

import contextlib
from collections.abc import Collection
from datetime import UTC, datetime

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries, session
from cineclub.domain.access import ApiKey, Scope, hash_of, new_secret
from cineclub.domain.errors import NotFound, StorageUnavailable
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask

SQL = named_queries("api_keys.sql")
SECONDS_BETWEEN_READS = 2.0
READS_BETWEEN_WRITES = 30


class PostgresApiKeys:
    """The table of keys. Its methods raise StorageUnavailable while PostgreSQL does not answer."""

    def __init__(self, database_url: str) -> None:
        """Use this database; each call opens one short connection."""
        self._database_url = database_url

    def create(self, name: str, scopes: Collection[Scope], expires_at: datetime | None) -> tuple[ApiKey, str]:
        """Create a key, and return it with its secret, which is not stored."""
        secret = new_secret()
        params = {"name": name, "scopes": sorted(scopes), "secret_sha256": hash_of(secret), "expires_at": expires_at}
        with session(self._database_url) as connection:
            return _key_of(connection.execute(SQL["create"], params).fetchall()[0]), secret

    def everything(self) -> list[ApiKey]:
        """Return every key, revoked and expired ones too."""
        with session(self._database_url) as connection:
            return [_key_of(row) for row in connection.execute(SQL["all"])]

    def revoke(self, key_id: int) -> ApiKey:
        """Revoke a key, and return it.

        Raises:
            NotFound: there is no such key.
        """
        with session(self._database_url) as connection:
            row = connection.execute(SQL["revoke"], {"key_id": key_id}).fetchone()
        if row is None:
            message = f"there is no key {key_id}: `cineclub keys list` shows them"
            raise NotFound(message)
        return _key_of(row)


class KeyRing:
    """The cached keys of a service, refreshed every two seconds; they stay while PostgreSQL does not answer.

    When keys were used is recorded about once a minute, and at the end.
    """

    def __init__(self, pool: ServingPool) -> None:
        """Start without keys."""
        self._pool = pool
        self._by_hash: dict[str, ApiKey] | None = None
        self._used_at: dict[int, datetime] = {}
        self._n_reads = 0
        intervals = Intervals(between=SECONDS_BETWEEN_READS, first=SECONDS_BETWEEN_READS)
        self._refreshing = PeriodicTask("api_keys", self._refresh, intervals)

    def find(self, secret: str) -> ApiKey | None:
        """Return the key of a secret if it is valid now.

        Raises:
            StorageUnavailable: the keys were never read since the start.
        """
        if self._by_hash is None:
            message = "PostgreSQL has not answered since this service started, so no key is known yet: try again"
            raise StorageUnavailable(message)
        key, now = self._by_hash.get(hash_of(secret)), datetime.now(UTC)
        if key is None or not key.is_valid(now):
            return None
        self._used_at[key.key_id] = now
        return key

    async def start(self) -> None:
        """Read the keys, then refresh them in the background."""
        with contextlib.suppress(StorageUnavailable):
            await self._read()
        await self._refreshing.start()

    async def stop(self) -> None:
        """Stop refreshing, and record when keys were used."""
        await self._refreshing.stop()
        await self._note_uses()

    async def _refresh(self) -> None:
        """Read the keys once, and record now and then when they were used."""
        await self._read()
        self._n_reads += 1
        if self._n_reads % READS_BETWEEN_WRITES == 0:
            await self._note_uses()

    async def _read(self) -> None:
        """Read the keys once; those in memory stay while PostgreSQL does not answer."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(SQL["all"])).fetchall()
        self._by_hash = {row["secret_sha256"]: _key_of(row) for row in rows}

    async def _note_uses(self) -> None:
        """Record when keys were used; retried next time while PostgreSQL does not answer."""
        if not self._used_at:
            return
        used_at, self._used_at = self._used_at, {}
        params = {"key_ids": list(used_at), "times": list(used_at.values())}
        try:
            async with self._pool.connection() as connection:
                await connection.execute(SQL["note_uses"], params)
        except StorageUnavailable:
            self._used_at = used_at | self._used_at


def _key_of(row: Row) -> ApiKey:
    """Return the key of a row."""
    return ApiKey(
        key_id=row["id"],
        name=row["name"],
        scopes=frozenset(row["scopes"]),
        secret_sha256=row["secret_sha256"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )

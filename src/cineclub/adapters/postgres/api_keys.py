"""The keys to the API: made, listed and revoked by people, known to the service from memory."""

import asyncio
import contextlib
import logging
from collections.abc import Collection
from datetime import UTC, datetime

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries, session
from cineclub.domain.access import ApiKey, Scope, hash_of, new_secret
from cineclub.domain.errors import NotFound, StorageUnavailable

log = logging.getLogger(__name__)

SQL = named_queries("api_keys.sql")
SECONDS_BETWEEN_READS = 2.0
READS_BETWEEN_WRITES = 30


class PostgresApiKeys:
    """The keys as people handle them."""

    def __init__(self, database_url: str) -> None:
        """Use this database; each call opens one short connection."""
        self._database_url = database_url

    def create(self, name: str, scopes: Collection[Scope], expires_at: datetime | None) -> tuple[ApiKey, str]:
        """Make a key, and return it with its secret, which is kept nowhere.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        secret = new_secret()
        asked = {"name": name, "scopes": sorted(scopes), "secret_sha256": hash_of(secret), "expires_at": expires_at}
        with session(self._database_url) as connection:
            return _key_of(connection.execute(SQL["create"], asked).fetchall()[0]), secret

    def everything(self) -> list[ApiKey]:
        """Return every key there was, those that open nothing any more too."""
        with session(self._database_url) as connection:
            return [_key_of(row) for row in connection.execute(SQL["all"])]

    def revoke(self, key_id: int) -> ApiKey:
        """Let a key open nothing any more, and return it.

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
    """The keys in the memory of the service, read again every two seconds; while PostgreSQL is away as they were.

    When they were used is written down about once a minute, and at the end.
    """

    def __init__(self, pool: ServingPool) -> None:
        """Know no key yet."""
        self._pool = pool
        self._by_hash: dict[str, ApiKey] | None = None
        self._used_at: dict[int, datetime] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    def find(self, secret: str) -> ApiKey | None:
        """Return the key of a secret if it opens anything now.

        Raises:
            StorageUnavailable: the keys were never read since the start, so that nobody can say.
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
        """Read the keys, then keep reading."""
        await self._read()
        self._is_stopping = False
        self._task = asyncio.create_task(self._keep_reading(), name="api keys")

    async def stop(self) -> None:
        """Stop reading, and write down what was used."""
        if self._task is not None:
            self._is_stopping = True  # a query that is cancelled may end as a database error instead
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._note_uses()

    async def _keep_reading(self) -> None:
        """Read for as long as the service lives."""
        n_reads = 0
        while not self._is_stopping:
            await asyncio.sleep(SECONDS_BETWEEN_READS)
            n_reads += 1
            try:
                await self._read()
                if n_reads % READS_BETWEEN_WRITES == 0:
                    await self._note_uses()
            except Exception:
                log.exception("api_keys_not_read")

    async def _read(self) -> None:
        """Read the keys once; what was known stays while PostgreSQL is away."""
        with contextlib.suppress(StorageUnavailable):
            async with self._pool.connection() as connection:
                rows = await (await connection.execute(SQL["all"])).fetchall()
            self._by_hash = {row["secret_sha256"]: _key_of(row) for row in rows}

    async def _note_uses(self) -> None:
        """Write down when keys were used; while PostgreSQL is away that waits for the next time."""
        if not self._used_at:
            return
        used_at, self._used_at = self._used_at, {}
        asked = {"key_ids": list(used_at), "times": list(used_at.values())}
        try:
            async with self._pool.connection() as connection:
                await connection.execute(SQL["note_uses"], asked)
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

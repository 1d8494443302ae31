"""Concurrent updates of the last use of API keys."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg

from cineclub.adapters.postgres.api_keys import PostgresApiKeys
from cineclub.adapters.postgres.sessions import named_queries
from waiting import eventually

NOTE_USES = named_queries("api_keys.sql")["note_uses"].encode()
LOCK = "SELECT id FROM cineclub.api_keys WHERE id = %s FOR UPDATE NOWAIT"


def note(database_url: str, key_ids: list[int]) -> None:
    """Record the use of keys, in the given order."""
    with psycopg.connect(database_url) as connection:
        connection.execute(NOTE_USES, {"key_ids": key_ids, "times": [datetime.now(UTC)] * len(key_ids)})


def is_waiting(connection: psycopg.Connection) -> bool:
    """Return whether a statement waits for a row lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return connection.execute(waiting).fetchall() == [(1,)]


def test_keys_are_locked_in_the_order_of_their_ids(database_url: str) -> None:
    """Processes that used the same keys in different orders do not deadlock."""
    keys = PostgresApiKeys(database_url)
    first, second = sorted(keys.create(name, ["read"], None)[0].key_id for name in ("a", "b"))
    with (
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(database_url) as holder,
        psycopg.connect(database_url, autocommit=True) as other,
    ):
        holder.execute(LOCK, [first])
        noting = pool.submit(note, database_url, [second, first])
        eventually(lambda: is_waiting(other), 10)
        assert other.execute(LOCK, [second]).fetchall() == [(second,)]
        holder.rollback()
        noting.result(10)
    assert all(key.last_used_at is not None for key in keys.everything())

"""The record of MLflow's alias: it distinguishes our moves of the alias from moves outside."""

import contextlib
from collections.abc import Iterator

import psycopg

from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, named_queries, session

SQL = named_queries("versions.sql")


class AliasRecord:
    """The row about the alias, and the lock for moves of it.

    Its methods raise StorageUnavailable while PostgreSQL does not answer.
    """

    def __init__(self, database_url: str) -> None:
        """Use this database; each call opens one short connection."""
        self._database_url = database_url

    @contextlib.contextmanager
    def alias_lock(self, wait_seconds: float) -> Iterator[bool]:
        """Hold the lock under which the alias is moved; False where another process still held it after the wait."""
        with session(self._database_url) as connection:
            connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{max(1, int(wait_seconds * 1000))}",))
            try:
                connection.execute(SQL["alone"], {"family": ADVISORY_FAMILY, "alias": AdvisoryLock.ALIAS})
            except psycopg.errors.LockNotAvailable:
                yield False
                return
            yield True

    def recorded_alias(self) -> set[int | None]:
        """Return the versions that the alias can name if only cineclub moved it: two after a crash during a move."""
        with session(self._database_url) as connection:
            row = connection.execute(SQL["alias"]).fetchone() or {"version": None, "moving_to": None}
        return {row["version"]} if row["moving_to"] is None else {row["version"], row["moving_to"]}

    def note_alias_moving(self, version: int | None) -> None:
        """Record, before the move, the version that the alias is about to be set to."""
        with session(self._database_url) as connection:
            connection.execute(SQL["alias_is_moving"], {"version": version})

    def note_alias_moved(self, version: int | None) -> None:
        """Record, after the move, the version that the alias names; None where it was removed."""
        with session(self._database_url) as connection:
            connection.execute(SQL["alias_has_moved"], {"version": version})

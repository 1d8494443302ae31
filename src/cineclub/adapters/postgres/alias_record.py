"""Where MLflow's alias was last set to by us: what tells a move of ours from one that somebody made outside."""

import contextlib
from collections.abc import Iterator

import psycopg

from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, named_queries, session

SQL = named_queries("versions.sql")


class AliasRecord:
    """The one row about the alias, and the lock under which it is moved."""

    def __init__(self, database_url: str) -> None:
        """Use this database; each call opens one short connection."""
        self._database_url = database_url

    @contextlib.contextmanager
    def alone(self, wait_seconds: float) -> Iterator[bool]:
        """Say whether nobody else moves the alias while the block runs; False if somebody still did after the wait.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        with session(self._database_url) as connection:
            connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{max(1, int(wait_seconds * 1000))}",))
            try:
                connection.execute(SQL["alone"], {"family": ADVISORY_FAMILY, "alias": AdvisoryLock.ALIAS})
            except psycopg.errors.LockNotAvailable:
                yield False
                return
            yield True

    def ours(self) -> set[int | None]:
        """Return what the alias names if nobody but us moved it; two versions after a crash in the middle of a move."""
        with session(self._database_url) as connection:
            row = connection.execute(SQL["alias"]).fetchone() or {"version": None, "moving_to": None}
        return {row["version"]} if row["moving_to"] is None else {row["version"], row["moving_to"]}

    def is_moving(self, version: int | None) -> None:
        """Note, before the move, where the alias is about to be set to."""
        with session(self._database_url) as connection:
            connection.execute(SQL["alias_is_moving"], {"version": version})

    def has_moved(self, version: int | None) -> None:
        """Note, after the move, where the alias is; None where it was taken away."""
        with session(self._database_url) as connection:
            connection.execute(SQL["alias_has_moved"], {"version": version})

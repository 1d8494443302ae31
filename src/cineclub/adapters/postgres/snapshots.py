"""The records of snapshots and erasures that all hosts share."""

from dataclasses import asdict

from cineclub.adapters.postgres.sessions import named_queries, session
from cineclub.domain.ratings.log import SnapshotIdentity
from cineclub.domain.ratings.snapshot_records import Erasure, SnapshotRecord

SQL = named_queries("snapshots.sql")


class PostgresSnapshotRecords:
    """The tables of snapshots and of erasures, which every host with a folder of snapshots uses.

    Its methods raise StorageUnavailable while PostgreSQL does not answer.
    """

    def __init__(self, database_url: str) -> None:
        """Use this database."""
        self._database_url = database_url

    def note_kept(self, identity: SnapshotIdentity) -> None:
        """Record that a snapshot was completely written on a host."""
        with session(self._database_url) as connection:
            connection.execute(SQL["note_kept"], asdict(identity))

    def note_dropped(self, content_sha256s: list[str]) -> None:
        """Record that snapshots are about to be deleted."""
        with session(self._database_url) as connection:
            connection.execute(SQL["note_dropped"], {"content_sha256s": content_sha256s})

    def note_erased(self, content_sha256: str) -> None:
        """Record that a snapshot is about to be rewritten: its versions cannot be reproduced any more."""
        with session(self._database_url) as connection:
            connection.execute(SQL["note_erased"], {"content_sha256": content_sha256})

    def all(self) -> list[SnapshotRecord]:
        """Return every snapshot that was ever kept, newest first."""
        with session(self._database_url) as connection:
            return [SnapshotRecord(**row) for row in connection.execute(SQL["all"])]

    def erasures(self) -> list[Erasure]:
        """Return the erasures, oldest first."""
        with session(self._database_url) as connection:
            return [Erasure(row["id"], row["user_id"]) for row in connection.execute(SQL["erasures"])]

"""What is known of every snapshot, and who was erased: the part of it that all hosts share."""

from cineclub.adapters.postgres.sessions import named_queries, session
from cineclub.domain.errors import NotFound, ReadOnlySource
from cineclub.domain.ratings import SnapshotIdentity
from cineclub.ports import ErasedUser, Erasure, SnapshotRecord

SQL = named_queries("snapshots.sql")


class PostgresSnapshotRecords:
    """The table of snapshots and the list of erasures, as a host with a folder of snapshots uses them."""

    def __init__(self, database_url: str) -> None:
        """Use this database."""
        self._database_url = database_url

    def note_kept(self, identity: SnapshotIdentity) -> None:
        """Record that a snapshot lies whole in somebody's folder."""
        with session(self._database_url) as connection:
            connection.execute(
                SQL["note_kept"],
                {
                    "content_sha256": identity.content_sha256,
                    "n_ratings": identity.n_ratings,
                    "newest_rated_at": identity.newest_rated_at,
                },
            )

    def note_dropped(self, content_sha256s: list[str]) -> None:
        """Record that snapshots are about to be deleted."""
        with session(self._database_url) as connection:
            connection.execute(SQL["note_dropped"], {"content_sha256s": content_sha256s})

    def note_erased(self, content_sha256: str) -> None:
        """Record that a snapshot is about to be rewritten: what learned from it cannot be fitted again."""
        with session(self._database_url) as connection:
            connection.execute(SQL["note_erased"], {"content_sha256": content_sha256})

    def all(self) -> list[SnapshotRecord]:
        """Return every snapshot that was ever kept, newest first."""
        with session(self._database_url) as connection:
            return [SnapshotRecord(**row) for row in connection.execute(SQL["all"])]

    def erasures(self) -> list[Erasure]:
        """Return who was erased, in the order in which they were."""
        with session(self._database_url) as connection:
            return [Erasure(row["id"], row["user_id"]) for row in connection.execute(SQL["erasures"])]


class PostgresPeople:
    """Implements the port ``People`` on our own tables; people of the owner's views are erased by the owner."""

    def __init__(self, database_url: str, *, is_writable: bool) -> None:
        """Use this database; ``is_writable`` is false where ratings come from the owner's views."""
        self._database_url = database_url
        self._is_writable = is_writable

    def erase(self, user_id: str) -> ErasedUser:
        """Take ratings, logged answers and the user out in one transaction, which says too that snapshots must follow.

        Raises:
            NotFound: there is no such user.
            ReadOnlySource: ratings come from the owner's views.
            StorageUnavailable: PostgreSQL does not answer.
        """
        if not self._is_writable:
            message = (
                f"user {user_id} was not erased: ratings come from your own views (CINECLUB_SOURCE=external), erase "
                "them in your own system"
            )
            raise ReadOnlySource(message)
        with session(self._database_url) as connection, connection.transaction():
            row = connection.execute(SQL["lock_user"], {"external_id": user_id}).fetchone()
            if row is None:
                message = f"there is no user {user_id}: nothing was erased"
                raise NotFound(message)
            named = {"user_id": row["id"], "external_id": user_id}
            n_ratings = connection.execute(SQL["delete_ratings"], named).rowcount
            connection.execute(SQL["hold_log"])
            n_predictions = connection.execute(SQL["delete_predictions"], named).rowcount
            connection.execute(SQL["delete_comparisons"], named)
            connection.execute(SQL["delete_user"], named)
            connection.execute(SQL["note_erasure"], named)
            connection.execute(SQL["note_erased_lately"], named)
            connection.execute(SQL["tell_erased"], named)
        return ErasedUser(n_ratings, n_predictions)

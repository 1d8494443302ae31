"""The erasure of a user from every table that has the id."""

from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from cineclub.adapters.postgres.failures import storage_error
from cineclub.adapters.postgres.sessions import Row, named_queries, session
from cineclub.adapters.postgres.write_conflicts import retried
from cineclub.domain.errors import NotFound, StatementFailed
from cineclub.domain.ratings.snapshot_records import ErasedUser

SQL = named_queries("people.sql")


class PostgresPeople:
    """The users in cineclub's own tables: those with ratings, those of the owner's views, those who only asked."""

    def __init__(self, database_url: str, external_schema: str | None = None) -> None:
        """Use this database, and the schema of the owner's views where ratings come from there."""
        self._database_url = database_url
        self._external_schema = external_schema

    def erase(self, user_id: str) -> ErasedUser:
        """Delete a user with ratings and logged responses in one transaction, and record the erasure for snapshots.

        The id is announced to every process, and noted for a day against responses that are about to be logged, also
        if nothing is stored of it. The rows of the owner's views stay: they are counted.

        Raises:
            NotFound: nothing of ours names the user.
            Conflict: an import holds the ratings, or others change the same rows all the time.
            StorageUnavailable: PostgreSQL does not answer.
        """
        with session(self._database_url) as connection:
            n_owner_ratings = self._count_owner_ratings(connection, user_id)
            erased = retried(connection, lambda: _erase(connection, user_id, n_owner_ratings))
        if erased is None:
            message = f"there is no user {user_id}: nothing was erased"
            if n_owner_ratings:
                message = f"{message}, and {n_owner_ratings:,} ratings in your own views are yours to delete"
            raise NotFound(message)
        return erased

    def _count_owner_ratings(self, connection: psycopg.Connection[Row], user_id: str) -> int | None:
        """Return the number of ratings in the owner's view, 0 without views, None if it cannot be read."""
        if self._external_schema is None:
            return 0
        try:
            view = {"view": f'"{self._external_schema}".ratings'}
            kind = connection.execute(SQL["owner_user_id_type"], view).fetchone()
            if kind is None:
                return None
            names = {"schema": sql.Identifier(self._external_schema), "user_id_type": sql.SQL(kind["type"])}
            fits, query = (sql.SQL(SQL[name]).format(**names) for name in ("owner_user_id", "owner_ratings"))
            params = {"external_id": user_id}
            try:
                connection.execute(fits, params)
            except psycopg.DataError:  # an id that the owner's type cannot hold belongs to no user
                return 0
            return int(connection.execute(query, params).fetchall()[0]["n_ratings"])
        except psycopg.Error as error:
            if isinstance(error, psycopg.DataError) or isinstance(storage_error(error), StatementFailed):
                return None
            raise


def _erase(connection: psycopg.Connection[Row], user_id: str, n_owner_ratings: int | None) -> ErasedUser | None:
    """Delete everything that names a user within a transaction; return None if there was nothing."""
    connection.execute(SQL["begin"])
    params: dict[str, Any] = {"external_id": user_id}
    user = connection.execute(SQL["lock_user"], params).fetchone()
    params["user_id"] = user and user["id"]
    n_ratings = connection.execute(SQL["delete_ratings"], params).rowcount
    connection.execute(SQL["hold_log"])
    n_predictions = connection.execute(SQL["delete_predictions"], params).rowcount
    n_compared = connection.execute(SQL["delete_comparisons"], params).rowcount
    erased_at: datetime | None = None
    learned_version: int | None = None
    if user is not None:
        connection.execute(SQL["delete_user"], params)
        erased_at = connection.execute(SQL["note_erasure"], params).fetchall()[0]["erased_at"]
        serving = connection.execute(SQL["learned_version"]).fetchone()
        learned_version = serving["version"] if serving else None
    connection.execute(SQL["note_erased_lately"], params)
    connection.execute(SQL["announce_erased"], params)
    if user is None and not n_predictions and not n_compared:
        return None
    return ErasedUser(n_ratings, n_predictions, erased_at, learned_version, n_owner_ratings)

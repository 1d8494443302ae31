"""Erased users from whom the version in production may have learned."""

from datetime import datetime

from cineclub.adapters.postgres.sessions import named_queries, session

SQL = named_queries("erasures.sql")


def erased_after_learning(database_url: str) -> datetime | None:
    """Return when the last user was erased from whom the version in production may have learned; None if there is none.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
    """
    with session(database_url) as connection:
        erased_at: datetime | None = connection.execute(SQL["erased_after_learning"]).fetchall()[0]["erased_at"]
    return erased_at

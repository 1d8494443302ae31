"""Versioned migrations: the SQL files of ``migrations/``, each applied once, in order of their numbers."""

from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg

from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, session
from cineclub.domain.errors import InvalidInput

BOOKKEEPING = """
CREATE SCHEMA IF NOT EXISTS cineclub;
CREATE TABLE IF NOT EXISTS cineclub.schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration: its number, its file's name and its statements."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The version of a PostgreSQL server, and the number of its newest migration."""

    server_version: str
    migration: int


def server_facts(database_url: str) -> ServerFacts:
    """Return the facts of a migrated server; raise StorageUnavailable while it does not answer."""
    query = (
        "SELECT current_setting('server_version') AS version, max(version) AS newest FROM cineclub.schema_migrations"
    )
    with session(database_url) as connection:
        row = connection.execute(query).fetchall()[0]
    return ServerFacts(row["version"].split()[0], row["newest"])


def migrations() -> list[Migration]:
    """Return every migration of this release by rising number."""
    files = [file for file in resources.files(__package__).joinpath("migrations").iterdir() if file.name[:4].isdigit()]
    unsorted = [Migration(int(file.name[:4]), file.name, file.read_text("utf-8")) for file in files]
    return sorted(unsorted, key=lambda migration: migration.version)


def migrate(database_url: str) -> list[int]:
    """Apply the missing migrations, all or none, and return their numbers.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
        InvalidInput: the role may not create the schema, or the database was migrated by a newer release.
    """
    with session(database_url) as connection:
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (ADVISORY_FAMILY, AdvisoryLock.MIGRATIONS))
                return apply_missing(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            message = f"the role may not create the schema cineclub ({error}): GRANT CREATE ON DATABASE … TO the role"
            raise InvalidInput(message) from error


def apply_missing(connection: psycopg.Connection[dict[str, Any]], newest: int | None = None) -> list[int]:
    """Apply the migrations that the bookkeeping lacks, up to a number if one is given, and return their numbers.

    Call it in a transaction that holds the lock of migrations.

    Raises:
        InvalidInput: the database was migrated by a newer release.
    """
    if connection.execute("SELECT to_regclass('cineclub.schema_migrations') AS name").fetchall()[0]["name"] is None:
        connection.execute(BOOKKEEPING)
    applied = {row["version"] for row in connection.execute("SELECT version FROM cineclub.schema_migrations")}
    known = migrations()
    if unknown := applied - {migration.version for migration in known}:
        message = f"the database has migrations {sorted(map(str, unknown))} of a newer cineclub: install that release"
        raise InvalidInput(message)
    wanted = [migration for migration in known if newest is None or migration.version <= newest]
    missing = [migration for migration in wanted if migration.version not in applied]
    for migration in missing:
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO cineclub.schema_migrations (version, name) VALUES (%s, %s)",
            (migration.version, migration.name),
        )
    return [migration.version for migration in missing]

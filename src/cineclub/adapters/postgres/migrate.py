"""Versioned migrations: the SQL files of ``migrations/``, applied once each, in order of their numbers."""

from dataclasses import dataclass
from importlib import resources

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
    """One step of the schema: its number, its file's name and its statements."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Which PostgreSQL answers, and the number of the newest migration applied there."""

    server_version: str
    migration: int


def server_facts(database_url: str) -> ServerFacts:
    """Return what answers at an address that was migrated.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
    """
    query = (
        "SELECT current_setting('server_version') AS version, max(version) AS newest FROM cineclub.schema_migrations"
    )
    with session(database_url) as connection:
        row = connection.execute(query).fetchall()[0]
    return ServerFacts(row["version"].split()[0], row["newest"])


def migrations() -> list[Migration]:
    """Return every migration of this release by rising number."""
    files = [file for file in resources.files(__package__).joinpath("migrations").iterdir() if file.name[:4].isdigit()]
    found = [Migration(int(file.name[:4]), file.name, file.read_text("utf-8")) for file in files]
    return sorted(found, key=lambda migration: migration.version)


def migrate(database_url: str) -> list[int]:
    """Apply what is missing, all or nothing, and return the numbers applied.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
        InvalidInput: the role may not create the schema, or the database was migrated by a newer release.
    """
    with session(database_url) as connection:
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (ADVISORY_FAMILY, AdvisoryLock.MIGRATIONS))
                return _apply_missing(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            message = f"the role may not create the schema cineclub ({error}): GRANT CREATE ON DATABASE … TO the role"
            raise InvalidInput(message) from error


def _apply_missing(connection: psycopg.Connection[dict[str, object]]) -> list[int]:
    """Apply the migrations that the bookkeeping lacks."""
    if connection.execute("SELECT to_regclass('cineclub.schema_migrations') AS found").fetchall()[0]["found"] is None:
        connection.execute(BOOKKEEPING)
    applied = {row["version"] for row in connection.execute("SELECT version FROM cineclub.schema_migrations")}
    known = migrations()
    if unknown := applied - {migration.version for migration in known}:
        message = f"the database has migrations {sorted(map(str, unknown))} of a newer cineclub: install that release"
        raise InvalidInput(message)
    missing = [migration for migration in known if migration.version not in applied]
    for migration in missing:
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO cineclub.schema_migrations (version, name) VALUES (%s, %s)",
            (migration.version, migration.name),
        )
    return [migration.version for migration in missing]

"""Restoring of a backup: everything is checked first, and the former state stays until the new one is complete."""

import contextlib
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from cineclub.adapters.postgres.backup import OF_THIS_SERVER, SCHEMAS
from cineclub.adapters.postgres.backup_file import DUMP, FOLDERS, BackupFacts, unpack
from cineclub.adapters.postgres.copy_errors import copy_errors
from cineclub.adapters.postgres.dumped_rows import Loading, Rows, dumped, load_rows
from cineclub.adapters.postgres.jobs import without_workers
from cineclub.adapters.postgres.migrate import apply_missing, migrations
from cineclub.adapters.postgres.programs import output_of
from cineclub.adapters.postgres.restored_folders import Exchange, exchange_of, settle_restore
from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, session
from cineclub.domain.errors import InvalidInput, StorageUnavailable

ANYTHING = """
(SELECT 1 FROM cineclub.ratings LIMIT 1) UNION ALL
(SELECT 1 FROM cineclub.trainings LIMIT 1) UNION ALL
(SELECT 1 FROM cineclub.promotions LIMIT 1)
"""
REGISTRY_BESIDE = "cineclub_restored_mlflow"
"""The schema of the restored registry until the database is exchanged."""

BOOKKEEPING = frozenset({"schema_migrations", "alembic_version"})
"""Tables whose rows are those of the migrations that were applied here."""

NEWEST = "heads"
ADDRESSES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "model_versions": ("source", "storage_location"),
}
MigrateRegistry = Callable[[str, str, str], None]
"""Create or upgrade MLflow's tables: address of the database, schema, revision."""

REFUSALS = (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.NotSupportedError)
"""Errors of PostgreSQL about the rows of a backup."""

Connection = psycopg.Connection[dict[str, Any]]


def restore(
    source: Path, database_url: str, home: Path, migrate_registry: MigrateRegistry, *, replace: bool = False
) -> list[str]:
    """Restore everything, also into another home than that of the backup, and return the tables left out.

    Tables are made by the migrations of cineclub and MLflow, so that nothing of the backup is executed; tables that
    they do not make are left out. The database changes in one transaction.

    Raises:
        Conflict: a worker is alive, whose work would be lost, or another restore is running.
        InvalidInput: the file is no backup, damaged or of a newer release, or the database is in use and ``replace``
            is not set; nothing has changed.
        RegistryUnavailable: MLflow's tables cannot be made; nothing has changed.
        StorageUnavailable: PostgreSQL does not answer or refuses the rows, its programs fail, or the disk is full; what
            was there before is kept, or put back by the next command.
    """
    with copy_errors("nothing was restored"):
        source.stat()  # before the advice to replace everything
    if not replace and _holds_anything(database_url):
        message = "the database is in use already: restore with --replace to replace its content by the backup"
        raise InvalidInput(message)
    with (
        without_workers(database_url),
        copy_errors(f"{source} was not restored"),
        exchange_of(home, database_url, FOLDERS) as exchange,
    ):
        facts = unpack(source, exchange.new)
        _check_migration(facts, source)
        try:
            return _restore_unpacked(exchange, facts, database_url, migrate_registry)
        except REFUSALS as error:
            raise _refused(error) from error


def settle_killed_restore(home: Path, database_url: str) -> None:
    """Complete or undo a restore whose process was killed; a running one is left alone.

    Raises:
        InvalidInput: the former folders cannot be moved back.
        StorageUnavailable: PostgreSQL does not answer, or the disk is full.
    """
    with copy_errors(f"the restore that was killed in {home} was not undone"):
        settle_restore(home, database_url, FOLDERS)


def _check_migration(facts: BackupFacts, source: Path) -> None:
    """Raise InvalidInput for a backup whose tables this release cannot make."""
    known = [migration.version for migration in migrations()]
    if facts.migration > known[-1]:
        message = f"{source} was made by a newer cineclub: restore it with that release"
        raise InvalidInput(message)
    if facts.migration not in known:
        message = f"{source} names no migration of cineclub: use another"
        raise InvalidInput(message)


def _restore_unpacked(
    exchange: Exchange, facts: BackupFacts, database_url: str, migrate_registry: MigrateRegistry
) -> list[str]:
    """Replace database and folders by those of an unpacked backup, and return the tables left out."""
    dump = exchange.new / DUMP
    try:
        revision = _registry_revision(dump)
        left_out = _restore_registry_beside(database_url, dump, facts, exchange, revision, migrate_registry)
        with session(database_url) as connection, connection.transaction():
            lock = (ADVISORY_FAMILY, AdvisoryLock.MIGRATIONS)
            connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", lock)
            left_out += _replace_schemas(connection, dump, facts)
            _put_registry_in_place(connection, is_restored=revision is not None)
            apply_missing(connection)
            connection.execute("SELECT cineclub.note_older_change(true)")  # for a service that keeps counts in memory
            comment = sql.SQL("COMMENT ON SCHEMA cineclub IS {}").format(sql.Literal(exchange.mark))
            connection.execute(comment)
            exchange.exchange()
        return left_out
    finally:
        with contextlib.suppress(StorageUnavailable):  # the next restore deletes it
            _drop_registry_beside(database_url)


def _replace_schemas(connection: Connection, dump: Path, facts: BackupFacts) -> list[str]:
    """Replace cineclub's schema by that of the backup's release with its rows, and return the tables left out."""
    connection.execute("SELECT pg_notify('cineclub_ratings', '')")  # for a service that keeps histories in memory
    for schema in SCHEMAS:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
    apply_missing(connection, facts.migration)
    return _load(connection, dump, Loading("cineclub", "cineclub", BOOKKEEPING | OF_THIS_SERVER))


def _load(connection: Connection, dump: Path, loading: Loading) -> list[str]:
    """Load the rows of one schema of a dump, and return the tables left out."""
    with output_of("pg_restore", "--data-only", f"--schema={loading.dumped_schema}", "--file=-", str(dump)) as script:
        try:
            return load_rows(connection, script, loading)
        except REFUSALS as error:  # here, as elsewhere some of them say that the database is not as it should be
            raise _refused(error) from error


def _refused(error: psycopg.Error) -> InvalidInput:
    """Return the error about a backup whose rows PostgreSQL does not take."""
    cause = str(error).partition("\n")[0]
    return InvalidInput(f"the backup was not restored: PostgreSQL refuses its rows ({cause}): use another")


def _registry_revision(dump: Path) -> str | None:
    """Return the revision of MLflow's tables in a dump; None if it has none."""
    options = ("--data-only", "--schema=mlflow", "--table=alembic_version", "--file=-")
    rows = b""
    with output_of("pg_restore", *options, str(dump)) as script:
        for part in dumped(script, "mlflow"):
            rows += b"".join(part.blocks) if isinstance(part, Rows) else b""
    revision = rows.decode("utf-8").strip()
    if not revision:
        return None
    if not revision.isalnum():
        message = "the backup names no revision of MLflow's tables: use another"
        raise InvalidInput(message)
    return revision


def _restore_registry_beside(
    database_url: str,
    dump: Path,
    facts: BackupFacts,
    exchange: Exchange,
    revision: str | None,
    migrate_registry: MigrateRegistry,
) -> list[str]:
    """Make MLflow's tables of the backup in a schema of their own, upgrade them, and return the tables left out."""
    _drop_registry_beside(database_url)
    if revision is None:
        return []
    with session(database_url) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(REGISTRY_BESIDE)))
    migrate_registry(database_url, REGISTRY_BESIDE, revision)
    with session(database_url) as connection, connection.transaction():
        left_out = _load(connection, dump, Loading(REGISTRY_BESIDE, "mlflow", BOOKKEEPING))
        _move_addresses(connection, facts.homes, str(exchange.home.resolve()))
    migrate_registry(database_url, REGISTRY_BESIDE, NEWEST)
    return left_out


def _put_registry_in_place(connection: Connection, *, is_restored: bool) -> None:
    """Give the restored registry its name."""
    if is_restored:
        connection.execute("DROP SCHEMA mlflow")  # the empty one that a migration has made
        connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO mlflow").format(sql.Identifier(REGISTRY_BESIDE)))


def _drop_registry_beside(database_url: str) -> None:
    """Delete a restored registry that has not taken its place."""
    with session(database_url) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(REGISTRY_BESIDE)))


def _move_addresses(connection: Connection, old_homes: Sequence[str], new_home: str) -> None:
    """Replace the old homes in the registry's artifact addresses by the new one."""
    # The registry keeps addresses with spaces and the like percent-encoded.
    moves = dict.fromkeys(old_homes, new_home) | {quote(old): quote(new_home) for old in old_homes}
    update = sql.SQL("UPDATE {} SET {column} = replace({column}, %s, %s) WHERE position(%s in {column}) > 0")
    for table, names in ADDRESSES.items():
        for name, (old, new) in product(names, moves.items()):
            statement = update.format(sql.Identifier(REGISTRY_BESIDE, table), column=sql.Identifier(name))
            connection.execute(statement, (old, new, old))


def _holds_anything(database_url: str) -> bool:
    """Return whether there is a rating, a training or a promotion."""
    with session(database_url) as connection:
        try:
            return bool(connection.execute(ANYTHING.encode()).fetchall())
        except psycopg.errors.UndefinedTable:
            return False

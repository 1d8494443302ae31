"""Migrations are applied once and in order, also by concurrent processes."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from cineclub.adapters.postgres.migrate import migrate, migrations
from cineclub.domain.errors import InvalidInput

EVERY_VERSION = [migration.version for migration in migrations()]


def test_numbers_rise_from_one_without_a_twin() -> None:
    """Numbers of migrations are consecutive and unique."""
    assert EVERY_VERSION[0] == 1
    assert len(set(EVERY_VERSION)) == len(EVERY_VERSION)


def test_a_new_database_gets_every_migration_and_a_migrated_one_none(empty_database_url: str) -> None:
    """A second call applies no migration."""
    assert migrate(empty_database_url) == EVERY_VERSION
    assert migrate(empty_database_url) == []


def test_two_processes_migrate_a_new_database_once(empty_database_url: str) -> None:
    """Of concurrent processes one applies the migrations and the others wait."""
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrate, [empty_database_url] * 4))
    assert sorted(applied) == [[], [], [], EVERY_VERSION]


def test_a_database_of_a_newer_release_is_left_alone(database_url: str) -> None:
    """An older release does not write into a schema it does not know."""
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO cineclub.schema_migrations (version, name) VALUES (9999, 'of tomorrow')")
    with pytest.raises(InvalidInput, match="newer"):
        migrate(database_url)


def test_promotions_are_append_only(database_url: str) -> None:
    """Promotions can be added but not changed."""
    add = (
        "INSERT INTO cineclub.promotions (version, verdict, reason, promoted_by, recipe, manifest_sha256,"
        " artifact_folder) VALUES (1, 'PROMOTE', 'better', 'gate', '{}', 'abc', 'models/1')"
    )
    with psycopg.connect(database_url) as connection:
        connection.execute(add)
    for change in ("UPDATE cineclub.promotions SET reason = 'x'", "DELETE FROM cineclub.promotions"):
        with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.RaiseException, match="append"):
            connection.execute(change.encode())

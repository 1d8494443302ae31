"""A backup brings back everything, into another home too, and nothing else is ever replaced by accident."""

from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres.backup import backup, restore
from cineclub.domain.errors import InvalidInput

CONTENT = """
INSERT INTO cineclub.catalogue (scale_lowest, scale_highest, movie_ids_are_integers, user_ids_are_integers)
VALUES (0.5, 5, true, true);
INSERT INTO cineclub.users (external_id) VALUES ('7');
INSERT INTO cineclub.movies (external_id, title) VALUES ('10', 'Heat');
INSERT INTO cineclub.ratings VALUES (1, 1, 4.5, '2020-01-01Z');
INSERT INTO cineclub.promotions (version, verdict, reason, promoted_by, recipe, manifest_sha256, artifact_folder)
VALUES (1, 'PROMOTE', 'better', 'gate', '{}', 'abc', '1-abc');
CREATE SCHEMA IF NOT EXISTS mlflow;
CREATE TABLE mlflow.runs (artifact_uri text);
"""
EVERYTHING = (
    "SELECT u.external_id, m.title, r.rating, r.rated_at, p.version FROM cineclub.ratings r"
    " JOIN cineclub.users u ON u.id = r.user_id JOIN cineclub.movies m ON m.id = r.movie_id, cineclub.promotions p"
)


def fill(url: str, home: Path) -> None:
    """Make a state worth keeping."""
    with psycopg.connect(url) as connection:
        connection.execute(CONTENT.encode())
        connection.execute("INSERT INTO mlflow.runs VALUES (%s)", (f"file://{home}/artifacts/1",))
    (home / "artifacts" / "1").mkdir(parents=True)
    (home / "artifacts" / "1" / "manifest.json").write_text("{}")


def everything(url: str) -> list[tuple[object, ...]]:
    """What the tables hold."""
    with psycopg.connect(url) as connection:
        return connection.execute(EVERYTHING.encode()).fetchall()


def test_a_backup_is_restored_into_another_home(
    database_url: str, empty_database_url: str, home: Path, tmp_path: Path
) -> None:
    """Data, history, registry and artifacts come back, and the registry names the files where they are now."""
    old_home, new_home = home / "old", home / "new"
    old_home.mkdir()
    fill(database_url, old_home)
    target = tmp_path / "cineclub.backup"
    assert backup(database_url, old_home, target) == target.stat().st_size
    restore(target, empty_database_url, new_home)
    assert everything(empty_database_url) == everything(database_url)
    assert (new_home / "artifacts" / "1" / "manifest.json").read_text() == "{}"
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT artifact_uri FROM mlflow.runs").fetchall() == [
            (f"file://{new_home}/artifacts/1",)
        ]


def test_ratings_are_replaced_only_when_asked(database_url: str, home: Path, tmp_path: Path) -> None:
    """A restore over ratings is refused, and with --replace puts the backup in their place."""
    fill(database_url, home)
    target = tmp_path / "cineclub.backup"
    backup(database_url, home, target)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE cineclub.ratings SET rating = 1")
    with pytest.raises(InvalidInput, match="--replace"):
        restore(target, database_url, home)
    assert everything(database_url)[0][2] == 1
    restore(target, database_url, home, replace=True)
    assert everything(database_url)[0][2] == 4.5


def test_an_existing_file_is_not_overwritten(database_url: str, home: Path, tmp_path: Path) -> None:
    """The last good backup survives a second one of the same name."""
    target = tmp_path / "cineclub.backup"
    target.write_text("precious")
    with pytest.raises(InvalidInput, match="another name"):
        backup(database_url, home, target)
    assert target.read_text() == "precious"


@pytest.mark.parametrize("damage", ["cut", "not an archive", "flipped"])
def test_a_damaged_backup_changes_nothing(database_url: str, home: Path, tmp_path: Path, damage: str) -> None:
    """The file is checked before the database is touched."""
    fill(database_url, home)
    target = tmp_path / "cineclub.backup"
    backup(database_url, home, target)
    content = target.read_bytes()
    half = len(content) // 2
    target.write_bytes(
        {
            "cut": content[:half],
            "not an archive": b"hello",
            "flipped": content[:half] + bytes([content[half] ^ 0xFF]) + content[half + 1 :],
        }[damage]
    )
    before = everything(database_url)
    with pytest.raises(InvalidInput, match="backup"):
        restore(target, database_url, home, replace=True)
    assert everything(database_url) == before

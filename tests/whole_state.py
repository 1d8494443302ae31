"""Everything a backup has: the rows of every table and the hash of every file, for comparing before and after."""

import hashlib
from pathlib import Path

import psycopg
from psycopg import sql

from cineclub.adapters.mlflow.tables import migrate_tables
from cineclub.adapters.postgres.backup import OF_THIS_SERVER
from cineclub.adapters.postgres.backup_file import FOLDERS
from cineclub.adapters.postgres.restore import restore

TABLES = """
SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('cineclub', 'mlflow')
AND tablename NOT IN ('schema_migrations', 'alembic_version') ORDER BY 1, 2
"""
CONTENT = """
INSERT INTO cineclub.catalogue (scale_lowest, scale_highest, movie_ids_are_integers, user_ids_are_integers)
VALUES (0.5, 5, true, true);
INSERT INTO cineclub.users (external_id) VALUES ('7');
INSERT INTO cineclub.movies (external_id, title, genres) VALUES ('10', E'He\\\\at\\n\\t\\\\.', '{Crime,"a, b"}');
INSERT INTO cineclub.ratings VALUES (1, 1, 4.5, '2020-01-01Z');
INSERT INTO cineclub.promotions (version, verdict, reason, promoted_by, recipe, manifest_sha256, artifact_folder)
VALUES (1, 'PROMOTE', 'better', 'gate', '{}', 'abc', '1-abc');
"""


def fill(url: str, home: Path, size: int = 3) -> None:
    """Fill the database, which has MLflow's tables, and the folders of a home."""
    with psycopg.connect(url) as connection:
        connection.execute(CONTENT.encode())
        location = f"file://{home}/artifacts/1"
        connection.execute(
            "INSERT INTO mlflow.experiments (name, artifact_location, workspace) VALUES ('cineclub', %s, 'default')",
            (location,),
        )
    for name in ("artifacts/1/manifest.json", "models/1-abc/model.weights.npy", "snapshots/ab/ratings.parquet"):
        (home / name).parent.mkdir(parents=True)
        (home / name).write_bytes(hashlib.sha256(name.encode()).digest() * size)


def rows_of(url: str) -> dict[str, list[str]]:
    """Return the rows of every table as text, sorted, without those that mean something on one server alone."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(TABLES.encode()).fetchall()
        return {
            f"{schema}.{table}": sorted(
                str(row)
                for row in connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table)))
            )
            for schema, table in tables
            if table not in OF_THIS_SERVER
        }


def files_of(home: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in the folders of a home."""
    paths = [path for name in FOLDERS for path in sorted((home / name).rglob("*")) if path.is_file()]
    return {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def state_of(url: str, home: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the rows and the hashes."""
    return rows_of(url), files_of(home)


def change(url: str, home: Path) -> None:
    """Change a row, a file and a folder, so that a restore has an effect."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE cineclub.ratings SET rating = 1")
    (home / "artifacts" / "1" / "manifest.json").write_text("changed")
    (home / "models" / "2-def").mkdir()
    (home / "models" / "2-def" / "manifest.json").write_text("another version")


def restored(source: Path, url: str, home: Path, *, replace: bool = True) -> list[str]:
    """Restore a backup over whatever is there, and return the tables left out."""
    return restore(source, url, home, migrate_tables, replace=replace)

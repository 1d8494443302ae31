"""One file with everything: the database's two schemas, the registry's artifacts, and the snapshots.

It is also the way from one major version of PostgreSQL to the next: a dump is read by every newer version.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from cineclub.adapters.postgres.embedded import packaged_binaries
from cineclub.adapters.postgres.migrate import migrate, migrations
from cineclub.adapters.postgres.sessions import session
from cineclub.domain.errors import InvalidInput, StorageUnavailable

FORMAT = 1
ANYTHING = """
(SELECT 1 FROM cineclub.ratings LIMIT 1) UNION ALL
(SELECT 1 FROM cineclub.trainings LIMIT 1) UNION ALL
(SELECT 1 FROM cineclub.promotions LIMIT 1)
"""
SCHEMAS = ("cineclub", "mlflow")
FACTS, DUMP = "backup.json", "database.dump"
FOLDERS = ("artifacts", "models", "snapshots")
ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "options": "PGOPTIONS",
}


def backup(database_url: str, home: Path, target: Path) -> int:
    """Write everything into one file, complete or not at all, and return its size in bytes.

    Raises:
        InvalidInput: the file is there already.
        StorageUnavailable: PostgreSQL does not answer, or its programs fail.
    """
    if target.exists():
        message = f"{target} is there already: choose another name"
        raise InvalidInput(message)
    unfinished = target.with_name(f"{target.name}.unfinished")
    with tempfile.TemporaryDirectory(prefix="cineclub-backup-") as folder:
        dump = Path(folder) / DUMP
        schemas = [f"--schema={schema}" for schema in SCHEMAS]
        _run(database_url, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", *schemas, f"--file={dump}")
        facts = {
            "format": FORMAT,
            "migration": migrations()[-1].version,
            "homes": sorted({str(home.absolute()), str(home.resolve())}, key=len, reverse=True),
            "dump_sha256": _sha256(dump),
        }
        with tarfile.open(unfinished, "w:gz", compresslevel=1) as archive:
            _add_text(archive, FACTS, json.dumps(facts, indent=1))
            archive.add(dump, DUMP)
            for name in FOLDERS:
                if (home / name).is_dir():
                    archive.add(home / name, name)
    unfinished.rename(target)
    return target.stat().st_size


def restore(source: Path, database_url: str, home: Path, *, replace: bool = False) -> None:
    """Bring everything back, into this home too if the backup was made in another.

    The database changes in one transaction; it is migrated to this release afterwards.

    Raises:
        InvalidInput: the file is no backup, damaged or of a newer release, or the database is in use and ``replace``
            is not set; nothing has changed.
        StorageUnavailable: PostgreSQL does not answer, or its programs fail.
    """
    if not replace and _holds_anything(database_url):
        message = (
            "the database is in use already: restore with --replace to put the backup in the place of what is there"
        )
        raise InvalidInput(message)
    with _unpacked(source) as folder:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        if facts["format"] != FORMAT or facts["migration"] > migrations()[-1].version:
            message = f"{source} was made by a newer cineclub: restore it with that release"
            raise InvalidInput(message)
        if facts["dump_sha256"] != _sha256(folder / DUMP):
            message = f"{source} is a damaged backup: use another"
            raise InvalidInput(message)
        script = folder / "database.sql"
        options = ("--no-owner", "--no-privileges", f"--file={script}")
        _run(database_url, "pg_restore", *options, str(folder / DUMP))
        _drop_settings_of_newer_servers(script)
        with _folders_beside(folder, home) as put_in_place:
            _replace_schemas(database_url, script)
            put_in_place()
    _move_addresses(database_url, facts["homes"], str(home.resolve()))
    migrate(database_url)


def _replace_schemas(database_url: str, script: Path) -> None:
    """Put the dump's schemas in the place of those that are there, in one transaction."""
    head = script.with_name("head.sql")
    drops = [f"DROP SCHEMA IF EXISTS {schema} CASCADE;" for schema in SCHEMAS]
    notice = "SELECT pg_notify('cineclub_ratings', '');"  # for a service that keeps histories in memory
    head.write_text("\n".join([notice, *drops]) + "\n", "utf-8")
    options = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=" + os.devnull)
    _run(database_url, "psql", *options, f"--file={head}", f"--file={script}")


def _drop_settings_of_newer_servers(script: Path) -> None:
    """Take out of the script what servers older than the programs do not know."""
    with script.open("rb") as source, script.with_suffix(".older").open("wb") as target:
        target.writelines(line for line in source if not line.startswith(b"SET transaction_timeout"))
    script.with_suffix(".older").rename(script)


@contextmanager
def _folders_beside(source: Path, home: Path) -> Iterator[Callable[[], None]]:
    """Copy the backup's folders beside those of the home, and give what puts them in their place by renaming."""
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=home) as beside:
        for name in FOLDERS:
            if (source / name).is_dir():
                shutil.copytree(source / name, Path(beside) / name)

        def put_in_place() -> None:
            for name in FOLDERS:
                if (home / name).is_dir():
                    (home / name).rename(Path(beside) / f"former-{name}")
                if (Path(beside) / name).is_dir():
                    (Path(beside) / name).rename(home / name)

        yield put_in_place


def _move_addresses(database_url: str, old_homes: Sequence[str], new_home: str) -> None:
    """Let the registry name the artifacts where they are now."""
    columns = {
        "mlflow.experiments": ("artifact_location",),
        "mlflow.runs": ("artifact_uri",),
        "mlflow.model_versions": ("source", "storage_location"),
    }
    # The registry keeps addresses with spaces and the like percent-encoded.
    moves = dict.fromkeys(old_homes, new_home) | {quote(old): quote(new_home) for old in old_homes}
    with session(database_url) as connection, connection.transaction():
        for table, names in columns.items():
            found = connection.execute("SELECT to_regclass(%s) AS name", (table,)).fetchall()
            for name, (old, new) in product(names if found[0]["name"] else (), moves.items()):
                statement = f"UPDATE {table} SET {name} = replace({name}, %s, %s) WHERE position(%s in {name}) > 0"  # noqa: S608
                connection.execute(statement.encode(), (old, new, old))


def _holds_anything(database_url: str) -> bool:
    """Say whether there is a rating, a training or a promotion."""
    with session(database_url) as connection:
        try:
            return bool(connection.execute(ANYTHING.encode()).fetchall())
        except psycopg.errors.UndefinedTable:
            return False


@contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    """Give a folder with the files of a backup."""
    with tempfile.TemporaryDirectory(prefix="cineclub-restore-") as folder:
        try:
            with tarfile.open(source) as archive:
                archive.extractall(folder, filter="data")
        except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
            message = f"{source} is not a backup of cineclub, or is cut short ({error}): use another"
            raise InvalidInput(message) from error
        if not (Path(folder) / FACTS).is_file() or not (Path(folder) / DUMP).is_file():
            message = f"{source} is not a backup of cineclub: use a file that `cineclub backup` made"
            raise InvalidInput(message)
        yield Path(folder)


def _run(database_url: str, program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL on the database; the password goes by the environment, which others cannot read."""
    parameters = conninfo_to_dict(database_url)
    environment = {ENVIRONMENT[name]: str(value) for name, value in parameters.items() if name in ENVIRONMENT}
    command = [str(packaged_binaries().folder / program), *arguments]
    done = subprocess.run(  # noqa: S603 - our own
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()[-1:] or ["no words"]
        message = f"{program} failed ({words[0]}): run `cineclub doctor`, then try again"
        raise StorageUnavailable(message)


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    """Add a text as a file."""
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Backups: one file with the database's two schemas, the registry's artifacts, and the snapshots.

A backup also moves the data to a newer major version of PostgreSQL, which can read the dumps of older ones.
"""

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import IO

from cineclub.adapters.postgres.backup_file import DUMP, FACTS, FOLDERS, FORMAT, BackupWriter, backup_writer
from cineclub.adapters.postgres.copy_errors import copy_errors
from cineclub.adapters.postgres.migrate import migrations
from cineclub.adapters.postgres.programs import run_on_database
from cineclub.domain.errors import InvalidInput
from cineclub.runtime.unfinished import unfinished_file

SCHEMAS = ("cineclub", "mlflow")
OF_THIS_SERVER = frozenset({"older_rating_changes", "older_crowd_counts"})
"""Tables whose rows name transactions of this server, and are made anew."""


def backup(database_url: str, home: Path, target: Path) -> int:
    """Write everything into one file that its owner alone may read, complete or not at all; return its size in bytes.

    Raises:
        InvalidInput: the file is there already, or cannot be written, or a file of the home cannot be read.
        StorageUnavailable: PostgreSQL does not answer, its programs fail, or the disk is full.
    """
    if os.path.lexists(target):
        message = f"{target} is there already: choose another name"
        raise InvalidInput(message)
    if not target.absolute().parent.is_dir():
        message = f"the folder {target.absolute().parent} does not exist: create it first"
        raise InvalidInput(message)
    with copy_errors(f"the backup {target} was not written"), unfinished_file(target, is_private=True) as unfinished:
        _write(database_url, home, unfinished)
    return target.stat().st_size


def _write(database_url: str, home: Path, path: Path) -> None:
    """Write everything into an empty file; the dump is in a file without a name until then."""
    with tempfile.TemporaryFile(dir=path.parent) as dump, backup_writer(path) as writer:
        schemas = [f"--schema={schema}" for schema in SCHEMAS]
        options = ("--format=custom", "--encoding=UTF8", "--no-owner", "--no-privileges")
        left_out = [f"--exclude-table-data=cineclub.{table}" for table in sorted(OF_THIS_SERVER)]
        run_on_database(database_url, dump, "pg_dump", *options, *schemas, *left_out)
        facts = {
            "format": FORMAT,
            "migration": migrations()[-1].version,
            "homes": sorted({str(home.absolute()), str(home.resolve())}, key=len, reverse=True),
        }
        writer.add_bytes(FACTS, json.dumps(facts, indent=1).encode())
        _add_file(writer, dump, DUMP)
        for name in FOLDERS:
            if (home / name).is_dir():
                _add_folder(writer, home / name, name)


def _add_folder(writer: BackupWriter, folder: Path, name: str) -> None:
    """Add the files of a folder and of the folders in it; unfinished files of processes at work are left out.

    Raises:
        InvalidInput: it has a link, a device or the like.
    """
    for path in sorted(folder.iterdir()):
        is_hidden = path.name.startswith(".") and not name.startswith("artifacts")
        if is_hidden or path.name.endswith(".unfinished"):
            continue
        try:
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                _add_folder(writer, path, f"{name}/{path.name}")
            elif stat.S_ISREG(mode):
                with path.open("rb") as file:
                    _add_file(writer, file, f"{name}/{path.name}")
            else:
                message = f"{path} is neither a regular file nor a folder: move it out of {folder}, then try again"
                raise InvalidInput(message)
        except FileNotFoundError:
            continue  # a training deletes old copies and snapshots meanwhile


def _add_file(writer: BackupWriter, file: IO[bytes], name: str) -> None:
    """Add an open file as it is now."""
    file.seek(0)
    writer.add(name, file, os.fstat(file.fileno()).st_size)

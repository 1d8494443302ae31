"""The exchange of the folders of CINECLUB_HOME for those of a backup, undone unless the database is exchanged too.

A restore works in the folder ``.restore`` of the home. It writes a journal, moves the former folders there and the new
ones into their places, and commits the database last, with a mark of this restore on the schema. Whoever finds
the folder afterwards reads the mark: with it the restore is complete, without it the former folders are moved back. The
lock file is locked as long as a restore runs.
"""

import contextlib
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, session
from cineclub.domain.errors import Conflict
from cineclub.runtime.unfinished import folder_to_disk

FOLDER, LOCK, JOURNAL = ".restore", ".restore.lock", "journal.json"
NEW, FORMER, DISCARDED = "new", "former", "discarded"
MARK = "restored "
READ_MARK = "SELECT obj_description(to_regnamespace('cineclub'), 'pg_namespace') AS mark"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The folders of a home and those that take their places.

    Attributes:
        home: the home.
        names: the names of the folders.
        mark: the text that stands on the schema once the restore is complete.
    """

    home: Path
    names: Sequence[str]
    mark: str

    @property
    def folder(self) -> Path:
        """The folder of the restore."""
        return self.home / FOLDER

    @property
    def new(self) -> Path:
        """The folder with the new folders."""
        return self.folder / NEW

    def exchange(self) -> None:
        """Move the former folders away and the new ones into their places, in the journal first."""
        for part in (FORMER, DISCARDED):
            (self.folder / part).mkdir()
        had = [name for name in self.names if os.path.lexists(self.home / name)]
        journal = self.folder / JOURNAL
        journal.with_suffix(".unfinished").write_text(json.dumps({"mark": self.mark, "had": had}), "utf-8")
        journal.with_suffix(".unfinished").rename(journal)
        folder_to_disk(self.folder)
        for name in self.names:
            if name in had:
                (self.home / name).rename(self.folder / FORMER / name)
            if (self.new / name).is_dir():
                (self.new / name).rename(self.home / name)
        folder_to_disk(self.home)


@contextlib.contextmanager
def exchange_of(home: Path, database_url: str, names: Sequence[str]) -> Iterator[Exchange]:
    """Yield the exchange of a home, with an empty folder for the new folders; nothing is left of it afterwards.

    Raises:
        Conflict: another restore is running in this home.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another restore is running in {home}: wait until it ends"
            raise Conflict(message) from error
        _settle(home, database_url, names)
        exchange = Exchange(home, names, MARK + uuid.uuid4().hex)
        exchange.new.mkdir(parents=True)
        exchange.folder.chmod(0o700)
        try:
            yield exchange
        finally:
            _settle(home, database_url, names)


def settle_restore(home: Path, database_url: str, names: Sequence[str]) -> None:
    """Complete or undo a restore whose process was killed; a running one is left alone."""
    if not (home / FOLDER).is_dir():
        return
    with (home / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _settle(home, database_url, names)


def _settle(home: Path, database_url: str, names: Sequence[str]) -> None:
    """Move the former folders back if the database has not been exchanged, and delete the folder of the restore."""
    folder = home / FOLDER
    if (folder / JOURNAL).is_file():
        journal = json.loads((folder / JOURNAL).read_text("utf-8"))
        if _mark(database_url) != journal["mark"]:
            _undo(home, names, journal["had"])
        (folder / JOURNAL).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _mark(database_url: str) -> str | None:
    """Return the mark on the schema, once no restore is about to commit."""
    with session(database_url) as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (ADVISORY_FAMILY, AdvisoryLock.MIGRATIONS))
        mark: str | None = connection.execute(READ_MARK).fetchall()[0]["mark"]
    return mark


def _undo(home: Path, names: Sequence[str], had: Sequence[str]) -> None:
    """Move the former folders back into their places; a repetition changes nothing."""
    folder = home / FOLDER
    for name in names:
        is_moved = os.path.lexists(folder / FORMER / name)
        is_new = is_moved or name not in had
        if is_new and os.path.lexists(home / name):
            (home / name).rename(folder / DISCARDED / name)
        if is_moved:
            (folder / FORMER / name).rename(home / name)
    folder_to_disk(home)

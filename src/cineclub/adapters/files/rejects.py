"""The rejects file: every row that was not imported, with the reason."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.imported import RejectedRow
from cineclub.runtime.unfinished import unfinished_file

COLUMNS = ("file", "line", "reason", "content")


def write_rejects(path: Path, rows: Iterable[RejectedRow]) -> str:
    """Write rows as a CSV with the columns file, line, reason, content, in place of an older one; return the path.

    Raises:
        InvalidInput: the file cannot be written, or is there already and is no rejects file. It is then as before.
    """
    try:
        _refuse_other_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # /dev/null, which nothing can take the place of
            _write(path, rows)
        else:
            with unfinished_file(Path(os.path.realpath(path))) as unfinished:  # a link stays, its target is replaced
                _write(unfinished, rows)
    except OSError as error:
        message = (
            f"nothing was imported: the rows that were not used cannot be written to {path} "
            f"({error.strerror or error}): name another file with --rejects"
        )
        raise InvalidInput(message) from error
    return str(path)


def refuse_to_overwrite(path: Path, source: Path) -> None:
    """Raise InvalidInput if ``path`` is the source, or another file that is no rejects file."""
    try:
        if path.exists() and source.exists() and path.samefile(source):
            message = f"the rows that are not used would be written over {path}: name another file with --rejects"
            raise InvalidInput(message)
        _refuse_other_file(path)
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror or error}): name another file with --rejects"
        raise InvalidInput(message) from error


def _refuse_other_file(path: Path) -> None:
    """Raise InvalidInput over a file that is there and is no rejects file."""
    if not path.is_file() or not path.stat().st_size:
        return
    header = ",".join(COLUMNS).encode()
    with path.open("rb") as file:
        if not file.read(len(header)).startswith(header):
            message = f"{path} is there already and is no file of rejected rows: name another file with --rejects"
            raise InvalidInput(message)


def _write(path: Path, rows: Iterable[RejectedRow]) -> None:
    """Write rows as CSV with the header."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([row.file, row.line, row.reason, row.content] for row in rows)

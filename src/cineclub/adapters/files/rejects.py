"""The rejects file: every row that was not written, with the reason."""

import csv
from collections.abc import Iterable
from pathlib import Path

from cineclub.domain.imported_ratings import RejectedRow


def write_rejects(path: Path, rows: Iterable[RejectedRow]) -> None:
    """Write rows as a CSV with the columns file, line, reason, content; an older file is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "line", "reason", "content"])
        writer.writerows([row.file, row.line, row.reason, row.content] for row in rows)

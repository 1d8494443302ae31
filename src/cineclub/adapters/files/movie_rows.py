"""Rows of tables of movies in several formats, as values by the names of their columns."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from cineclub.adapters.files.csv_rows import Fields, csv_rows
from cineclub.adapters.files.lines import Faults, SourceFile, line_blocks
from cineclub.adapters.files.parquet import damaged, opened
from cineclub.adapters.files.tables import LONGEST_SHOWN_CONTENT, overlong_rows
from cineclub.domain.ratings.imported import RejectedRow

NumberedRow = tuple[int, Mapping[str, Any]]
ROWS_AT_A_TIME = 1 << 12


def delimited_rows(
    open_file: Callable[[], SourceFile],
    delimiter: str,
    names: Sequence[str],
    looks_like_row: Callable[[Mapping[str, Any]], bool],
    rejected: list[RejectedRow],
) -> Iterator[NumberedRow]:
    """Yield the line and the values of each row of a CSV or TSV; add the others to ``rejected``."""

    def named(fields: Fields) -> Mapping[str, Any]:
        return dict(zip(names, fields, strict=True))

    rows = csv_rows(
        open_file, names, rejected, delimiter=delimiter, looks_like_row=lambda fields: looks_like_row(named(fields))
    )
    yield from ((line, named(fields)) for line, fields in rows)


def json_rows(open_file: Callable[[], SourceFile], rejected: list[RejectedRow]) -> Iterator[NumberedRow]:
    """Yield the line and the object of each line of JSON; add the others to ``rejected``."""
    with open_file() as file:
        for block in line_blocks(file):
            rejected += overlong_rows(file.name, block)
            too_long = {line for line, _ in block.overlong}
            for nth in range(len(block)):
                line, content = block.first + nth, block.line(nth)
                row = _object_of(content) if content.strip() else {}
                if row is None:
                    shown = content[:LONGEST_SHOWN_CONTENT].decode("utf-8", "replace")
                    rejected.append(RejectedRow(file.name, line, "the line is no JSON object", shown))
                elif content.strip() and line not in too_long:
                    yield line, row


def parquet_names(path: Path) -> list[str]:
    """Return the columns of a Parquet file; raise InvalidInput for another file."""
    with Faults(path.name), opened(path) as source:
        return [str(name) for name in source.schema_arrow.names]


def parquet_rows(path: Path, names: Sequence[str]) -> Iterator[NumberedRow]:
    """Yield the number and the values of each row of a Parquet file.

    Raises:
        InvalidInput: it is damaged, or a column holds a type that Python has no value for.
    """
    n_before = 0
    with Faults(path.name), opened(path) as source:
        try:
            for batch in source.iter_batches(ROWS_AT_A_TIME, columns=list(names), use_threads=False):
                yield from enumerate(batch.to_pylist(), n_before + 1)
                n_before += batch.num_rows
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(path, "is damaged", error) from error


def _object_of(content: bytes) -> Mapping[str, Any] | None:
    """Return the object of a line of JSON; None if it is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

"""The recommendations of all users as one file, Parquet or CSV, complete or not at all."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from cineclub.domain.errors import InvalidInput
from cineclub.runtime.unfinished import unfinished_file

COLUMNS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("rank", pa.int16(), nullable=False),
        pa.field("movie_id", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("predicted_stars", pa.float32()),
        pa.field("strategy", pa.string(), nullable=False),
        pa.field("model_version", pa.int32()),
    ]
)
Row = tuple[Any, ...]
WRITERS: dict[str, Callable[[Path], Any]] = {
    ".parquet": lambda path: pq.ParquetWriter(path, COLUMNS, compression="zstd"),
    ".csv": lambda path: pa_csv.CSVWriter(path, COLUMNS),
}


@contextlib.contextmanager
def new_recommendations_file(path: Path) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Yield a function that adds rows in the order of ``COLUMNS``; the file appears when the block ends without error.

    Raises:
        InvalidInput: the file exists, its folder does not, or its name ends in neither .parquet nor .csv.
    """
    open_writer = WRITERS.get(path.suffix.lower())
    if open_writer is None:
        message = f"{path} must end in .parquet or .csv"
        raise InvalidInput(message)
    if path.exists():
        message = f"{path} is there already: name another file, or delete it first"
        raise InvalidInput(message)
    if not path.absolute().parent.is_dir():
        message = f"the folder {path.absolute().parent} does not exist: create it first"
        raise InvalidInput(message)
    with unfinished_file(path) as unfinished, open_writer(unfinished) as writer:
        yield lambda rows: writer.write_table(_table(rows))


def _table(rows: Sequence[Row]) -> pa.Table:
    """Return rows as a table."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in COLUMNS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, COLUMNS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=COLUMNS)

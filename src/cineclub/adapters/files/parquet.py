"""Columns of a Parquet file, block by block."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from cineclub.adapters.files.lines import Faults
from cineclub.adapters.files.tables import Columns, Layout, wanted_columns
from cineclub.domain.errors import InvalidInput

ROWS_AT_A_TIME = 1 << 16
SMALL_ROWS, MOST_ROWS_PER_BYTE = 1 << 24, 10
"""A file may have so many rows, or so many for each of its bytes."""


def read_parquet(path: Path, layout: Layout) -> Iterator[Columns]:
    """Yield the columns of a Parquet file in blocks of rows.

    Raises:
        InvalidInput: it is not Parquet, is damaged, or lacks a column.
    """
    source = opened(path)
    n_rows, names = source.metadata.num_rows, source.schema_arrow.names
    wanted = list(dict.fromkeys(wanted_columns(path.name, layout, names)))
    n_before = 0
    try:
        for batch in source.iter_batches(ROWS_AT_A_TIME, columns=wanted, use_threads=False):
            yield _columns_of(path.name, batch, layout, n_before + 1)
            n_before += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, "is damaged", error) from error
    if n_before != n_rows:
        message = f"{path.name} is damaged: it holds {n_before:,} rows where {n_rows:,} belong: copy it again"
        raise InvalidInput(message)


def opened(path: Path) -> pyarrow.parquet.ParquetFile:
    """Return an open Parquet file.

    Raises:
        InvalidInput: it is another file, or expands too far.
    """
    with Faults(path.name):
        n_bytes = path.stat().st_size
        try:
            source = pyarrow.parquet.ParquetFile(path)
            n_rows, _ = source.metadata.num_rows, source.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, "is not a Parquet file", error) from error
    if n_rows > max(SMALL_ROWS, MOST_ROWS_PER_BYTE * n_bytes):
        message = f"{path.name} expands to {n_rows:,} rows from {n_bytes:,} bytes, which is no file of ratings"
        raise InvalidInput(message)
    return source


def damaged(path: Path, fault: str, error: Exception) -> InvalidInput:
    """Return the error of a file that cannot be read."""
    first = str(error).partition("\n")[0]
    return InvalidInput(f"{path.name} {fault} ({first}): choose another file, or copy or write it again")


def _columns_of(file: str, batch: pa.RecordBatch, layout: Layout, first: int) -> Columns:
    """Return the columns of a batch in the roles of the layout."""
    values = {name: _plain(batch.column(name)) for name in dict.fromkeys([*layout.columns, *layout.others])}
    arrays = {name: _in_utf_8(column) for name, column in values.items()}
    is_repaired = any(arrays[name] is not column for name, column in values.items())
    others = {name: arrays[name] for name in layout.others}
    lines = np.arange(first, first + batch.num_rows)
    roles = layout.roles(arrays)
    return Columns(file, *roles, lines, others, (), layout.delimiter, is_repaired=is_repaired)


def _plain(column: pa.Array) -> pa.Array:
    """Return the values of a column that names them by code; every kind of text and bytes as one."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pc.cast(pc.cast(column, pa.binary()), pa.string(), safe=False)
    is_text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pc.cast(column, pa.string()) if is_text else column


def _in_utf_8(column: pa.Array) -> pa.Array:
    """Return a column whose text is UTF-8, other bytes replaced; the column itself if it is already."""
    if not pa.types.is_string(column.type):
        return column
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        values = pc.cast(column, pa.binary()).to_pylist()
        return pa.array([None if value is None else value.decode("utf-8", "replace") for value in values], pa.string())
    return column

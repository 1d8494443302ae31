"""Columns of text out of delimited files and Parquet, each row with the number of its line."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.imported_ratings import RejectedRow

UNIT_SEPARATOR = "\x1f"
LONGEST_SHOWN_CONTENT = 200


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one file of ratings.

    Attributes:
        file: the file's name, for messages.
        user, movie, rating, rated_at: arrays of one length.
        lines: (n,) the line of each row, from 1; for Parquet the row.
        others: further columns by name.
        malformed: rows that could not be cut into columns.
        delimiter: what stood between the columns, for messages.
    """

    file: str
    user: pa.Array
    movie: pa.Array
    rating: pa.Array
    rated_at: pa.Array
    lines: NDArray[np.int64]
    others: dict[str, pa.Array]
    malformed: tuple[RejectedRow, ...]
    delimiter: str

    def content_of(self, row: int) -> str:
        """Return a row as a person would find it in the file."""
        parts = [column[row].as_py() for column in (self.user, self.movie, self.rating, self.rated_at)]
        return self.delimiter.join("" if part is None else str(part) for part in parts)[:LONGEST_SHOWN_CONTENT]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a delimited file of ratings is written.

    Attributes:
        delimiter: one character, or ``::``.
        names: the columns of a file without a header; None where the first line names them.
        columns: which column is the user, the film, the rating, the time.
        others: further columns to read.
    """

    delimiter: str
    names: tuple[str, ...] | None
    columns: tuple[str, str, str, str]
    others: tuple[str, ...] = ()


MOVIELENS_NAMES = ("userId", "movieId", "rating", "timestamp")
CSV_RELEASE = Layout(",", None, MOVIELENS_NAMES)
DAT_RELEASE = Layout("::", MOVIELENS_NAMES, MOVIELENS_NAMES)
TAB_RELEASE = Layout("\t", MOVIELENS_NAMES, MOVIELENS_NAMES)


def read_delimited(file: str, content: bytes, layout: Layout) -> Columns:
    """Return the columns of a delimited file.

    Raises:
        InvalidInput: it is empty, not UTF-8, or lacks a column.
    """
    delimiter = layout.delimiter
    if len(delimiter) > 1:  # the reader takes one character, so two become one that no id holds
        content, delimiter = content.replace(delimiter.encode(), UNIT_SEPARATOR.encode()), UNIT_SEPARATOR
    content = content.removeprefix(b"\xef\xbb\xbf")
    skipped: list[pyarrow.csv.InvalidRow] = []
    names = layout.names or header_of(file, content, delimiter)
    wanted = [*layout.columns, *layout.others]
    if missing := [name for name in wanted if name not in names]:
        message = f"{file} has no column {', '.join(missing)} (it has {', '.join(names)}): name its columns"
        raise InvalidInput(message)
    try:
        table = _parsed(content, delimiter, layout, names, skipped)
    except pa.ArrowInvalid:
        skipped.clear()  # once more, bytes that are not UTF-8 replaced, so that only their rows are refused
        cleaned = content.decode("utf-8", "replace").encode()
        table = _parsed_again(file, cleaned, delimiter, layout, names, skipped)
    lines = _line_numbers(table.num_rows, skipped, 1 if layout.names else 2)
    return _columns_of(file, table, layout, lines, _malformed(file, skipped))


def _parsed(
    content: bytes,
    delimiter: str,
    layout: Layout,
    names: Sequence[str],
    skipped: list[pyarrow.csv.InvalidRow],
) -> pa.Table:
    """Return the wanted columns as text; rows with another number of columns go to ``skipped``."""
    wanted = [*layout.columns, *layout.others]

    def note(row: pyarrow.csv.InvalidRow) -> str:
        skipped.append(row)
        return "skip"

    return pyarrow.csv.read_csv(
        io.BytesIO(content),
        read_options=pyarrow.csv.ReadOptions(
            column_names=list(names), skip_rows=0 if layout.names else 1, use_threads=False, block_size=1 << 24
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if delimiter == "," else False,
            ignore_empty_lines=False,
            invalid_row_handler=note,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted, strings_can_be_null=False
        ),
    )


def _parsed_again(
    file: str,
    content: bytes,
    delimiter: str,
    layout: Layout,
    names: Sequence[str],
    skipped: list[pyarrow.csv.InvalidRow],
) -> pa.Table:
    """Return the wanted columns of cleaned content.

    Raises:
        InvalidInput: it is no table even so.
    """
    try:
        return _parsed(content, delimiter, layout, names, skipped)
    except pa.ArrowInvalid as error:
        message = f"{file} cannot be read as a table of ratings ({error}): check its delimiter"
        raise InvalidInput(message) from error


def header_of(file: str, content: bytes, delimiter: str) -> tuple[str, ...]:
    """Return the column names in the first line."""
    first = content[: content.find(b"\n")] if b"\n" in content else content
    names = first.decode("utf-8", "replace").strip().split(delimiter)
    if not first.strip():
        message = f"{file} is empty: choose a file with a header line and ratings"
        raise InvalidInput(message)
    return tuple(name.strip().strip('"') for name in names)


def read_parquet(file: str, content: bytes, layout: Layout) -> Columns:
    """Return the columns of a Parquet file.

    Raises:
        InvalidInput: it is not Parquet, or lacks a column.
    """
    wanted = [*layout.columns, *layout.others]
    try:
        source = pyarrow.parquet.ParquetFile(pa.BufferReader(content))
    except pa.ArrowInvalid as error:
        message = f"{file} is not a Parquet file ({error}): choose another file"
        raise InvalidInput(message) from error
    names = source.schema_arrow.names
    if missing := [name for name in wanted if name not in names]:
        message = f"{file} has no column {', '.join(missing)} (it has {', '.join(names)}): name its columns"
        raise InvalidInput(message)
    table = source.read(columns=wanted)
    return _columns_of(file, table, layout, np.arange(1, table.num_rows + 1), ())


def _columns_of(
    file: str, table: pa.Table, layout: Layout, lines: NDArray[np.int64], malformed: tuple[RejectedRow, ...]
) -> Columns:
    """Return the columns of a table by their meaning."""
    arrays = {name: table.column(name).combine_chunks() for name in dict.fromkeys([*layout.columns, *layout.others])}
    user, movie, rating, rated_at = (arrays[name] for name in layout.columns)
    others = {name: arrays[name] for name in layout.others}
    return Columns(file, user, movie, rating, rated_at, lines, others, malformed, layout.delimiter)


def _line_numbers(n_rows: int, skipped: Sequence[pyarrow.csv.InvalidRow], first: int) -> NDArray[np.int64]:
    """Return the line of each row that was kept, shape (n_rows,), when the first row stands on line ``first``."""
    is_kept = np.ones(first + n_rows + len(skipped), np.bool_)
    is_kept[:first] = False
    is_kept[[row.number for row in skipped]] = False
    return np.flatnonzero(is_kept)


def _malformed(file: str, skipped: Sequence[pyarrow.csv.InvalidRow]) -> tuple[RejectedRow, ...]:
    """Return the rejected rows among those skipped; empty lines are no rows."""
    return tuple(
        RejectedRow(
            file,
            row.number,
            f"{row.actual_columns} columns where {row.expected_columns} belong",
            row.text.replace(UNIT_SEPARATOR, "::")[:LONGEST_SHOWN_CONTENT],
        )
        for row in skipped
        if row.text.strip()
    )

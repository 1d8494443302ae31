"""Columns of delimited files and Parquet, block by block, each row with the number of its line."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from cineclub.adapters.files.lines import LONGEST_LINE, LineBlock, SourceFile, line_blocks
from cineclub.adapters.files.quoting import QuotedBlock, Row, quoted_blocks, split_line
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.imported import RejectedRow

UNIT_SEPARATOR = b"\x1f"
LONGEST_SHOWN_CONTENT = 200
MOST_COLUMNS = 2_000
SHOWN_NAMES = 20
NUMBER = re.compile(r"\s*[+-]?(\d|\.\d)[\d.eE+-]*\s*")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of some rows of a file of ratings.

    Attributes:
        file: the file's name, for messages.
        user, movie, rating, rated_at: arrays (n,).
        lines: (n,) the line of each row, from 1; for Parquet the row.
        others: further columns by name.
        malformed: rows that could not be split into columns.
        delimiter: the delimiter of the columns, for messages.
        n_continued: lines, blank ones aside, that go on with the row of the line above.
        is_repaired: whether other bytes than UTF-8 were replaced.
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
    n_continued: int = 0
    is_repaired: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """The format of a delimited file of ratings.

    Attributes:
        delimiter: one character, or ``::``.
        names: the columns of a file without a header; None if the first line names them.
        columns: the columns of user, movie, rating and time.
        others: further columns to read.
    """

    delimiter: str
    names: tuple[str, ...] | None
    columns: tuple[str, str, str, str]
    others: tuple[str, ...] = ()

    def roles(self, arrays: dict[str, pa.Array]) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array]:
        """Return the arrays of user, movie, rating and time."""
        user, movie, rating, rated_at = (arrays[name] for name in self.columns)
        return user, movie, rating, rated_at


MOVIELENS_NAMES = ("userId", "movieId", "rating", "timestamp")
CSV_RELEASE = Layout(",", None, MOVIELENS_NAMES)
DAT_RELEASE = Layout("::", MOVIELENS_NAMES, MOVIELENS_NAMES)
TAB_RELEASE = Layout("\t", MOVIELENS_NAMES, MOVIELENS_NAMES)


def read_delimited(open_file: Callable[[], SourceFile], layout: Layout) -> Iterator[Columns]:
    """Yield the columns of a delimited file in blocks of rows.

    Raises:
        InvalidInput: it is empty, no text, lacks a column, or cannot be read.
    """
    names = layout.names or header_of(open_file, layout.delimiter)
    with open_file() as file:
        wanted_columns(file.name, layout, names)
        reader = BlockReader(file.name, layout, names)
        has_header = layout.names is None
        for quoted in _quoted_blocks(file, layout, names):
            yield reader.columns_of(quoted, _header_lines(quoted.block) if has_header else 0)
            has_header &= not _has_text(quoted.block)


def header_of(open_file: Callable[[], SourceFile], delimiter: str) -> tuple[str, ...]:
    """Return the column names in the first line that is not blank.

    Raises:
        InvalidInput: there is none, or it is longer or has more columns than a header can.
    """
    with open_file() as file:
        for block in line_blocks(file, LONGEST_LINE):
            nth = _header_lines(block) - 1
            if block.overlong and block.overlong[0][0] <= block.first + nth:
                message = (
                    f"{file.name} has a first line of more than {LONGEST_LINE >> 20} MiB: it is no table of ratings"
                )
                raise InvalidInput(message)
            if block.line(nth).strip(b" "):
                return _names_of(file.name, block.line(nth), delimiter)
        message = f"{file.name} is empty: choose a file with a header line and ratings"
        raise InvalidInput(message)


def _names_of(file: str, line: bytes, delimiter: str) -> tuple[str, ...]:
    """Return the names in a header."""
    text = line.decode("utf-8", "replace")
    names = split_line(text, delimiter) if delimiter == "," else text.split(delimiter)
    if names is None:
        shown = text[:LONGEST_SHOWN_CONTENT]
        message = f"{file} has a quote in its first line that does not close: check its delimiter and names ({shown})"
        raise InvalidInput(message)
    if len(names) > MOST_COLUMNS:
        message = f"{file} has {len(names):,} columns in its first line: it is no table of ratings"
        raise InvalidInput(message)
    return tuple(name.strip().strip('"') for name in names)


def wanted_columns(file: str, layout: Layout, names: Sequence[str]) -> list[str]:
    """Return the columns to read; raise InvalidInput if ``names`` lacks one or has it twice."""
    wanted = [*layout.columns, *layout.others]
    if missing := [name for name in wanted if name not in names]:
        shown = ", ".join(names[:SHOWN_NAMES])[: SHOWN_NAMES * SHOWN_NAMES]
        message = f"{file} has no column {', '.join(missing)} (it has {shown}): name its columns"
        raise InvalidInput(message)
    if repeated := [name for name in wanted if list(names).count(name) > 1]:
        message = f"{file} has several columns {', '.join(repeated)}: rename all but the right one"
        raise InvalidInput(message)
    return wanted


def _header_lines(block: LineBlock) -> int:
    """Return the number of lines up to the first that is not blank."""
    for nth in range(len(block)):
        if block.line(nth).strip(b" "):
            return nth + 1
    return len(block)


def _has_text(block: LineBlock) -> bool:
    """Return whether a block has a line that is not blank."""
    return bool(len(block)) and bool(block.line(_header_lines(block) - 1).strip(b" "))


def _quoted_blocks(file: SourceFile, layout: Layout, names: Sequence[str]) -> Iterator[QuotedBlock]:
    """Yield the lines of a file; quotes have a meaning between commas only."""
    if layout.delimiter == ",":
        yield from quoted_blocks(file, b",", lambda fields: _is_row(fields, layout, names))
        return
    for block in line_blocks(file):
        yield QuotedBlock(block, [])


def _is_row(fields: Sequence[str], layout: Layout, names: Sequence[str]) -> bool:
    """Return whether fields are those of a row of ratings: every column, and numbers where they belong."""
    if len(fields) != len(names):
        return False
    user, movie, rating, rated_at = (fields[list(names).index(name)] for name in layout.columns)
    begins_with_digit = rated_at.lstrip()[:1].isdigit()
    is_torn = any("\n" in field or '"' in field for field in (user, movie, rating, rated_at))
    return bool(user and movie and NUMBER.fullmatch(rating) and begins_with_digit and not is_torn)


class BlockReader:
    """Splits the lines of a file into columns."""

    def __init__(self, file: str, layout: Layout, names: Sequence[str]) -> None:
        """Read the columns of the layout from a file with these columns."""
        self._file = file
        self._layout = layout
        self._names = list(names)
        self._wanted = list(dict.fromkeys([*layout.columns, *layout.others]))

    def columns_of(self, quoted: QuotedBlock, n_header: int) -> Columns:
        """Return the rows of a block, the lines of its header left out.

        Raises:
            InvalidInput: it cannot be read as a table.
        """
        block = quoted.block
        is_single = quoted.is_single() & (np.diff(block.ends, prepend=-1) > 1)  # empty lines are no rows
        is_single[:n_header] = False
        rows = [row for row in quoted.rows if row.nth >= n_header]
        faults = [self._rejected(block, row, fault) for row in rows if (fault := self._fault(row))]
        rows = [row for row in rows if not self._fault(row)]
        malformed = [*overlong_rows(self._file, block), *faults]
        content, is_repaired = _in_utf_8(_lines_at(block, is_single))
        table, lines = self._parsed(content, block.first + np.flatnonzero(is_single), malformed)
        if rows:
            table, lines = self._merged(table, lines, block.first, rows)
        arrays = {name: table.column(name).combine_chunks() for name in self._wanted}
        others = {name: arrays[name] for name in self._layout.others}
        n_continued = sum(_n_continued(block, row) for row in rows)
        roles = self._layout.roles(arrays)
        delimiter = self._layout.delimiter
        return Columns(
            self._file, *roles, lines, others, tuple(malformed), delimiter, n_continued, is_repaired=is_repaired
        )

    def _fault(self, row: Row) -> str:
        """Return the reason why a row that was split by itself is none; empty for a row."""
        if row.fault:
            return row.fault
        if len(row.fields) != len(self._names):
            return f"{len(row.fields)} columns where {len(self._names)} belong"
        roles = (row.fields[self._names.index(name)] for name in self._layout.columns)
        return "a quote within an id, the rating or the time" if any('"' in field for field in roles) else ""

    def _rejected(self, block: LineBlock, row: Row, fault: str) -> RejectedRow:
        """Return the first line of a row with its fault."""
        content = block.line(row.nth)[: 4 * LONGEST_SHOWN_CONTENT].decode("utf-8", "replace")
        return RejectedRow(self._file, block.first + row.nth, fault, content[:LONGEST_SHOWN_CONTENT])

    def _parsed(
        self, content: bytes, lines: NDArray[np.int64], malformed: list[RejectedRow]
    ) -> tuple[pa.Table, NDArray[np.int64]]:
        """Return the wanted columns of lines as text, with the numbers of their lines; add others to ``malformed``."""
        invalid: list[pyarrow.csv.InvalidRow] = []

        def note(row: pyarrow.csv.InvalidRow) -> str:
            invalid.append(row)
            return "skip"

        if not content:
            return pa.table({name: pa.array([], pa.string()) for name in self._wanted}), lines[:0]
        try:
            table = self._table(content, note)
        except pa.ArrowException as error:
            message = f"{self._file} cannot be read as a table of ratings ({error}): check its delimiter"
            raise InvalidInput(message) from error
        is_row = np.ones(len(lines), np.bool_)
        is_row[[row.number - 1 for row in invalid]] = False
        malformed += [
            RejectedRow(
                self._file,
                int(lines[row.number - 1]),
                f"{row.actual_columns} columns where {row.expected_columns} belong",
                row.text.replace(UNIT_SEPARATOR.decode(), "::")[:LONGEST_SHOWN_CONTENT],
            )
            for row in invalid
            if row.text.strip(" ")
        ]
        return table, lines[is_row]

    def _table(self, content: bytes, note: Callable[[pyarrow.csv.InvalidRow], str]) -> pa.Table:
        """Return the wanted columns of content; rows with another number of columns go to ``note``."""
        delimiter = self._layout.delimiter
        if len(delimiter) > 1:  # the reader takes one character: one that no id holds
            content = content.replace(UNIT_SEPARATOR, b"\0").replace(delimiter.encode(), UNIT_SEPARATOR)
            delimiter = UNIT_SEPARATOR.decode()
        return pyarrow.csv.read_csv(
            io.BytesIO(content),
            read_options=pyarrow.csv.ReadOptions(
                column_names=self._names, use_threads=False, block_size=len(content) + 1
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if delimiter == "," else False,
                ignore_empty_lines=False,
                invalid_row_handler=note,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(self._wanted, pa.string()),
                include_columns=self._wanted,
                strings_can_be_null=False,
            ),
        )

    def _merged(
        self, table: pa.Table, lines: NDArray[np.int64], first: int, rows: Sequence[Row]
    ) -> tuple[pa.Table, NDArray[np.int64]]:
        """Return a table with the rows that were split one by one in their places."""
        places = [self._names.index(name) for name in self._wanted]
        texts = [pa.array([row.fields[place] for row in rows], pa.string()) for place in places]
        joined = pa.concat_tables([table, pa.table(texts, names=self._wanted)])
        numbers = np.concatenate([lines, [first + row.nth for row in rows]])
        order = np.argsort(numbers)
        return joined.take(pa.array(order)), numbers[order]


def _lines_at(block: LineBlock, is_used: NDArray[np.bool_]) -> bytes:
    """Return the lines of a mask (n,)."""
    if is_used.all():
        return block.content
    edges = np.flatnonzero(np.diff(is_used, prepend=False, append=False)).tolist()
    runs = zip(edges[::2], edges[1::2], strict=True)
    return b"".join(block.content[block.start(begin) : int(block.ends[end - 1]) + 1] for begin, end in runs)


def _in_utf_8(content: bytes) -> tuple[bytes, bool]:
    """Return content in UTF-8, and whether other bytes had to be replaced, so that only their rows are refused."""
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError:
            return content.decode("utf-8", "replace").encode(), True
    return content, False


def overlong_rows(file: str, block: LineBlock) -> Iterator[RejectedRow]:
    """Yield the rejected rows of lines beyond the limit."""
    for line, beginning in block.overlong:
        reason = f"the line is longer than {LONGEST_LINE >> 20} MiB"
        yield RejectedRow(file, line, reason, beginning.decode("utf-8", "replace"))


def _n_continued(block: LineBlock, row: Row) -> int:
    """Return the number of lines of a row after its first, blank ones aside."""
    return sum(bool(block.line(row.nth + nth).strip(b" ")) for nth in range(1, row.n_lines))

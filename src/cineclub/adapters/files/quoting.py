"""Quotes of CSV: which lines are rows of their own, and which rows go over several lines.

A line break within quotes belongs to the field (RFC 4180). A quote that was opened by mistake would take the lines
after it along, up to the next quote or the end of the file. So a line is never taken into a field if it is a row by
itself, and a row over several lines counts only if it has every column.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.adapters.files.lines import LONGEST_LINE, LineBlock, SourceFile, line_blocks

QUOTE = b'"'
MOST_LINES = 1000
"""A quoted field goes over at most so many lines, and a row is no longer than a line may be."""

NOT_CLOSED = "a quote opens a field and does not close it before the next delimiter or row"

csv.field_size_limit(LONGEST_LINE)
"""A field may be as long as a line: the labels of a movie are JSON of up to 1 MiB."""

IsRow = Callable[[list[str]], bool]
"""Whether fields look like those of a row."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that was split one by one.

    Attributes:
        nth: the position of its first line in the block.
        n_lines: the number of its lines.
        fields: its fields; empty if there is a fault.
        fault: the reason why it is no row; empty for a row.
    """

    nth: int
    n_lines: int
    fields: list[str]
    fault: str


@dataclass(frozen=True, slots=True)
class QuotedBlock:
    """A block of lines, and the rows in it that were split one by one."""

    block: LineBlock
    rows: list[Row]

    def lines(self) -> Iterator[tuple[int, bytes, str]]:
        """Yield the number and the content of each row, and the reason if it is none; blank lines are rows here."""
        by_line = {row.nth: row for row in self.rows}
        nth = 0
        while nth < len(self.block):
            row = by_line.get(nth, Row(nth, 1, [], ""))
            content = b"\n".join(self.block.line(line) for line in range(nth, nth + row.n_lines))
            yield self.block.first + nth, content, row.fault
            nth += row.n_lines

    def is_single(self) -> NDArray[np.bool_]:
        """Return a mask of the lines (n,) that are outside of those rows: each is a row by itself."""
        mask = np.ones(len(self.block), np.bool_)
        for row in self.rows:
            mask[row.nth : row.nth + row.n_lines] = False
        return mask


def quoted_blocks(file: SourceFile, delimiter: bytes, is_row: IsRow) -> Iterator[QuotedBlock]:
    """Yield the lines of a CSV in blocks that begin and end between two rows.

    Raises:
        InvalidInput: what ``line_blocks`` raises.
    """
    blocks = line_blocks(file)
    block = next(blocks, None)
    while block is not None:
        after = next(blocks, None)
        rows, n_used = _rows_of(block, delimiter, is_row, is_last=after is None)
        rest = block.since(n_used)
        yield QuotedBlock(block.until(n_used), rows)
        block = rest.followed_by(after) if after is not None else None


def split_line(text: str, delimiter: str) -> list[str] | None:
    """Return the fields of a line, or of several in which quotes hold line breaks; None for faulty quotes."""
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if rows else []


def untidy_lines(block: LineBlock, delimiter: bytes) -> NDArray[np.int64]:
    """Return the positions of lines with a quote that neither opens nor closes a whole field of the line."""
    data = np.frombuffer(block.content, np.uint8)
    quotes = np.flatnonzero(data == ord(QUOTE))
    if not len(quotes):
        return quotes
    lines = np.searchsorted(block.ends, quotes)
    first, counts = np.unique(lines, return_index=True, return_counts=True)[1:]
    nth = np.arange(len(quotes)) - np.repeat(first, counts)
    before = np.where(quotes > 0, data[quotes - 1], ord("\n"))
    beside = np.where(nth % 2 == 0, before, data[quotes + 1])
    is_edge = (beside == delimiter[0]) | (beside == ord("\n")) | (beside == ord(QUOTE))
    return np.unique(np.concatenate([lines[~is_edge], lines[first[counts % 2 == 1]]]))


def _rows_of(block: LineBlock, delimiter: bytes, is_row: IsRow, *, is_last: bool) -> tuple[list[Row], int]:
    """Return the rows at untidy lines, and the number of lines that are certain without the next block."""
    rows: list[Row] = []
    n_used = 0
    for nth in untidy_lines(block, delimiter).tolist():
        if nth < n_used:
            continue  # within the row before
        end = _last_line(block, nth, delimiter, is_row)
        if end == len(block) and not is_last:
            return rows, nth
        row = _row_at(block, nth, end, delimiter.decode(), is_row)
        rows.append(row)
        n_used = nth + row.n_lines
    return rows, len(block)


def _row_at(block: LineBlock, nth: int, end: int | None, delimiter: str, is_row: IsRow) -> Row:
    """Return the row that begins at a line and ends at another, or the fault of its first line."""
    if end is None or end == len(block):
        return Row(nth, 1, [], NOT_CLOSED)
    lines = [block.line(line) for line in range(nth, end + 1)]
    fields = split_line(_text(b"\n".join(lines)), delimiter)
    if fields is None:
        return Row(nth, 1, [], NOT_CLOSED)
    if len(lines) > 1 and not is_row(fields):
        return Row(nth, 1, [], f"a quote opens a field that closes {end - nth} lines below, which makes no row")
    return Row(nth, len(lines), fields, "")


def _last_line(block: LineBlock, nth: int, delimiter: bytes, is_row: IsRow) -> int | None:
    """Return the position of the line that closes the quotes of a line.

    None if none does; the number of lines if the block ends before.
    """
    too_long = {line - block.first for line, _ in block.overlong}
    is_open = _is_open_after(block.line(nth), delimiter, is_open=False)
    for line in range(nth, min(len(block), nth + MOST_LINES)):
        if line > nth:
            is_too_long = line in too_long or block.ends[line] - block.start(nth) > LONGEST_LINE
            if is_too_long or is_row(split_line(_text(block.line(line)), delimiter.decode()) or []):
                return None
            is_open = _is_open_after(block.line(line), delimiter, is_open=True)
        if not is_open:
            return line if is_open is not None else None
    return len(block) if nth + MOST_LINES > len(block) else None


def _is_open_after(line: bytes, delimiter: bytes, *, is_open: bool) -> bool | None:
    """Return whether quotes are open at the end of a line; None if text follows a quote that closes a field."""
    at = 0
    while True:
        if is_open or line[at : at + 1] == QUOTE:
            at = _closing_quote(line, at if is_open else at + 1)
            if at < 0:
                return True
            at += 1
            if at < len(line) and line[at : at + 1] != delimiter:
                return None
        else:
            at = line.find(delimiter, at)
        if at < 0 or at >= len(line):
            return False
        at += 1
        is_open = False


def _closing_quote(line: bytes, at: int) -> int:
    """Return the position of the next quote that is not doubled; -1 without one."""
    while True:
        at = line.find(QUOTE, at)
        if at < 0 or line[at + 1 : at + 2] != QUOTE:
            return at
        at += 2


def _text(content: bytes) -> str:
    """Return the text of bytes, other bytes than UTF-8 replaced."""
    return content.decode("utf-8", "replace")

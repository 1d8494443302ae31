"""Rows of a block that are valid so far, and those that are not, with their contents in compact form."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cineclub.adapters.files.tables import LONGEST_SHOWN_CONTENT, Columns
from cineclub.domain.ratings.imported import RejectedRow
from cineclub.domain.ratings.rejected_rows import RejectedBlock


class RowCheck:
    """The valid rows of a block so far, and the rejected ones; the first fault of a row is its reason."""

    def __init__(self, columns: Columns) -> None:
        """Start with every row valid."""
        self._columns = columns
        self.is_valid = np.ones(len(columns.lines), np.bool_)
        self.rejected = blocks_of(columns.malformed)

    def refuse(self, is_bad: NDArray[np.bool_], reason: str) -> None:
        """Reject the rows of a mask (n,) that are valid so far."""
        rows = np.flatnonzero(is_bad & self.is_valid)
        if len(rows):
            columns = self._columns
            contents = _contents(columns, rows)
            lines = columns.lines[rows].astype(np.uint32)
            self.rejected.append(RejectedBlock(columns.file, reason, lines, _content_in(contents)))
            self.is_valid &= ~is_bad


def blocks_of(rows: Sequence[RejectedRow]) -> list[RejectedBlock]:
    """Return rejected rows as blocks."""
    by_reason: dict[tuple[str, str], list[RejectedRow]] = {}
    for row in rows:
        by_reason.setdefault((row.file, row.reason), []).append(row)
    blocks = []
    for (file, reason), group in by_reason.items():
        contents = pa.array([row.content.encode("utf-8", "replace").decode() for row in group], pa.string())
        lines = np.array([row.line for row in group], np.uint32)
        blocks.append(RejectedBlock(file, reason, lines, _content_in(contents)))
    return blocks


def _content_in(contents: pa.Array) -> Callable[[int], str]:
    """Return what finds a content by position."""
    return lambda nth: str(contents[nth].as_py())


def _contents(columns: Columns, rows: NDArray[np.int64]) -> pa.Array:
    """Return rows (n,) as they are in the file, shortened."""
    taken = [column.take(pa.array(rows)) for column in (columns.user, columns.movie, columns.rating, columns.rated_at)]
    texts = [_shown(column) for column in taken]
    joined = pc.binary_join_element_wise(*texts, columns.delimiter, null_handling="replace", null_replacement="")
    return pc.utf8_slice_codeunits(joined, 0, LONGEST_SHOWN_CONTENT)


def _shown(column: pa.Array) -> pa.Array:
    """Return values as text for a person."""
    if pa.types.is_string(column.type):
        return pc.utf8_slice_codeunits(column, 0, LONGEST_SHOWN_CONTENT)
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):  # a time beyond Python's
        values = column.view(pa.int64()).to_pylist()
    return pa.array([None if value is None else str(value)[:LONGEST_SHOWN_CONTENT] for value in values], pa.string())

"""Rows that were not used, stored by column so that many take little memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import overload

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.imported import RejectedRow


@dataclass(frozen=True, slots=True)
class RejectedBlock:
    """Rows of one file that were not used for one reason.

    Attributes:
        file: the file's name.
        reason: the reason.
        lines: (n,) the line of each row.
        content_of: returns the content of a row by its position here.
    """

    file: str
    reason: str
    lines: NDArray[np.uint32]
    content_of: Callable[[int], str]


class RejectedRows(Sequence[RejectedRow]):
    """Rows of all blocks, by file and line."""

    def __init__(self, blocks: Sequence[RejectedBlock]) -> None:
        """Take the blocks; files are in the order of their first block."""
        self._blocks = [block for block in blocks if len(block.lines)]
        sizes = [len(block.lines) for block in self._blocks]
        files = {name: nth for nth, name in enumerate(dict.fromkeys(block.file for block in self._blocks))}
        self._starts = np.cumsum([0, *sizes])
        if self._blocks:
            lines = np.concatenate([block.lines for block in self._blocks])
            file_of_row = np.repeat(np.array([files[block.file] for block in self._blocks], np.int32), sizes)
            self._order = np.lexsort((lines, file_of_row))
        else:
            self._order = np.empty(0, np.int64)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._order)

    @overload
    def __getitem__(self, nth: int) -> RejectedRow: ...

    @overload
    def __getitem__(self, nth: slice) -> list[RejectedRow]: ...

    def __getitem__(self, nth: int | slice) -> RejectedRow | list[RejectedRow]:
        """Return a row, or several."""
        if isinstance(nth, slice):
            return [self._row(int(place)) for place in self._order[nth]]
        return self._row(int(self._order[nth]))

    def _row(self, place: int) -> RejectedRow:
        """Return a row by its place in the blocks."""
        number = int(np.searchsorted(self._starts, place, side="right")) - 1
        block, nth = self._blocks[number], place - int(self._starts[number])
        return RejectedRow(block.file, int(block.lines[nth]), block.reason, block.content_of(nth))


def first_reasons(rows: Sequence[RejectedRow], n_rows: int) -> str:
    """Return the places and reasons of the first rows, in one line."""
    return "; ".join(f"{row.file} line {row.line}: {row.reason}" for row in islice(rows, n_rows))

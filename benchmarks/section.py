"""What one comparison leaves: figures for the JSON file and a table for people."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Section:
    """One comparison: its heading, its figures by name, and its table with a sentence on how it was measured."""

    title: str
    figures: dict[str, Any]
    table: str

    @property
    def text(self) -> str:
        """The section as Markdown."""
        return f"### {self.title}\n\n{self.table}\n"


def table_of(head: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> str:
    """Return a Markdown table, the first column of words and the others of numbers, with a note below."""
    lines = [_row(head), _row(["---"] + ["---:"] * (len(head) - 1)), *(_row(row) for row in rows)]
    return "\n".join(lines) + (f"\n\n{note}" if note else "")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return how many seconds a piece of work took, and what came of it."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def best_seconds(work: Callable[[], object], n_times: int) -> float:
    """Return the shortest time of a piece of work that is done a few times: what it takes undisturbed."""
    return min(timed(work)[0] for _ in range(n_times))


def median_seconds(work: Callable[[], object], n_times: int) -> float:
    """Return the median time of a piece of work that is done a few times."""
    return statistics.median(timed(work)[0] for _ in range(n_times))


def _row(cells: Sequence[str]) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(cells)} |"

"""A section of a report: figures for the JSON file and a table."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Section:
    """A comparison: heading, figures by name, and table with a note on the method."""

    title: str
    figures: dict[str, Any]
    table: str

    @property
    def text(self) -> str:
        """The section as Markdown."""
        return f"### {self.title}\n\n{self.table}\n"


def table_of(head: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> str:
    """Return a Markdown table, text in the first column and numbers in the others, with a note below."""
    lines = [_row(head), _row(["---"] + ["---:"] * (len(head) - 1)), *(_row(row) for row in rows)]
    return "\n".join(lines) + (f"\n\n{note}" if note else "")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return the seconds of a piece of work, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def best_seconds(work: Callable[[], object], n_times: int) -> float:
    """Return the minimum time of a few runs: the time without disturbance."""
    return min(timed(work)[0] for _ in range(n_times))


def median_seconds(work: Callable[[], object], n_times: int) -> float:
    """Return the median time of a few runs."""
    return statistics.median(timed(work)[0] for _ in range(n_times))


def _row(cells: Sequence[str]) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(cells)} |"

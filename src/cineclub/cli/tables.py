"""Tables that fit 80 columns."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

MISSING = "-"


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]], wide: str | None = None) -> Table:
    """Return a table whose numbers stand to the right; the column ``wide`` takes what room is left."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    cells = [list(row) for row in rows]
    for position, name in enumerate(columns):
        is_number = bool(cells) and all(_is_number(row[position]) for row in cells)
        made.add_column(
            name,
            justify="right" if is_number else "left",
            ratio=1 if name == wide else None,
            no_wrap=is_number,
            overflow="fold",
        )
    for row in cells:
        made.add_row(*row)
    return made


def scoreboard_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the rows of a scoreboard as JSON documents, best nDCG first, as a table.

    The heads are short so that the longest name stands on one line of 80 columns; the last is milliseconds an answer.
    """
    top_k = _top_k(rows)
    measures = [f"ndcg_at_{top_k}", f"recall_at_{top_k}", f"precision_at_{top_k}", f"coverage_at_{top_k}", "rmse"]
    rows = [{**row, "model": _label(rows, nth)} for nth, row in enumerate(rows)]
    ranked = sorted(rows, key=lambda row: -(row["metrics"].get(measures[0]) or 0.0))
    heads = ["model", f"nDCG@{top_k}", "recall", "prec.", "cover.", "RMSE", "fit s", "ms"]
    cells = (
        [
            row["model"],
            *(number(row["metrics"].get(name), 3) for name in measures),
            number(row["fit_seconds"], 2),
            number(row["answer_seconds"] * 1000, 2),
        ]
        for row in ranked
    )
    return table(title, heads, cells)


def number(value: float | None, digits: int) -> str:
    """Return a number with its digits, or a dash where there is none."""
    return MISSING if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def _label(rows: Sequence[Mapping[str, Any]], nth: int) -> str:
    """Return a row's model; the second recipe of a model is the one that a search found."""
    name = str(rows[nth]["model"])
    return f"{name}, tuned" if any(row["model"] == name for row in rows[:nth]) else name


def _is_number(text: str) -> bool:
    """Say whether a cell reads as a number or is missing one."""
    return text == MISSING or text.replace(",", "").replace(".", "", 1).lstrip("-").isdigit()


def _top_k(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the length of the judged lists, as the names of the metrics have it."""
    names = [name for row in rows for name in row["metrics"] if name.startswith("ndcg_at_")]
    return names[0].removeprefix("ndcg_at_") if names else "10"

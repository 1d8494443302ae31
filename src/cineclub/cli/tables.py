"""Tables that fit 80 columns."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from rich import box
from rich.table import Table

from cineclub.cli.text import visible_line

MISSING = "-"
WITHOUT_HISTORY = "0"
"""The segment of users without a history."""


def table(
    title: str | None,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    wide: str | None = None,
    *,
    is_dense: bool = False,
) -> Table:
    """Return a table with right-aligned numbers; the column ``wide`` takes the remaining width.

    A dense one has two spaces between columns, others three.
    """
    result = Table(
        title=None if title is None else visible_line(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 0, 0, 1) if is_dense else (0, 1),
    )
    cells = [[visible_line(cell) for cell in row] for row in rows]
    for position, name in enumerate(columns):
        is_number = bool(cells) and all(_is_number(row[position]) for row in cells)
        justify: Literal["left", "right"] = "right" if is_number else "left"
        ratio = 1 if name == wide else None
        result.add_column(name, justify=justify, ratio=ratio, no_wrap=is_number, overflow="fold")
    for row in cells:
        result.add_row(*row)
    return result


def scoreboard_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the JSON documents of a scoreboard's rows as a table, best nDCG first.

    The heads are short so that the longest name fits in 80 columns; ``ms`` is milliseconds per recommended list. A
    prequential scoreboard has one held-out movie for each list, so that recall and precision say little; it has the
    mean of likes and that of users without a history instead (``scoreboard_note`` explains them).
    """
    ndcg_names = (name for row in rows for name in row["metrics"] if name.startswith("ndcg_at_"))
    top_k = next(ndcg_names, "ndcg_at_10").removeprefix("ndcg_at_")
    rows = _named(rows)
    ranked = sorted(rows, key=lambda row: -(row["metrics"].get(f"ndcg_at_{top_k}") or 0.0))
    if any(row.get("n_judged_likes") for row in rows):
        heads = ["model", f"nDCG@{top_k}", "\u00b1", "likes", "new", "cover.", "RMSE", "fit s", "ms"]
        dense_cells = ([*_prequential_cells(row, top_k), *_measured_cells(row)] for row in ranked)
        return table(title, heads, dense_cells, is_dense=True)
    heads = ["model", f"nDCG@{top_k}", "recall", "prec.", "cover.", "RMSE", "fit s", "ms"]
    measures = [f"ndcg_at_{top_k}", f"recall_at_{top_k}", f"precision_at_{top_k}", f"coverage_at_{top_k}", "rmse"]
    cells = ([row["name"], *(number(row["metrics"].get(name), 3) for name in measures)] for row in ranked)
    return table(title, heads, ([*first, *_measured_cells(row)] for first, row in zip(cells, ranked, strict=True)))


def scoreboard_note(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what the columns of a prequential scoreboard are means of, in lines of 80 columns; empty for another."""
    most = max(rows, key=lambda row: row.get("n_judged_likes") or 0, default=None)
    if most is None or not most.get("n_judged_likes"):
        return ""
    n_new = most["users_by_history_length"][WITHOUT_HISTORY]
    return judged_note(most["n_judged_users"], most["n_judged_likes"], n_new)


def judged_note(n_users: int, n_likes: int, n_new: int) -> str:
    """Return what the columns nDCG, likes and new of a prequential table are means of, in lines of 80 columns."""
    return (
        f"nDCG: mean of {n_users:,} users, \u00b1 half its 95 % interval; likes: mean of {n_likes:,} likes;\n"
        f"new: mean of {n_new:,} users before their first rating"
    )


def _named(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows with names, which a report of an earlier release has not."""
    from cineclub.domain.evaluation.scoreboard import names_of
    from cineclub.domain.recommend.recipe import Recipe

    names = names_of([Recipe(row["model"], row["hyperparameters"]) for row in rows])
    return [{"name": name, **row} for name, row in zip(names, rows, strict=True)]


def _prequential_cells(row: Mapping[str, Any], top_k: str) -> list[str]:
    """Return the name and the metrics of a row of a prequential scoreboard."""
    metrics, interval = row["metrics"], row["ndcg_interval"]
    low, high = interval["low"], interval["high"]
    reach = None if low is None or high is None else (high - low) / 2
    values = [
        metrics[f"ndcg_at_{top_k}"],
        reach,
        metrics[f"ndcg_of_likes_at_{top_k}"],
        row["ndcg_by_history_length"][WITHOUT_HISTORY],
        metrics[f"coverage_at_{top_k}"],
        metrics["rmse"],
    ]
    return [row["name"], *(number(value, 3) for value in values)]


def _measured_cells(row: Mapping[str, Any]) -> list[str]:
    """Return the duration of a fit in seconds, and of a list in milliseconds."""
    return [number(row["fit_seconds"], 2), number(row["answer_seconds"] * 1000, 2)]


def number(value: float | None, digits: int) -> str:
    """Return a number with ``digits`` decimals, or a dash for None and NaN."""
    return MISSING if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def _is_number(text: str) -> bool:
    """Return whether a cell is a number or a dash."""
    return text == MISSING or text.replace(",", "").replace(".", "", 1).lstrip("-").isdigit()

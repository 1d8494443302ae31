"""``cineclub models compare``: any two registered versions on the same rows."""

import math
import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cineclub.domain.comparison import ComparedVersion, MetricDifference, VersionComparison
    from cineclub.settings import Settings

WIDTH = 80
DIGITS = 4


def compare(
    first: Annotated[int, typer.Argument(metavar="A", min=1, help="the version that the gate would have serving")],
    second: Annotated[int, typer.Argument(metavar="B", min=1, help="the version that would challenge it")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the comparison as JSON")] = False,
) -> None:
    """Judge two versions on the same rows, as the gate does.

    Nothing is registered, promoted or written down.
    """
    from cineclub import bootstrap
    from cineclub.cli.output import print_json, stdout
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        comparison = _compared(first, second, settings)
    if as_json:
        print_json(comparison.to_json())
    else:
        print_comparison(comparison, stdout())


def _compared(first: int, second: int, settings: "Settings") -> "VersionComparison":
    """Compare with the progress drawn."""
    from cineclub import bootstrap
    from cineclub.cli.progress import ProgressLines
    from cineclub.flows.comparing import ComparingFlow

    with ProgressLines() as lines:
        flow = ComparingFlow(
            store=bootstrap.rating_store(settings),
            known=bootstrap.promotions(settings).versions,
            archive=bootstrap.registry(settings),
            plan=settings.training_plan(),
            now=lambda: datetime.now(UTC),
            tell=lines.show,
        )
        return flow.compare(first, second)


def print_comparison(comparison: "VersionComparison", console: "Console") -> None:
    """Print who was compared how, every metric of both, and what the gate would say."""

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=False)

    for name, version in (("A", comparison.first), ("B", comparison.second)):
        tell(_version_text(name, version))
    tell(textwrap.fill(_how(comparison), WIDTH))
    console.print(_table(comparison))
    first, second = comparison.first.version, comparison.second.version
    tell(f"the gate on version {second} as a challenger of version {first}: {comparison.verdict}")
    tell(textwrap.fill(comparison.reason, WIDTH, initial_indent="  ", subsequent_indent="  "))
    tell("nothing was changed by this comparison")


def _version_text(name: str, version: "ComparedVersion") -> str:
    """Return one version with its recipe and what it saw."""
    seen = version.newest_rated_at
    until = f"ratings until {seen:%Y-%m-%d %H:%M} UTC" if seen else "ratings of unknown age"
    return textwrap.fill(
        f"{name}: version {version.version}, {version.recipe}, {until}", WIDTH, subsequent_indent="   "
    )


def _how(comparison: "VersionComparison") -> str:
    """Return on what and in which way both were judged."""
    n_windows = len(comparison.window_starts)
    people = f"{comparison.n_people:,} people"
    since = f"{comparison.window_starts[0]:%Y-%m-%d %H:%M} UTC"
    if comparison.comparison == "as deployed":
        return f"as deployed: the registered arrays, on {people} with ratings since {since}, newer than both saw"
    windows = "1 window" if n_windows == 1 else f"each of {n_windows} windows"
    how = f"recipe refitted: both recipes fitted anew before {windows}, on {people} with ratings since {since}"
    return f"{how}; the recipes are the same, so they are one model" if comparison.has_one_recipe else how


def _table(comparison: "VersionComparison") -> "Table":
    """Return the metrics as a table."""
    from cineclub.cli.tables import table

    heads = ["metric", "A", "B", "B - A", f"{comparison.confidence * 100:.4g} % interval"]
    shown = [one for one in comparison.metrics if not (math.isnan(one.first) and math.isnan(one.second))]
    return table(None, heads, [_cells(one) for one in shown])


def _cells(metric: "MetricDifference") -> list[str]:
    """Return the row of one metric."""
    from cineclub.cli.tables import MISSING, number

    span = MISSING if math.isnan(metric.low) else f"{metric.low:+.{DIGITS}f} to {metric.high:+.{DIGITS}f}"
    difference = MISSING if math.isnan(metric.difference) else f"{metric.difference:+.{DIGITS}f}"
    values = [number(value, DIGITS) for value in (metric.first, metric.second)]
    return [metric.name.replace("_at_", "@"), *values, difference, span]

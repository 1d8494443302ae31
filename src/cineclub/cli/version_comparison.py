"""``cineclub models compare``: two registered versions on the same ratings."""

import math
import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.domain.promotion.version_comparison import MetricDifference, VersionComparison
    from cineclub.settings import Settings

WIDTH = 80
DIGITS = 4


def compare(
    first: Annotated[int, typer.Argument(metavar="A", min=1, help="the version in the place of production")],
    second: Annotated[int, typer.Argument(metavar="B", min=1, help="the version in the place of the challenger")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the comparison as JSON")] = False,
) -> None:
    """Evaluate two versions on the same ratings, as the gate does.

    Nothing is registered, promoted or recorded.
    """
    from cineclub.bootstrap import storage
    from cineclub.cli.output import print_json, stdout
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        comparison = _compared(first, second, settings)
    if as_json:
        print_json(comparison.to_json())
    else:
        print_comparison(comparison, stdout())


def _compared(first: int, second: int, settings: "Settings") -> "VersionComparison":
    """Return the comparison, and show its progress."""
    from cineclub.bootstrap import storage
    from cineclub.cli.progress import ProgressLines
    from cineclub.flows.version_comparison import VersionComparisonFlow

    versions = storage.model_versions(settings)
    with ProgressLines() as lines:
        flow = VersionComparisonFlow(
            store=storage.rating_store(settings),
            registered=versions.get,
            load=versions.load,
            plan=settings.training_plan(),
            now=lambda: datetime.now(UTC),
            progress=lines.show,
        )
        return flow.compare(first, second)


def print_comparison(comparison: "VersionComparison", console: "Console") -> None:
    """Print both versions, the kind of comparison, all metrics, and the gate's verdict."""
    from cineclub.cli.tables import table

    def print_text(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=False)

    for name, version in (("A", comparison.first), ("B", comparison.second)):
        newest = version.newest_rated_at
        until = f"ratings until {newest:%Y-%m-%d %H:%M} UTC" if newest else "ratings of unknown age"
        text = f"{name}: version {version.version}, {version.recipe}, {until}"
        print_text(textwrap.fill(text, WIDTH, subsequent_indent="   "))
    print_text(textwrap.fill(_method_text(comparison), WIDTH))
    heads = ["metric", "A", "B", "B - A", f"{comparison.confidence * 100:.4g} % interval"]
    known = [metric for metric in comparison.metrics if not (math.isnan(metric.first) and math.isnan(metric.second))]
    console.print(table(None, heads, [_cells(metric) for metric in known]))
    _print_figures(comparison, console)
    first, second = comparison.first.version, comparison.second.version
    print_text(f"the gate on version {second} as a challenger of version {first}: {comparison.verdict}")
    print_text(textwrap.fill(comparison.reason, WIDTH, initial_indent="  ", subsequent_indent="  "))
    print_text("this comparison changed nothing")


def _method_text(comparison: "VersionComparison") -> str:
    """Return the method of the comparison with its users and windows."""
    n_windows = len(comparison.window_starts)
    users = f"{comparison.n_people:,} users with ratings since {comparison.window_starts[0]:%Y-%m-%d %H:%M} UTC"
    if comparison.comparison == "as deployed":
        return f"as deployed: the registered arrays, on {users}, newer than the ratings of both versions"
    windows = "1 window" if n_windows == 1 else f"each of {n_windows} windows"
    text = f"recipe refitted: both recipes fitted again before {windows}, on {users}"
    return f"{text}; both recipes are the same, so they are one model" if comparison.has_one_recipe else text


def _print_figures(comparison: "VersionComparison", console: "Console") -> None:
    """Print the nDCG of both versions beside every baseline, the best first, and what the columns are means of."""
    from cineclub.cli.tables import judged_note, number, table

    heads = ["model", f"nDCG@{comparison.top_k}", "\u00b1", "likes", "new"]
    ranked = sorted(comparison.figures, key=lambda figures: -figures.ndcg)
    cells = [
        [figures.name]
        + [
            number(value, DIGITS)
            for value in (
                figures.ndcg,
                (figures.high - figures.low) / 2,
                figures.ndcg_of_likes,
                figures.ndcg_without_history,
            )
        ]
        for figures in ranked
    ]
    console.print(table(None, heads, cells))
    note = judged_note(comparison.n_people, comparison.n_likes or 0, comparison.n_people_without_history)
    console.print(note, markup=False, highlight=False)


def _cells(metric: "MetricDifference") -> list[str]:
    """Return the row of one metric."""
    from cineclub.cli.tables import MISSING, number

    span = MISSING if math.isnan(metric.low) else f"{metric.low:+.{DIGITS}f} to {metric.high:+.{DIGITS}f}"
    difference = MISSING if math.isnan(metric.difference) else f"{metric.difference:+.{DIGITS}f}"
    values = [number(value, DIGITS) for value in (metric.first, metric.second)]
    return [metric.name.replace("_at_", "@"), *values, difference, span]

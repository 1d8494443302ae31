"""``cineclub drift``: whether ratings and answers differ from what was normal, for people and for cron."""

import asyncio
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from cineclub.domain.drift import StatisticChange
    from cineclub.domain.segment_changes import SegmentChange
    from cineclub.ports import BaselineComparison, DriftCheck, PastCheck

WIDTH = 80
MOMENT = "%Y-%m-%d %H:%M"
N_SEGMENTS = 8
EXIT_STATUS = {"OK": 0, "ALERT": 3, "NOT_ENOUGH_DATA": 4}
NOTHING = (None, None, None)
SHORT = {"OK": "OK", "ALERT": "ALERT", "NOT_ENOUGH_DATA": "no data"}

drift = typer.Typer(
    invoke_without_command=True, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)


@drift.callback()
def check(
    context: typer.Context,
    window: Annotated[str | None, typer.Option(help="how much is checked, such as 7d or 24h")] = None,
    threshold_pct: Annotated[float | None, typer.Option(help="a smaller change of a figure is OK")] = None,
    until: Annotated[str | None, typer.Option(help="end of the window: a time, or newest; now unless given")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the check as JSON")] = False,
) -> None:
    """Compare new ratings and answers with what was normal.

    Exit status 0 is OK, 3 is ALERT, 4 is not enough data, 1 is an error. What follows from an alert is up to
    CINECLUB_DRIFT_ACTION; nothing does with --until.
    """
    if context.invoked_subcommand is not None:
        return
    from cineclub import bootstrap
    from cineclub.cli.output import print_json, stdout
    from cineclub.domain.documents import to_document
    from cineclub.flows.drift import DriftQuestion
    from cineclub.settings import Settings

    wanted = Settings()
    usual = DriftQuestion(wanted.drift_window_days, wanted.drift_threshold_pct)
    question = usual.asked_as(window or None, threshold_pct, until)
    with bootstrap.database(wanted) as settings:
        found = asyncio.run(bootstrap.check_drift(settings, question))
    if as_json:
        print_json(to_document(found))
    else:
        print_check(found, stdout())
    raise typer.Exit(EXIT_STATUS[found.verdict])


@drift.command()
def history(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many")] = 20,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the checks as JSON")] = False,
) -> None:
    """List the checks that were made, newest first."""
    from cineclub import bootstrap
    from cineclub.cli.output import print_json, stdout
    from cineclub.domain.documents import to_document
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        checks = asyncio.run(bootstrap.drift_history(settings, limit))
    if as_json:
        print_json(to_document({"checks": checks}))
    else:
        _print_history(checks, stdout())


@drift.command()
def pin(
    version: Annotated[int | None, typer.Argument(min=1, max=2**31 - 1, help="its number; now unless given")] = None,
) -> None:
    """Pin the baseline of a version, or one taken from the ratings now.

    Checks compare with it too, whatever model comes into production.
    """
    from cineclub import bootstrap
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        asyncio.run(bootstrap.pin_drift_baseline(settings, version))
    what = "of the ratings as they are" if version is None else f"of version {version}"
    typer.echo(f"the baseline {what} is pinned")


@drift.command()
def unpin() -> None:
    """Let no baseline be pinned."""
    from cineclub import bootstrap
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        asyncio.run(bootstrap.unpin_drift_baseline(settings))
    typer.echo("no baseline is pinned: checks compare with that of production alone")


def print_check(check: "DriftCheck", console: "Console") -> None:
    """Print the verdict, each comparison and what followed."""

    def tell(text: str, indent: str = "") -> None:
        filled = textwrap.fill(text, WIDTH, subsequent_indent=indent)
        console.print(filled, markup=False, highlight=False, soft_wrap=False)

    tell(f"{check.verdict}: {check.summary.removeprefix('not enough data: ')}", "  ")
    window = check.window
    tell(
        f"{window.starts_at:{MOMENT}} to {window.ends_at:{MOMENT}} UTC: {window.n_ratings:,} ratings, "
        f"{window.n_answers:,} answers"
    )
    for comparison in check.comparisons:
        console.print()
        tell(_beside(comparison))
        known = [one for one in comparison.statistics if (one.baseline, one.current, one.distance) != NOTHING]
        if known:
            console.print(_statistics_table(known))
        if unknown := [one.name for one in comparison.statistics if one not in known]:
            tell(f"not enough data: {', '.join(unknown)}", "  ")
        if comparison.segments:
            console.print(_segments_table(comparison.segments[:N_SEGMENTS]))
    if check.training_id is not None:
        tell(f"training {check.training_id} is queued: a new model must prove itself better to be promoted")


def _beside(comparison: "BaselineComparison") -> str:
    """Return what was compared with."""
    whose = "" if comparison.model_version is None else f" of version {comparison.model_version}"
    kind = "the pinned baseline" if comparison.baseline == "pinned" else "the baseline"
    return f"beside {kind}{whose}, taken {comparison.taken_at:{MOMENT}} UTC, {comparison.n_windows} windows"


def _statistics_table(statistics: "Sequence[StatisticChange]") -> Any:
    """Return the statistics as a table: a figure with its change in percent, a distribution with its distance."""
    from cineclub.cli.tables import table

    heads = ["statistic", "baseline", "current", "change", "limit", "verdict"]
    return table(None, heads, [_statistic_cells(one) for one in statistics])


def _statistic_cells(one: "StatisticChange") -> list[str]:
    """Return the row of a statistic."""
    from cineclub.cli.tables import MISSING

    is_figure = one.distance is None
    change = one.change_pct if is_figure else one.distance
    unit = "%" if is_figure else ""
    return [
        one.name,
        _number(one.baseline),
        _number(one.current),
        MISSING if change is None else f"{change:+.1f}{unit}" if is_figure else f"{change:.3f}",
        MISSING if one.threshold is None else f"{one.threshold:.1f}{unit}" if is_figure else f"{one.threshold:.3f}",
        SHORT[one.verdict],
    ]


def _segments_table(segments: "Sequence[SegmentChange]") -> Any:
    """Return the parts that moved most as a table."""
    from cineclub.cli.tables import number, table

    rows = [
        [
            one.dimension,
            one.name,
            f"{100 * one.baseline_share:.1f} %",
            f"{100 * one.current_share:.1f} %",
            number(one.baseline_mean, 2),
            number(one.current_mean, 2),
            f"{100 * one.share_of_change:.0f} %",
        ]
        for one in segments
    ]
    return table("what moved most", ["part", "", "share", "now", "mean", "now", "of change"], rows)


def _number(value: float | None) -> str:
    """Return a figure with as many digits as its size asks for."""
    from cineclub.cli.tables import number

    return number(value, 0 if value is not None and abs(value) >= 1000 else 3)  # noqa: PLR2004 - of four digits


def _print_history(checks: "Sequence[PastCheck]", console: "Console") -> None:
    """Print the checks as a table."""
    from cineclub.cli.tables import table

    if not checks:
        console.print("drift was never checked yet: run cineclub drift", highlight=False)
        return
    rows = [
        [str(one.check_id), f"{one.checked_at:{MOMENT}}", one.asked_by, SHORT[one.verdict], one.summary]
        for one in checks
    ]
    console.print(table(None, ["check", "at (UTC)", "by", "verdict", "summary"], rows, "summary"))

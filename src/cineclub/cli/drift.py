"""``cineclub drift``: drift checks, their history, and the pinned baseline."""

import asyncio
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cineclub.cli.text import echo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from cineclub.domain.drift.changes import StatisticChange
    from cineclub.domain.drift.records import BaselineComparison, DriftCheck, PastCheck
    from cineclub.domain.drift.segment_changes import SegmentChange

WIDTH = 80
MOMENT = "%Y-%m-%d %H:%M"
N_SEGMENTS = 8
STATISTIC_HEADS = ["statistic", "baseline", "current", "change", "limit", "verdict"]
EXIT_STATUS = {"OK": 0, "ALERT": 3, "NOT_ENOUGH_DATA": 4}
SHORT = {"OK": "OK", "ALERT": "ALERT", "NOT_ENOUGH_DATA": "no data"}

drift = typer.Typer(
    invoke_without_command=True, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)


@drift.callback()
def check(
    context: typer.Context,
    window: Annotated[str | None, typer.Option(help="length of the window, such as 7d or 24h")] = None,
    threshold_pct: Annotated[float | None, typer.Option(help="a smaller change of a figure is OK")] = None,
    until: Annotated[str | None, typer.Option(help="end of the window: a time, or newest; now unless given")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the check as JSON")] = False,
) -> None:
    """Check the newest ratings and recommendations for drift.

    Exit status 0 is OK, 3 is ALERT, 4 is not enough data, 1 is an error. CINECLUB_DRIFT_ACTION sets the action on an
    alert; a check with --until takes no action.
    """
    if context.invoked_subcommand is not None:
        return
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.drift import check_drift
    from cineclub.cli.output import print_json, stdout
    from cineclub.domain.drift.documents import check_document
    from cineclub.flows.drift import DriftRequest
    from cineclub.settings import Settings

    given = Settings()
    usual = DriftRequest(given.drift_window_days, given.drift_threshold_pct)
    request = usual.replaced(window or None, threshold_pct, until)
    with storage.database(given) as settings:
        result = asyncio.run(check_drift(settings, request))
    if as_json:
        print_json(check_document(result))
    else:
        print_check(result, stdout())
    raise typer.Exit(EXIT_STATUS[result.verdict])


@drift.command()
def history(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="number of checks")] = 20,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the checks as JSON")] = False,
) -> None:
    """List the past checks, newest first."""
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.drift import drift_history
    from cineclub.cli.output import print_json, stdout
    from cineclub.domain.documents import to_document
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        checks = asyncio.run(drift_history(settings, limit))
    if as_json:
        print_json(to_document({"checks": checks}))
    else:
        _print_history(checks, stdout())


@drift.command()
def pin(
    version: Annotated[
        int | None, typer.Argument(min=1, max=2**31 - 1, help="a version; unset: from the ratings now")
    ] = None,
) -> None:
    """Pin the baseline of a version, or one from the ratings now.

    Checks also compare with the pinned baseline, whichever model is in production.
    """
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.drift import pin_drift_baseline
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        asyncio.run(pin_drift_baseline(settings, version))
    origin = "of the present ratings" if version is None else f"of version {version}"
    echo(f"the baseline {origin} is pinned")


@drift.command()
def unpin() -> None:
    """Unpin the baseline."""
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.drift import unpin_drift_baseline
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        asyncio.run(unpin_drift_baseline(settings))
    echo("no baseline is pinned: checks compare with the baseline of production alone")


def print_check(check: "DriftCheck", console: "Console") -> None:
    """Print the verdict, the comparisons, and the training that the check started."""
    from cineclub.cli.tables import table

    def print_text(text: str, indent: str = "") -> None:
        filled = textwrap.fill(text, WIDTH, subsequent_indent=indent)
        console.print(filled, markup=False, highlight=False, soft_wrap=False)

    print_text(f"{check.verdict}: {check.summary.removeprefix('not enough data: ')}", "  ")
    window = check.window
    print_text(
        f"{window.starts_at:{MOMENT}} to {window.ends_at:{MOMENT}} UTC: {window.n_ratings:,} ratings, "
        f"{window.n_answers:,} answers"
    )
    for comparison in check.comparisons:
        console.print()
        print_text(_heading(comparison))
        if known := [statistic for statistic in comparison.statistics if statistic.is_known]:
            console.print(table(None, STATISTIC_HEADS, [_statistic_cells(statistic) for statistic in known]))
        if unknown := [statistic.name for statistic in comparison.statistics if not statistic.is_known]:
            print_text(f"not enough data: {', '.join(unknown)}", "  ")
        if comparison.segments:
            console.print(_segments_table(comparison.segments[:N_SEGMENTS]))
    if check.training_id is not None:
        print_text(f"training {check.training_id} is queued: a new model must prove itself better to be promoted")


def _heading(comparison: "BaselineComparison") -> str:
    """Return the heading of a comparison: its baseline."""
    version = "" if comparison.model_version is None else f" of version {comparison.model_version}"
    kind = "the pinned baseline" if comparison.baseline == "pinned" else "the baseline"
    return f"beside {kind}{version}, taken {comparison.taken_at:{MOMENT}} UTC, {comparison.n_windows} windows"


def _statistic_cells(statistic: "StatisticChange") -> list[str]:
    """Return the row of a statistic: a figure with its change in percent, a distribution with its distance."""
    from cineclub.cli.tables import MISSING
    from cineclub.domain.drift.changes import Figure

    threshold = statistic.threshold
    if isinstance(statistic, Figure):
        change = MISSING if statistic.change_pct is None else f"{statistic.change_pct:+.1f}%"
        limit = MISSING if threshold is None else f"{threshold:.1f}%"
        numbers = [_number(statistic.baseline), _number(statistic.current), change, limit]
    else:
        change = MISSING if statistic.distance is None else f"{statistic.distance:.3f}"
        limit = MISSING if threshold is None else f"{threshold:.3f}"
        numbers = [MISSING, MISSING, change, limit]
    return [statistic.name, *numbers, SHORT[statistic.verdict]]


def _segments_table(segments: "Sequence[SegmentChange]") -> Any:
    """Return the segments that moved most as a table."""
    from cineclub.cli.tables import number, table

    rows = [
        [
            segment.dimension,
            segment.name,
            f"{100 * segment.baseline_share:.1f} %",
            f"{100 * segment.current_share:.1f} %",
            number(segment.baseline_mean, 2),
            number(segment.current_mean, 2),
            f"{100 * segment.share_of_change:.0f} %",
        ]
        for segment in segments
    ]
    return table("what moved most", ["part", "", "share", "now", "mean", "now", "of change"], rows)


def _number(value: float | None) -> str:
    """Return a figure with three decimals, or without any from 1000 on."""
    from cineclub.cli.tables import number

    return number(value, 0 if value is not None and abs(value) >= 1000 else 3)  # noqa: PLR2004 - of four digits


def _print_history(checks: "Sequence[PastCheck]", console: "Console") -> None:
    """Print the checks as a table."""
    from cineclub.cli.tables import table

    if not checks:
        console.print("drift was never checked yet: run cineclub drift", highlight=False)
        return
    rows = [
        [str(check.check_id), f"{check.checked_at:{MOMENT}}", check.asked_by, SHORT[check.verdict], check.summary]
        for check in checks
    ]
    console.print(table(None, ["check", "at (UTC)", "by", "verdict", "summary"], rows, "summary"))

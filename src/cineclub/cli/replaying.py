"""``cineclub replay``: a simulated month, with its progress on stderr and its report on stdout."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.domain.replay.report import MonthReport

BROKEN_PROMISE = 3


def replay(
    path: Annotated[
        Path | None, typer.Argument(help="ratings as `cineclub import` takes them; the demo data unless given")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="how many simulated days")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="what samples and resamples derive from")] = 0,
    scenario: Annotated[
        str, typer.Option(help="what is injected: calm, taste-shift, bad-data, bad-model, outage, all")
    ] = "calm",
    output: Annotated[Path | None, typer.Option(help="folder for the report as JSON, page and picture")] = None,
    day_seconds: Annotated[float, typer.Option(help="how long a simulated day takes")] = 13.0,
    most_a_day: Annotated[int, typer.Option(min=1, help="ratings that one person gives on a day at most")] = 100,
) -> None:
    """Play a month of real ratings against the service.

    Everything runs in a throw-away folder: service, worker, PostgreSQL, MLflow's store. Exit status 3 says that
    something did not hold. Needs httpx: pip install 'cineclub[client]'.
    """
    from cineclub.cli.output import stderr, stdout
    from cineclub.domain.errors import CineclubError

    try:
        from cineclub.replay.run import replay as run
        from cineclub.replay.run import write
    except ModuleNotFoundError as error:
        message = f"{error.name} is not installed: pip install 'cineclub[client]'"
        raise CineclubError(message) from error
    from cineclub.replay.plan import MonthPlan

    plan = MonthPlan(path, days, seed, scenario, day_seconds, most_a_day)
    progress = stderr()
    month = run(plan, lambda line: progress.print(line, markup=False, highlight=False))
    _print(month, stdout())
    if output is not None:
        for written in write(month, output):
            typer.echo(f"written: {written}")
    if not all(one.is_kept for one in month.promises):
        raise typer.Exit(BROKEN_PROMISE)


def _print(month: "MonthReport", console: "Console") -> None:
    """Print what a month has shown."""
    from cineclub.cli.tables import number, table

    title = f"{month.n_days} simulated days, scenario {month.scenario}: {month.n_played:,} ratings"
    rows = [[line.name, number(line.hit_rate, 4), number(line.ndcg, 4)] for line in month.lines]
    console.print(table(title, ["lists", "hit rate@10", "nDCG@10"], rows, wide="lists"))
    if month.events:
        heads = ["event", "day", "detected", "recovered", "verdict"]
        rows = [
            [
                one.title,
                number(one.at_days, 1),
                _days(one.detected_after_days),
                "open" if one.is_cut_short and one.recovered_after_days is None else _days(one.recovered_after_days),
                one.verdict,
            ]
            for one in month.events
        ]
        console.print(table("injected; times in simulated days", heads, rows, wide="verdict"))
    traffic = month.traffic
    lines = [
        (
            f"requests {traffic.n_requests:,}, failed {traffic.n_failed}, ratings lost {traffic.n_ratings_lost}, "
            f"lost from the log {traffic.n_recommendations_lost}"
        ),
        (
            f"predict p50 {traffic.predict_p50_ms:.1f} ms, p99 {traffic.predict_p99_ms:.1f} ms; "
            f"{month.seconds / 60:.1f} minutes in all"
        ),
        *(f"false alarm: {one}" for one in month.false_alarms),
        *(f"{'kept  ' if one.is_kept else 'BROKEN'} {one.text}: {one.found}" for one in month.promises),
    ]
    console.print("\n".join(lines), markup=False, highlight=False)


def _days(value: float | None) -> str:
    """Return a number of simulated days."""
    return "never" if value is None else f"{value:.2f}"

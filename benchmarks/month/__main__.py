"""``python -m benchmarks.month``: a simulated month, with its progress on stderr and its report on stdout."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.month.calendar import MAX_DAILY_RATINGS
from benchmarks.month.events import SCENARIOS
from benchmarks.month.plan import MAX_DAYS, MODELS, MonthPlan
from benchmarks.month.report import MonthReport
from benchmarks.month.run import run_month, write
from benchmarks.month.simulated_time import restart_with_short_days
from cineclub.cli.output import stderr, stdout
from cineclub.cli.tables import number, table
from cineclub.domain.errors import CineclubError

BROKEN_PROMISE = 3


def month(  # noqa: PLR0913, PLR0917 - one parameter an option
    path: Annotated[
        Path | None, typer.Argument(help="ratings as `cineclub import` takes them; the demo data unless given")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=MAX_DAYS, help="number of simulated days")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="seed of samples and resamples")] = 0,
    scenario: Annotated[str, typer.Option(help=f"events to inject: {', '.join(SCENARIOS)}")] = "calm",
    output: Annotated[Path | None, typer.Option(help="folder for the report as JSON, page and plot")] = None,
    day_seconds: Annotated[float, typer.Option(help="duration of a simulated day")] = 13.0,
    max_daily_ratings: Annotated[
        int, typer.Option(min=1, help="largest number of ratings of one user on a day")
    ] = MAX_DAILY_RATINGS,
    models: Annotated[
        str, typer.Option(help=f"models of each night, separated by commas; unset: {', '.join(MODELS)}")
    ] = "",
    step_back: Annotated[
        float | None, typer.Option(min=0, max=1, help="CINECLUB_STEP_BACK of the service; unset: its default")
    ] = None,
) -> None:
    """Play a month of real ratings against the service.

    Everything runs in a temporary folder: service, worker, PostgreSQL, MLflow's store. Exit status 3: a promise was
    broken.
    """
    names = tuple(name.strip() for name in models.split(",") if name.strip())
    plan = MonthPlan(
        path, days, seed, scenario, day_seconds, max_daily_ratings, models=names or MODELS, step_back=step_back
    )
    restart_with_short_days(day_seconds)
    progress = stderr()
    report = run_month(plan, lambda line: progress.print(line, markup=False, highlight=False))
    _print(report, stdout())
    if output is not None:
        for written in write(report, output):
            typer.echo(f"written: {written}")
    if not all(promise.is_kept for promise in report.promises):
        raise typer.Exit(BROKEN_PROMISE)


def _print(month: MonthReport, console: Console) -> None:
    """Print the report of a month."""
    title = f"{month.n_days} simulated days, scenario {month.scenario}: {month.n_played:,} ratings"
    lines = [[line.name, number(line.hit_rate, 4), number(line.ndcg, 4)] for line in month.lines]
    console.print(table(title, ["lists", "hit rate@10", "nDCG@10"], lines, wide="lists"))
    _print_agreement(month, console)
    if month.events:
        heads = ["event", "day", "detected", "recovered", "verdict"]
        events = [
            [
                event.title,
                number(event.at_days, 1),
                _days(event.detected_after_days),
                "open"
                if event.is_cut_short and event.recovered_after_days is None
                else _days(event.recovered_after_days),
                event.verdict,
            ]
            for event in month.events
        ]
        console.print(table("injected events; times in simulated days", heads, events, wide="verdict"))
    traffic = month.traffic
    texts = [
        (
            f"requests {traffic.n_requests:,}, failed {traffic.n_failed}, ratings lost {traffic.n_ratings_lost}, "
            f"lost from the log {traffic.n_recommendations_lost}"
        ),
        (
            f"predict p50 {traffic.predict_p50_ms:.1f} ms, p99 {traffic.predict_p99_ms:.1f} ms; "
            f"{month.seconds / 60:.1f} minutes in all"
        ),
        *(f"false alarm: {alarm}" for alarm in month.false_alarms),
        *(
            f"{'kept  ' if promise.is_kept else 'BROKEN'} {promise.text}: {promise.finding}"
            for promise in month.promises
        ),
    ]
    console.print("\n".join(texts), markup=False, highlight=False)


def _print_agreement(month: MonthReport, console: Console) -> None:
    """Print how well the figures of trainings agree with those of the month."""
    cells = [
        [f"{agreement.measure}, {agreement.against}", str(agreement.n_versions)]
        + [number(value, 2) for value in (agreement.pearson, agreement.spearman)]
        for agreement in month.agreement
    ]
    heads = ["figures of trainings against", "versions", "Pearson", "Spearman"]
    console.print(table("offline and live", heads, cells, wide=heads[0]))


def _days(value: float | None) -> str:
    """Return a number of simulated days, ``never`` for None."""
    return "never" if value is None else f"{value:.2f}"


def main() -> None:
    """Run the command; an error is one sentence on stderr and exit status 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(month)
    try:
        app(prog_name="python -m benchmarks.month")
    except (CineclubError, OSError) as error:
        stderr().print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()

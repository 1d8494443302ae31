"""``cineclub evaluate``: an offline evaluation of models on a file or the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.domain.ratings.imported import ImportedRatings
    from cineclub.domain.ratings.log import RatingLog
    from cineclub.flows.evaluation import EvaluationReport

DATABASE = "database"
SHOWN_REJECTS = 3
Search = Literal["auto", "none", "grid", "halving"]


def evaluate(  # noqa: PLR0913, PLR0917 - one argument an option
    source: Annotated[str, typer.Argument(metavar="PATH_OR_database", help="a file or folder, or: database")],
    models: Annotated[str, typer.Option(help="names separated by commas; unset: all, or five above 5 M ratings")] = "",
    split: Annotated[
        Literal["prequential", "time", "random", "last-out"],
        typer.Option(help="held-out ratings: prequential walks the newest in time; the others compare with papers"),
    ] = "prequential",
    test_fraction: Annotated[float, typer.Option(min=0.01, max=0.9, help="share of the ratings to hold out")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="seed of every random choice")] = 0,
    scale: Annotated[str | None, typer.Option(metavar="LO-HI", help="a plain file's scale, as 1-10")] = None,
    user_column: Annotated[str | None, typer.Option(help="column of a plain file that holds the user")] = None,
    movie_column: Annotated[str | None, typer.Option(help="column of a plain file that holds the film")] = None,
    rating_column: Annotated[str | None, typer.Option(help="column of a plain file that holds the rating")] = None,
    time_column: Annotated[str | None, typer.Option(help="column of a plain file that holds the time")] = None,
    search: Annotated[Search, typer.Option(help="how to search grids; auto: SVD's above 5 M ratings")] = "auto",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the scoreboard as JSON")] = False,
) -> None:
    """Evaluate models on a file of ratings, or on the database.

    A file needs no database. Bad rows are left out and reported on stderr. A prequential table always has the
    baselines: random, bias, and popular of all time and of the last days.
    """
    from cineclub.cli.output import print_json, stdout
    from cineclub.cli.progress import ProgressLines
    from cineclub.cli.training import names_between_commas
    from cineclub.flows.evaluation import evaluate_ratings

    columns = {"user": user_column, "movie": movie_column, "rating": rating_column, "rated_at": time_column}
    log = _log_of(source, scale, columns)
    with ProgressLines() as lines:
        evaluation = evaluate_ratings(
            log,
            names_between_commas(models),
            split,
            test_fraction,
            seed,
            lambda recipe, fraction: lines.show("evaluate models", fraction, str(recipe)),
            searched=search,
        )
    if as_json:
        print_json(evaluation.to_json())
    else:
        _print_evaluation(evaluation, stdout())


def _log_of(source: str, scale: str | None, columns: dict[str, str | None]) -> "RatingLog":
    """Return the ratings of a file, or of the database."""
    from cineclub.bootstrap import data_files, storage
    from cineclub.cli.data import mapping_of, scale_of
    from cineclub.cli.output import stderr
    from cineclub.settings import Settings

    if source == DATABASE:
        with storage.database(Settings()) as settings:
            return storage.rating_store(settings).load_snapshot(lambda _fraction: None).log
    imported = data_files.ratings_of_file(Path(source), mapping_of(columns), scale_of(scale))
    if left_out := _left_out_text(imported):
        stderr().print(left_out, markup=False, highlight=False)
    return imported.rows.to_log(imported.scale)


def _left_out_text(imported: "ImportedRatings") -> str:
    """Return what was left out of a file, with the first reasons; empty if every row is used."""
    from cineclub.domain.ratings.rejected_rows import first_reasons

    n_rejected, n_superseded = len(imported.rejected), len(imported.superseded)
    if not n_rejected and not n_superseded:
        return ""
    counts = f"{n_rejected:,} bad rows left out, {n_superseded:,} superseded by a later rating"
    first = first_reasons(imported.rejected, SHOWN_REJECTS)
    return f"{counts}; first: {first}" if first else counts


def _print_evaluation(evaluation: "EvaluationReport", console: "Console") -> None:
    """Print the scoreboard with the parameters of the evaluation."""
    from cineclub.cli.tables import scoreboard_note, scoreboard_table
    from cineclub.domain.evaluation.scoreboard import rows_of

    title = f"{evaluation.n_held_out:,} held-out ratings, split {evaluation.split}, seed {evaluation.seed}"
    rows = list(rows_of(evaluation.scoreboard.candidates))
    console.print(scoreboard_table(title, rows))
    if note := scoreboard_note(rows):
        console.print(note, markup=False, highlight=False)
    for candidate in evaluation.scoreboard.left_out:
        console.print(f"left out: {candidate.recipe}: {candidate.reason}", markup=False, highlight=False)

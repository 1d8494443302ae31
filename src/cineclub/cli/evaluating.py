"""``cineclub evaluate``: how the models do on ratings at hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.domain.ratings import RatingLog
    from cineclub.flows.evaluation import Evaluation

DATABASE = "database"
Search = Literal["auto", "none", "grid", "halving"]


def evaluate(  # noqa: PLR0913, PLR0917 - one argument an option
    source: Annotated[str, typer.Argument(metavar="PATH_OR_database", help="a file or folder, or: database")],
    models: Annotated[
        str, typer.Option(help="names with commas between; unless given all, or five above 5 M ratings")
    ] = "",
    split: Annotated[Literal["time", "random", "last-out"], typer.Option(help="how ratings are held out")] = "time",
    test_fraction: Annotated[float, typer.Option(min=0.01, max=0.9, help="share of the ratings to hold out")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="what every random choice derives from")] = 0,
    scale: Annotated[str | None, typer.Option(metavar="LO-HI", help="a plain file's scale, as 1-10")] = None,
    user_column: Annotated[str | None, typer.Option(help="column of a plain file that holds the user")] = None,
    movie_column: Annotated[str | None, typer.Option(help="column of a plain file that holds the film")] = None,
    rating_column: Annotated[str | None, typer.Option(help="column of a plain file that holds the rating")] = None,
    time_column: Annotated[str | None, typer.Option(help="column of a plain file that holds the time")] = None,
    search: Annotated[Search, typer.Option(help="how to search grids; auto: SVD's above 5 M ratings")] = "auto",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the scoreboard as JSON")] = False,
) -> None:
    """Judge models on a file of ratings, or on the database.

    For a file no database is needed.
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
    from cineclub import bootstrap
    from cineclub.cli.data import mapping_of, scale_of
    from cineclub.settings import Settings

    if source == DATABASE:
        with bootstrap.database(Settings()) as settings:
            return bootstrap.rating_store(settings).load_snapshot(lambda _fraction: None).log
    return bootstrap.ratings_of_file(Path(source), mapping_of(columns), scale_of(scale))


def _print_evaluation(evaluation: "Evaluation", console: "Console") -> None:
    """Print the scoreboard and how it came about."""
    from cineclub.cli.tables import scoreboard_table
    from cineclub.domain.scoreboard import rows_of

    judged = f"{evaluation.n_held_out:,} held-out ratings, split {evaluation.split}, seed {evaluation.seed}"
    console.print(scoreboard_table(judged, list(rows_of(evaluation.scoreboard.candidates))))
    for left in evaluation.scoreboard.left_out:
        console.print(f"left out: {left.recipe}: {left.reason}", markup=False, highlight=False)

"""``cineclub import``, ``export``, ``backup`` and ``restore``: what goes in and out of the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cineclub.domain.errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.domain.imported_ratings import ColumnMapping
    from cineclub.domain.ratings import RatingScale
    from cineclub.flows.importing import ImportReport

REJECTS = Path("rejects.csv")
BYTES_PER_MIB = 1 << 20
COLUMN_HELP = "column of a plain file that holds "


def import_ratings(  # noqa: PLR0913, PLR0917 - one parameter per option of the command line
    path: Annotated[Path, typer.Argument(help="MovieLens folder or zip, MovieTweetings, an export, CSV or Parquet")],
    user_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the user")] = None,
    movie_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the film")] = None,
    rating_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the rating")] = None,
    time_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the time")] = None,
    title_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the film's title")] = None,
    year_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the film's year")] = None,
    genres_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}its genres, | between")] = None,
    scale: Annotated[str | None, typer.Option(metavar="LO-HI", help="lowest and highest rating, as 1-10")] = None,
    rejects: Annotated[Path, typer.Option(help="where rows that were not used go, with the reason")] = REJECTS,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="write nothing if one row is bad")] = False,
) -> None:
    """Import ratings and films; a second time changes nothing.

    Everything is written in one transaction. Ratings that are there already are replaced where they differ.
    """
    from cineclub import bootstrap
    from cineclub.cli.output import stdout
    from cineclub.cli.progress import ProgressLines
    from cineclub.settings import Settings

    named = {
        "user": user_column,
        "movie": movie_column,
        "rating": rating_column,
        "rated_at": time_column,
        "title": title_column,
        "year": year_column,
        "genres": genres_column,
    }
    mapping, stated = mapping_of(named), scale_of(scale)
    with bootstrap.database(Settings()) as settings, ProgressLines() as lines:
        source = bootstrap.rating_source(path, mapping, stated)
        report = bootstrap.import_ratings(
            settings,
            source,
            rejects,
            strict=strict,
            progress=lambda fraction, message: lines.show("import ratings", fraction, message),
        )
    print_import(report, stdout())


def export_ratings(
    path: Annotated[Path, typer.Argument(metavar="FOLDER", help="where ratings.csv and the others go")],
) -> None:
    """Write ratings and films as CSV files, which import takes."""
    from cineclub import bootstrap
    from cineclub.cli.progress import ProgressLines
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings, ProgressLines() as lines:
        n_ratings = bootstrap.export_ratings(
            settings, path, lambda fraction, message: lines.show("export", fraction, message)
        )
    typer.echo(f"{n_ratings:,} ratings written to {path}")


def backup(path: Annotated[Path, typer.Argument(metavar="FILE", help="a new file")]) -> None:
    """Write data, registry and models into one file."""
    from cineclub import bootstrap
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        n_bytes = bootstrap.backup(settings, path)
    typer.echo(f"{n_bytes / BYTES_PER_MIB:,.1f} MiB written to {path}")


def restore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="what cineclub backup wrote")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="put it in the place of the ratings that are there")
    ] = False,
) -> None:
    """Bring back what a backup holds.

    Also the way to the next major version of PostgreSQL: back up with the old, restore with the new.
    """
    from cineclub import bootstrap
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        bootstrap.restore(settings, path, replace=replace)
        facts = bootstrap.rating_store(settings).facts()
    typer.echo(f"restored: {facts.n_ratings:,} ratings by {facts.n_users:,} users of {facts.n_movies:,} films")


def mapping_of(columns: "dict[str, str | None]") -> "ColumnMapping | None":
    """Return the column mapping of the options; None where none was given, so that known names count."""
    from cineclub.domain.imported_ratings import ColumnMapping

    given = {meaning: name for meaning, name in columns.items() if name}
    return ColumnMapping(**given) if given else None


def scale_of(text: str | None) -> "RatingScale | None":
    """Return the scale of a text such as ``1-10`` or ``0.5-5``.

    Raises:
        InvalidInput: it is none.
    """
    from cineclub.domain.ratings import RatingScale

    if text is None:
        return None
    lowest, _, highest = text.rpartition("-")
    try:
        return RatingScale(float(lowest), float(highest))
    except ValueError as error:
        message = f"--scale {text!r} is no scale: write the lowest and the highest rating, for example --scale 0.5-5"
        raise InvalidInput(message) from error


def print_import(report: "ImportReport", console: "Console") -> None:
    """Print what an import read, refused and changed."""
    counts = report.counts
    lines = [
        f"{report.n_read:,} ratings read, scale {report.scale.lowest:g} to {report.scale.highest:g}",
        f"{counts.n_inserted:,} new, {counts.n_updated:,} changed, {counts.n_unchanged:,} as they were",
        f"{counts.n_new_users:,} new users, {counts.n_new_movies:,} new films",
    ]
    if report.rejects_path:
        bad = f"{report.n_rejected:,} bad rows, {report.n_superseded:,} superseded by a later rating"
        lines.append(f"{bad}: see {report.rejects_path}")
    console.print("\n".join(lines), markup=False, highlight=False)

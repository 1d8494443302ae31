"""``cineclub import``, ``export``, ``backup`` and ``restore``: data into and out of the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cineclub.cli.text import echo
from cineclub.domain.errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.domain.ratings.imported import ColumnMapping
    from cineclub.domain.ratings.log import RatingScale
    from cineclub.flows.importing import ImportReport

REJECTS = Path("rejects.csv")
BYTES_PER_MIB = 1 << 20
MEANINGS = ("user", "movie", "rating", "rated_at", "title", "year", "genres")
COLUMN_HELP = "column of a plain file that holds "


def import_ratings(  # noqa: PLR0913, PLR0917 - one parameter per option of the command line
    path: Annotated[Path, typer.Argument(help="MovieLens folder or zip, MovieTweetings, an export, CSV or Parquet")],
    user_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the user")] = None,
    movie_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the film")] = None,
    rating_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the rating")] = None,
    time_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the time")] = None,
    title_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the film's title")] = None,
    year_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the film's year")] = None,
    genres_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}its genres, separated by |")] = None,
    scale: Annotated[str | None, typer.Option(metavar="LO-HI", help="lowest and highest rating, as 1-10")] = None,
    rejects: Annotated[Path, typer.Option(help="new file for rejected rows with their reasons")] = REJECTS,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="write nothing if one row is invalid")] = False,
    beside_demo: Annotated[bool, typer.Option("--beside-demo", help="mix with the demo ratings of a demo")] = False,
) -> None:
    """Import ratings and films; a repetition changes nothing.

    Everything is written in one transaction. Stored ratings that differ are replaced. Rows that cannot be used go to
    the rejects file; with some valid rows the exit status is 0.
    """
    from cineclub.bootstrap import data_files, storage
    from cineclub.cli.output import stdout
    from cineclub.cli.progress import ProgressLines
    from cineclub.settings import Settings

    columns = (user_column, movie_column, rating_column, time_column, title_column, year_column, genres_column)
    named = dict(zip(MEANINGS, columns, strict=True))
    mapping, stated = mapping_of(named), scale_of(scale)
    data_files.refuse_to_overwrite(rejects, path)
    with storage.database(Settings()) as settings, ProgressLines() as lines:
        source = data_files.rating_source(path, mapping, stated)
        report = data_files.import_ratings(
            settings,
            source,
            rejects,
            strict=strict,
            beside_demo=beside_demo,
            progress=lambda fraction, message: lines.show("import ratings", fraction, message),
        )
    print_import(report, stdout())


def export_ratings(
    path: Annotated[Path, typer.Argument(metavar="FOLDER", help="folder for ratings.csv and the other files")],
) -> None:
    """Write ratings and films as CSV files for import."""
    from cineclub.bootstrap import data_files, storage
    from cineclub.cli.progress import ProgressLines
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings, ProgressLines() as lines:
        n_ratings = data_files.export_ratings(
            settings, path, lambda fraction, message: lines.show("export", fraction, message)
        )
    echo(f"{n_ratings:,} ratings written to {path}")


def backup(path: Annotated[Path, typer.Argument(metavar="FILE", help="a new file")]) -> None:
    """Write data, registry and models to one file."""
    from cineclub.bootstrap import data_files, storage
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        n_bytes = data_files.backup(settings, path)
    echo(f"{n_bytes / BYTES_PER_MIB:,.1f} MiB written to {path}")


def restore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="a file of cineclub backup")],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="replace the stored ratings")] = False,
) -> None:
    """Restore data, registry and models from a backup.

    To change to a new major version of PostgreSQL, back up with the old one and restore with the new one.
    """
    from cineclub.bootstrap import data_files, storage
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        left_out = data_files.restore(settings, path, replace=replace)
        facts = storage.rating_store(settings).facts()
    if left_out:
        echo(f"not restored, because no table here has that name: {', '.join(left_out)}", err=True)
    echo(f"restored: {facts.n_ratings:,} ratings by {facts.n_users:,} users of {facts.n_movies:,} films")


def mapping_of(columns: "dict[str, str | None]") -> "ColumnMapping | None":
    """Return the column mapping of the options; None without any, so that known column names are used."""
    from cineclub.domain.ratings.imported import ColumnMapping

    given = {meaning: name for meaning, name in columns.items() if name}
    return ColumnMapping(**given) if given else None


def scale_of(text: str | None) -> "RatingScale | None":
    """Return the scale of a text such as ``1-10`` or ``0.5-5``.

    Raises:
        InvalidInput: the text is not a scale.
    """
    from cineclub.domain.ratings.log import RatingScale

    if text is None:
        return None
    lowest, _, highest = text.rpartition("-")
    try:
        return RatingScale(float(lowest), float(highest))
    except ValueError as error:
        message = f"--scale {text!r} is no scale: write the lowest and the highest rating, for example --scale 0.5-5"
        raise InvalidInput(message) from error


def print_import(report: "ImportReport", console: "Console") -> None:
    """Print the numbers of read, changed and rejected rows of an import."""
    counts = report.counts
    lines = [
        f"{report.n_read:,} ratings read, scale {report.scale.lowest:g} to {report.scale.highest:g}",
        f"{counts.n_inserted:,} new, {counts.n_updated:,} changed, {counts.n_unchanged:,} unchanged",
        f"{counts.n_new_users:,} new users, {counts.n_new_movies:,} new films",
    ]
    if report.n_respelled:
        lines.append(f"{report.n_respelled:,} ids spelled in another way, as 1.0 for 1, or with blanks around them")
    if report.n_continued:
        lines.append(f"{report.n_continued:,} lines continue the quoted field of the line above")
    if report.rejects_path:
        rejected = f"{report.n_rejected:,} bad rows, {report.n_superseded:,} superseded by a later rating"
        lines.append(f"{rejected}: see {report.rejects_path}")
    console.print("\n".join(lines), markup=False, highlight=False)

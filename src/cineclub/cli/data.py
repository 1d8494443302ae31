"""``cineclub import``, ``export``, ``backup`` and ``restore``: data into and out of the database."""

from collections.abc import Sequence
from dataclasses import replace
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
    from cineclub.ports import RatingSource

REJECTS = Path("rejects.csv")
BYTES_PER_MIB = 1 << 20
MEANINGS = ("user", "movie", "rating", "rated_at", "title", "year", "genres", "runtime", "overview")
COLUMN_HELP = "column of a plain file that holds "

RatingsPath = Annotated[
    Path | None, typer.Argument(help="MovieLens folder or zip, MovieTweetings, an export, CSV or Parquet")
]
Labels = Annotated[
    list[str] | None, typer.Option(metavar="KIND=COLUMN", help="labels, as director=directors, separated by |")
]


def import_ratings(  # noqa: PLR0913, PLR0917 - one parameter per option of the command line
    path: RatingsPath = None,
    user_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the user")] = None,
    movie_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the film")] = None,
    rating_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the rating")] = None,
    time_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the time")] = None,
    title_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the film's title")] = None,
    year_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the film's year")] = None,
    genres_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}its genres, separated by |")] = None,
    runtime_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}its minutes")] = None,
    overview_column: Annotated[str | None, typer.Option(help=f"{COLUMN_HELP}the text about it")] = None,
    labels: Labels = None,
    movies: Annotated[Path | None, typer.Option(help="CSV, TSV, Parquet or JSON lines file of films")] = None,
    scale: Annotated[str | None, typer.Option(metavar="LO-HI", help="lowest and highest rating, as 1-10")] = None,
    rejects: Annotated[Path, typer.Option(help="new file for rejected rows with their reasons")] = REJECTS,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="write nothing if one row is invalid")] = False,
    beside_demo: Annotated[bool, typer.Option("--beside-demo", help="mix with the demo ratings of a demo")] = False,
) -> None:
    """Import ratings and films; a repetition changes nothing.

    Films may come from a file of their own, with ratings or without. Everything is written in one transaction. Stored
    ratings that differ are replaced. Rows that cannot be used go to the rejects file; with some valid rows the exit
    status is 0.
    """
    from cineclub.bootstrap import data_files, storage
    from cineclub.cli.output import stdout
    from cineclub.cli.progress import ProgressLines
    from cineclub.settings import Settings

    columns = (user_column, movie_column, rating_column, time_column, title_column, year_column, genres_column)
    named = dict(zip(MEANINGS, (*columns, runtime_column, overview_column), strict=True))
    mapping, stated = mapping_of(named, labels or []), scale_of(scale)
    for source_path in filter(None, (path, movies)):
        data_files.refuse_to_overwrite(rejects, source_path)
    with storage.database(Settings()) as settings, ProgressLines() as lines:
        report = data_files.import_ratings(
            settings,
            _source(path, movies, mapping, stated),
            rejects,
            strict=strict,
            beside_demo=beside_demo,
            is_of_movies=path is None,
            progress=lambda fraction, message: lines.show("import ratings", fraction, message),
        )
    print_import(report, stdout())


def _source(
    path: Path | None, movies: Path | None, mapping: "ColumnMapping | None", scale: "RatingScale | None"
) -> "RatingSource":
    """Return the ratings of a path with the films of a file, or one of both."""
    from cineclub.bootstrap import data_files

    if path is not None:
        return data_files.rating_source(path, mapping, scale, movies)
    if movies is None:
        message = "nothing to import: name a file or folder of ratings, or films with --movies FILE"
        raise InvalidInput(message)
    return data_files.movie_source(movies)


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


def mapping_of(columns: "dict[str, str | None]", labels: Sequence[str] = ()) -> "ColumnMapping | None":
    """Return the column mapping of the options; None without any, so that known column names are used.

    Raises:
        InvalidInput: a text of labels is not KIND=COLUMN.
    """
    from cineclub.domain.ratings.imported import ColumnMapping

    given = {meaning: name for meaning, name in columns.items() if name}
    pairs = tuple((kind.strip(), column.strip()) for kind, _, column in (text.partition("=") for text in labels))
    if wrong := [text for text, (_, column) in zip(labels, pairs, strict=True) if not column]:
        message = f"--labels {wrong[0]!r} is not KIND=COLUMN: write for example --labels director=directors"
        raise InvalidInput(message)
    return replace(ColumnMapping(), labels=pairs, **given) if given or pairs else None


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
    lines = [*_lines_of_changes(report), *_lines_of_labels(report)]
    if report.n_respelled:
        lines.append(f"{report.n_respelled:,} ids spelled in another way, as 1.0 for 1, or with blanks around them")
    if report.n_continued:
        lines.append(f"{report.n_continued:,} lines continue the quoted field of the line above")
    if report.rejects_path:
        rejected = f"{report.n_rejected:,} bad rows, {report.n_superseded:,} superseded by a later rating"
        lines.append(f"{rejected}: see {report.rejects_path}")
    console.print("\n".join(lines), markup=False, highlight=False)


def _lines_of_changes(report: "ImportReport") -> list[str]:
    """Return the numbers of new and changed ratings, if there were any, users and films."""
    counts = report.counts
    movies = f"{counts.n_new_movies:,} new films, {counts.n_changed_movies:,} changed films"
    if not report.n_read:
        return [movies]
    return [
        f"{report.n_read:,} ratings read, scale {report.scale.lowest:g} to {report.scale.highest:g}",
        f"{counts.n_inserted:,} new, {counts.n_updated:,} changed, {counts.n_unchanged:,} unchanged",
        f"{counts.n_new_users:,} new users, {movies}",
    ]


def _lines_of_labels(report: "ImportReport") -> list[str]:
    """Return the numbers of labels, and of what else was not used; nothing for a number that is 0."""
    left_out = report.left_out
    sentences = {
        "labels of films": report.n_labels,
        "labels left out: without a name, or beyond 1,000 of a film": left_out.n_labels,
        "series, episodes and games left out": left_out.n_series,
        "films of other catalogues left out: no id here leads to them": left_out.n_unmatched,
    }
    return [f"{number:,} {sentence}" for sentence, number in sentences.items() if number]

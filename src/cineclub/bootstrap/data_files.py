"""Ratings and backups: files -> the database, and back."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cineclub.bootstrap.storage import database_url, external_schema
from cineclub.settings import Settings

if TYPE_CHECKING:
    from cineclub.domain.ratings.import_counts import ImportProgress
    from cineclub.domain.ratings.imported import ColumnMapping, ImportedRatings
    from cineclub.domain.ratings.log import RatingScale
    from cineclub.flows.importing import ImportReport
    from cineclub.ports import RatingSource


def rating_source(
    path: Path, mapping: "ColumnMapping | None", scale: "RatingScale | None", movies_path: Path | None = None
) -> "RatingSource":
    """Return the ratings of a file or folder, with the films of another file.

    Raises:
        InvalidInput: there is no such file, or its format is unknown.
    """
    from cineclub.adapters.files import open_source

    return open_source(path, mapping, scale, movies_path)


def movie_source(path: Path) -> "RatingSource":
    """Return the films of a file without ratings; InvalidInput if there is none, or its format is unknown."""
    from cineclub.adapters.files import open_movies

    return open_movies(path)


def demo_source() -> "RatingSource":
    """Return the demo ratings; InvalidInput if they are not installed."""
    from cineclub.adapters.files import demo_source as source

    return source()


def ratings_of_file(path: Path, mapping: "ColumnMapping | None", scale: "RatingScale | None") -> "ImportedRatings":
    """Return the valid ratings of a file or folder, and the rest; InvalidInput without a scale or a rating."""
    from cineclub.adapters.files import read_all

    return read_all(path, mapping, scale)


def refuse_to_overwrite(rejects_path: Path, source_path: Path) -> None:
    """Raise InvalidInput if the rejects file would be written over ratings, or over another file that is none."""
    from cineclub.adapters.files import refuse_to_overwrite as refuse

    refuse(rejects_path, source_path)


def import_ratings(
    settings: Settings,
    source: "RatingSource",
    rejects_path: Path,
    *,
    strict: bool,
    progress: "ImportProgress",
    is_demo: bool = False,
    beside_demo: bool = False,
    is_of_movies: bool = False,
) -> "ImportReport":
    """Write a source's ratings and films into the database.

    Args:
        settings: the settings with the address of the database.
        source: the ratings to read.
        rejects_path: the file for rows that were not used.
        strict: whether one bad row refuses the whole source.
        progress: called with the finished fraction and the name of the step.
        is_demo: whether these are the demo ratings.
        beside_demo: whether the ratings are written although the database holds the demo ratings.
        is_of_movies: whether the source holds films alone.

    Raises:
        InvalidInput: the source has no valid row or another scale, or a bad row and ``strict``.
        Conflict: the database holds the demo ratings, and neither is stated.
        ReadOnlySource: ratings come from the owner's views.
    """
    from cineclub.adapters.files import write_rejects
    from cineclub.adapters.postgres.importing import PostgresRatingImport
    from cineclub.flows import importing

    target = PostgresRatingImport(database_url(settings), is_writable=external_schema(settings) is None)
    import_source = importing.import_movies if is_of_movies else importing.import_ratings
    return import_source(
        source,
        target.scale(),
        partial(target.write, is_demo=is_demo),
        partial(write_rejects, rejects_path),
        strict=strict,
        mixes_with_demo=not (is_demo or beside_demo) and target.holds_demo(),
        progress=progress,
    )


def export_ratings(settings: Settings, folder: Path, progress: "ImportProgress") -> int:
    """Write ratings and films into a folder, and return the number of ratings; InvalidInput over another export."""
    from cineclub.adapters.postgres.exporting import export_ratings as export

    return export(database_url(settings), folder, progress)


def backup(settings: Settings, target: Path) -> int:
    """Write data, registry and artifacts into one new file, and return its size in bytes."""
    from cineclub.adapters.postgres.backup import backup as write

    return write(database_url(settings), settings.home, target)


def restore(settings: Settings, source: Path, *, replace: bool) -> list[str]:
    """Restore a backup, and return the tables in it that have no place here.

    Raises:
        Conflict: a worker is alive, whose work would be lost, or another restore is running.
        InvalidInput: it is no backup, or there are ratings and ``replace`` is not set.
    """
    from cineclub.adapters.postgres.restore import restore as read

    return read(source, database_url(settings), settings.home, _migrate_registry, replace=replace)


def _migrate_registry(database_url: str, schema: str, revision: str) -> None:
    """Create or upgrade MLflow's tables in a schema; importing MLflow takes seconds."""
    from cineclub.adapters.mlflow.tables import migrate_tables

    migrate_tables(database_url, schema, revision)

"""Importing ratings and movies: read, validate, report bad rows, write the rest in one transaction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from cineclub.domain.errors import Conflict, InvalidInput
from cineclub.domain.ratings.import_counts import ImportCounts, ImportProgress
from cineclub.domain.ratings.imported import ImportedRatings, LeftOut, NewMovie, RatingRows, RejectedRow
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.ratings.rejected_rows import first_reasons
from cineclub.ports import RatingSource
from cineclub.runtime.machine import METERS

BESIDE_DEMO = (
    "the database holds the demo ratings, and users and films of the same ids would become one: set CINECLUB_HOME to a "
    "new folder (or CINECLUB_DATABASE_URL to a new database) for your own ratings, or state --beside-demo to mix them"
)
READ_SHARE = 0.4
SHOWN_REJECTS = 3
WriteRatings = Callable[[RatingRows, Sequence[NewMovie], RatingScale, ImportProgress], ImportCounts]
"""Writes new and changed rows in one transaction; raises StorageUnavailable if PostgreSQL does not answer."""

WriteRejects = Callable[[Iterable[RejectedRow]], str]
"""Writes the rows that were not used, and returns the path of their file."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The counts of an import; ``rejects_path`` is None where every row was used.

    Every line with a row is counted once: it is new, changed or unchanged, rejected, superseded, or continues the row
    above it. ``n_labels`` are those of all movies of the files.
    """

    scale: RatingScale
    n_read: int
    n_rejected: int
    n_superseded: int
    rejects_path: str | None
    read_seconds: float
    counts: ImportCounts
    n_continued: int = 0
    n_respelled: int = 0
    n_labels: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)


def import_ratings(
    source: RatingSource,
    catalogue_scale: RatingScale | None,
    write_ratings: WriteRatings,
    write_rejects: WriteRejects,
    *,
    strict: bool = False,
    mixes_with_demo: bool = False,
    progress: ImportProgress = lambda _fraction, _message: None,
) -> ImportReport:
    """Write a source's ratings and films; a second import of the same source changes nothing.

    Args:
        source: the ratings to read.
        catalogue_scale: the scale of the ratings in the database; None before the first import.
        write_ratings: writes ratings and movies.
        write_rejects: writes the rows that were not used; not called when there are none.
        strict: whether one bad row refuses the whole source.
        mixes_with_demo: whether the database holds the demo ratings, and nobody stated that these belong beside them.
        progress: called with the finished fraction and the name of the step.

    Raises:
        InvalidInput: no scale or another one than the catalogue's, no valid row, or a bad row and ``strict``.
        Conflict: the ratings would be mixed with the demo's.
        StorageUnavailable: PostgreSQL does not answer; nothing was written.
    """
    if mixes_with_demo:
        raise Conflict(BESIDE_DEMO)
    scale = _scale(source.scale, catalogue_scale)
    return _import(source, scale, write_ratings, write_rejects, progress, strict=strict)


def import_movies(
    source: RatingSource,
    catalogue_scale: RatingScale | None,
    write_ratings: WriteRatings,
    write_rejects: WriteRejects,
    *,
    strict: bool = False,
    mixes_with_demo: bool = False,
    progress: ImportProgress = lambda _fraction, _message: None,
) -> ImportReport:
    """Write the movies of a source without ratings, beside the ratings of the catalogue; as ``import_ratings`` else.

    Raises:
        InvalidInput: the catalogue holds no ratings yet, no valid movie, or a bad row and ``strict``.
        Conflict: the movies would be mixed with the demo's.
        StorageUnavailable: PostgreSQL does not answer; nothing was written.
    """
    if mixes_with_demo:
        raise Conflict(BESIDE_DEMO)
    if catalogue_scale is None:
        message = "there are no ratings yet: import films together with ratings, cineclub import PATH --movies FILE"
        raise InvalidInput(message)
    return _import(source, catalogue_scale, write_ratings, write_rejects, progress, strict=strict, needs_ratings=False)


def _import(
    source: RatingSource,
    scale: RatingScale,
    write_ratings: WriteRatings,
    write_rejects: WriteRejects,
    progress: ImportProgress,
    *,
    strict: bool,
    needs_ratings: bool = True,
) -> ImportReport:
    """Read a source, report bad rows and write the rest."""
    started = METERS.seconds()
    imported = source.read(scale, lambda fraction, message: progress(READ_SHARE * fraction, message))
    read_seconds = METERS.seconds() - started
    imported.refuse_wrong_scale()
    has_unused = bool(imported.rejected or imported.superseded)
    rejects_path = write_rejects(chain(imported.rejected, imported.superseded)) if has_unused else None
    _refuse(imported, rejects_path, strict=strict, needs_ratings=needs_ratings)
    counts = write_ratings(
        imported.rows,
        imported.movies,
        scale,
        lambda fraction, message: progress(READ_SHARE + (1 - READ_SHARE) * fraction, message),
    )
    return ImportReport(
        scale=scale,
        n_read=imported.n_read,
        n_rejected=len(imported.rejected),
        n_superseded=len(imported.superseded),
        rejects_path=rejects_path,
        read_seconds=read_seconds,
        counts=counts,
        n_continued=imported.n_continued,
        n_respelled=imported.n_respelled,
        n_labels=imported.n_labels,
        left_out=imported.left_out,
    )


def _scale(scale: RatingScale | None, of_catalogue: RatingScale | None) -> RatingScale:
    """Return the scale to validate against."""
    if scale is None:
        stored = f"{of_catalogue.lowest:g}-{of_catalogue.highest:g}" if of_catalogue else ""
        of_stored = (
            f" if they are on that of the ratings in the database, --scale {stored}" if stored else ", --scale 1-10"
        )
        message = f"the file does not define what its ratings may be: state it, for example{of_stored}"
        raise InvalidInput(message)
    if of_catalogue is not None and scale != of_catalogue:
        message = (
            f"the ratings in the database go from {of_catalogue.lowest:g} to {of_catalogue.highest:g}, those of the "
            f"file from {scale.lowest:g} to {scale.highest:g}: convert the file, or state --scale "
            f"{of_catalogue.lowest:g}-{of_catalogue.highest:g} if its ratings are on that scale"
        )
        raise InvalidInput(message)
    return scale


def _refuse(imported: ImportedRatings, rejects_path: str | None, *, strict: bool, needs_ratings: bool) -> None:
    """Refuse a source without a valid row of what it is imported for, and with ``strict`` one with a bad row."""
    is_empty = not (len(imported.rows) if needs_ratings else imported.movies)
    if imported.rejected and (strict or is_empty):
        first = first_reasons(imported.rejected, SHOWN_REJECTS)
        message = f"nothing was imported: {len(imported.rejected)} bad rows ({first}); all are in {rejects_path}"
        raise InvalidInput(message)
    if is_empty:
        message = f"nothing was imported: the file holds no {'rating' if needs_ratings else 'film'}"
        raise InvalidInput(message)

"""Importing ratings: read, check, report what is bad, write the rest in one transaction."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cineclub.domain.errors import InvalidInput
from cineclub.domain.imported_ratings import ImportedRatings, RejectedRow
from cineclub.domain.ratings import RatingScale
from cineclub.flows import METERS
from cineclub.ports import ImportCounts, ImportProgress, RatingImport, RatingSource

READ_SHARE = 0.4
SHOWN_REJECTS = 3
WriteRejects = Callable[[Path, Iterable[RejectedRow]], None]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import read, refused and changed; ``rejects_path`` is None where every row was used."""

    scale: RatingScale
    n_read: int
    n_rejected: int
    n_superseded: int
    rejects_path: Path | None
    read_seconds: float
    counts: ImportCounts


def import_ratings(
    source: RatingSource,
    target: RatingImport,
    write_rejects: WriteRejects,
    rejects_path: Path,
    *,
    strict: bool = False,
    progress: ImportProgress = lambda _fraction, _message: None,
) -> ImportReport:
    """Write a source's ratings and films; a second import of the same source changes nothing.

    Args:
        source: what to read.
        target: where to write.
        write_rejects: writes the rows that were not used.
        rejects_path: where to write them; nothing is written there when there are none.
        strict: refuse the whole source for one bad row.
        progress: told the finished fraction and what is being done.

    Raises:
        InvalidInput: no scale or another one than the catalogue's, no valid row, or a bad row and ``strict``.
        ReadOnlySource: ratings come from the owner's views.
        StorageUnavailable: PostgreSQL does not answer; nothing was written.
    """
    scale = _scale(source.scale, target.scale())
    started = METERS.seconds()
    imported = source.read(scale, lambda fraction, message: progress(READ_SHARE * fraction, message))
    read_seconds = METERS.seconds() - started
    unused = [*imported.rejected, *imported.superseded]
    if unused:
        write_rejects(rejects_path, unused)
    _refuse(imported, rejects_path, strict=strict)
    counts = target.write(
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
        rejects_path=rejects_path if unused else None,
        read_seconds=read_seconds,
        counts=counts,
    )


def _scale(stated: RatingScale | None, of_catalogue: RatingScale | None) -> RatingScale:
    """Return the scale to check against."""
    scale = stated or of_catalogue
    if scale is None:
        message = "the file does not say what its ratings may be: state it, for example --scale 1-10"
        raise InvalidInput(message)
    if of_catalogue is not None and scale != of_catalogue:
        message = (
            f"the ratings in the database go from {of_catalogue.lowest:g} to {of_catalogue.highest:g}, those of the "
            f"file from {scale.lowest:g} to {scale.highest:g}: convert the file, or state --scale "
            f"{of_catalogue.lowest:g}-{of_catalogue.highest:g} if its ratings are on that scale"
        )
        raise InvalidInput(message)
    return scale


def _refuse(imported: ImportedRatings, rejects_path: Path, *, strict: bool) -> None:
    """Refuse a source without a valid row, and with ``strict`` one with a bad row."""
    if imported.rejected and (strict or not len(imported.rows)):
        first = "; ".join(f"{row.file} line {row.line}: {row.reason}" for row in imported.rejected[:SHOWN_REJECTS])
        message = f"nothing was imported: {len(imported.rejected)} bad rows ({first}); all are in {rejects_path}"
        raise InvalidInput(message)
    if not len(imported.rows):
        message = "nothing was imported: the file holds no rating"
        raise InvalidInput(message)

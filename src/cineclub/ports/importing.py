"""What imports need from outside: a source of ratings and where they go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cineclub.domain.imported_ratings import ImportedRatings, NewMovie, RatingRows
from cineclub.domain.ratings import RatingScale

ImportProgress = Callable[[float, str], None]
"""Told the finished fraction, 0 to 1, and what is being done."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the rating source holds now: counts, the scale, and whether ratings may be written here."""

    n_users: int
    n_movies: int
    n_ratings: int
    scale: RatingScale | None
    is_writable: bool


class RatingSource(Protocol):
    """Somebody's ratings: a release, a plain file, the demo data."""

    @property
    def scale(self) -> RatingScale | None:
        """The scale that the source, or who reads it, states; None where nobody does."""
        ...

    def read(self, scale: RatingScale, progress: ImportProgress) -> ImportedRatings:
        """Return everything, each row checked against the scale.

        Raises:
            InvalidInput: the files are not what they should be.
        """
        ...


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import changed, and how long each phase of writing took."""

    n_inserted: int
    n_updated: int
    n_unchanged: int
    n_new_users: int
    n_new_movies: int
    phase_seconds: Mapping[str, float]


class RatingImport(Protocol):
    """Where a whole file of ratings is written, all or nothing."""

    def scale(self) -> RatingScale | None:
        """Return the catalogue's scale; None before the first import.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    def write(
        self, rows: RatingRows, movies: Sequence[NewMovie], scale: RatingScale, progress: ImportProgress
    ) -> ImportCounts:
        """Write what is new or different in one transaction.

        Raises:
            ReadOnlySource: ratings come from the owner's views.
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

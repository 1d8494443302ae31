"""The movies of a source: what each of its files says of them, joined."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from cineclub.adapters.files.lines import SourceFile
from cineclub.adapters.files.tables import header_of
from cineclub.domain.ratings.imported import LeftOut, NewMovie, RejectedRow
from cineclub.domain.ratings.labels import settled_and_left_out
from cineclub.domain.ratings.rejected_rows import RejectedBlock


@dataclass(frozen=True, slots=True)
class Movies:
    """The movies of a file.

    Attributes:
        movies: at most one per external id.
        rejected: the rows that are not usable.
        left_out: what else is not used.
    """

    movies: Sequence[NewMovie] = ()
    rejected: Sequence[RejectedBlock] = ()
    left_out: LeftOut = field(default_factory=LeftOut)


def joined(parts: Sequence[Movies]) -> Movies:
    """Return the movies of several files: what the first of them says counts, and the labels of all, settled."""
    by_id: dict[str, NewMovie] = {}
    for movie in (movie for part in parts for movie in part.movies):
        former = by_id.get(movie.external_id)
        by_id[movie.external_id] = completed(former, movie) if former else movie
    left_out = LeftOut()
    for part in parts:
        left_out = left_out.plus(part.left_out)
    movies, n_labels = _settled(by_id.values())
    return Movies(movies, [block for part in parts for block in part.rejected], left_out.plus(LeftOut(0, 0, n_labels)))


def lacking(open_file: Callable[[], SourceFile], columns: Sequence[str]) -> RejectedRow | None:
    """Return the header of a CSV as a rejected row if it lacks a column, so that none of the file can be used."""
    names = header_of(open_file, ",")
    missing = [name for name in columns if name not in names]
    with open_file() as file:
        reason = f"the file has no column {', '.join(missing)}, so none of it is used"
        return RejectedRow(file.name, 1, reason, ",".join(names)) if missing else None


def completed(movie: NewMovie, other: NewMovie) -> NewMovie:
    """Return a movie with what only the other file knows of it."""
    return NewMovie(
        external_id=movie.external_id,
        title=movie.title or other.title,
        year=other.year if movie.year is None else movie.year,
        genres=movie.genres or other.genres,
        imdb_id=movie.imdb_id or other.imdb_id,
        tmdb_id=movie.tmdb_id or other.tmdb_id,
        labels=movie.labels + other.labels,
        runtime_minutes=movie.runtime_minutes or other.runtime_minutes,
        overview=movie.overview or other.overview,
        is_available=other.is_available if movie.is_available is None else movie.is_available,
    )


def _settled(movies: Iterable[NewMovie]) -> tuple[list[NewMovie], int]:
    """Return movies with settled labels, and the number of labels that were left out."""
    settled, n_left_out = [], 0
    for movie in movies:
        if movie.labels:
            labels, n_of_movie = settled_and_left_out(movie.labels)
            n_left_out += n_of_movie
            settled.append(movie if labels == movie.labels else replace(movie, labels=labels))
        else:
            settled.append(movie)
    return settled, n_left_out

"""What a path holds: a MovieLens release, MovieTweetings, an export of ours, a plain CSV or Parquet file."""

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cineclub.adapters.files.movie_texts import Films, csv_movies, dat_movies, item_movies, movie_of
from cineclub.adapters.files.tables import (
    CSV_RELEASE,
    DAT_RELEASE,
    MOVIELENS_NAMES,
    TAB_RELEASE,
    Columns,
    Layout,
    header_of,
    read_delimited,
    read_parquet,
)
from cineclub.adapters.files.validation import checked
from cineclub.domain.errors import InvalidInput
from cineclub.domain.imported_ratings import ColumnMapping, ImportedRatings, NewMovie
from cineclub.domain.ratings import RatingLog, RatingScale
from cineclub.ports import ImportProgress, RatingSource

HALF_STARS = RatingScale(0.5, 5.0)
WHOLE_STARS = RatingScale(1.0, 5.0)
TEN_POINTS = RatingScale(0.0, 10.0)
OUR_FACTS = "cineclub.json"
LONGEST_YEAR = 4
KNOWN = (
    "a MovieLens folder or zip (ratings.csv, ratings.dat or u.data), MovieTweetings, or a .csv or .parquet file with a "
    "column each for the user, the film, the rating and its time"
)
Read = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Release:
    """A folder or zip of files whose layout is known by their names."""

    scale: RatingScale | None
    read_ratings: Callable[[], Columns]
    read_movies: Callable[[], Films]

    def read(self, scale: RatingScale, progress: ImportProgress) -> ImportedRatings:
        """Return everything, each row checked against the scale."""
        progress(0.0, "read ratings")
        columns = self.read_ratings()
        progress(0.5, "check ratings")
        rows, _, rejected, superseded = checked(columns, scale)
        progress(0.9, "read films")
        movies, rejected_movies = self.read_movies()
        n_read = len(rows) + len(rejected) + len(superseded)
        everything_rejected = (*rejected, *rejected_movies)
        return ImportedRatings(scale, rows, tuple(movies), n_read, everything_rejected, tuple(superseded))


@dataclass(frozen=True, slots=True)
class PlainFile:
    """One table of ratings with stated columns; a film's texts may stand beside its ratings."""

    scale: RatingScale | None
    read_ratings: Callable[[], Columns]
    mapping: ColumnMapping

    def read(self, scale: RatingScale, progress: ImportProgress) -> ImportedRatings:
        """Return everything, each row checked against the scale."""
        progress(0.0, "read ratings")
        columns = self.read_ratings()
        progress(0.5, "check ratings")
        rows, kept, rejected, superseded = checked(columns, scale)
        films: dict[str, NewMovie] = {}
        if self.mapping.title:
            for row in kept.tolist():
                external_id = str(columns.movie[row].as_py()).strip()
                if external_id not in films:
                    films[external_id] = _movie_beside(columns, self.mapping, row, external_id)
        n_read = len(rows) + len(rejected) + len(superseded)
        return ImportedRatings(scale, rows, tuple(films.values()), n_read, tuple(rejected), tuple(superseded))


def open_source(path: Path, mapping: ColumnMapping | None = None, scale: RatingScale | None = None) -> RatingSource:
    """Return the ratings of a path.

    Args:
        path: a folder, a zip, or one file.
        mapping: the columns of a plain file; MovieLens' and our own names are known without.
        scale: what the ratings may be, where it is not the release's own.

    Raises:
        InvalidInput: there is nothing there, or nothing that is known.
    """
    if not path.exists():
        message = f"{path} does not exist: name {KNOWN}"
        raise InvalidInput(message)
    if path.is_dir():
        return _release(path, _files_of_folder(path), scale)
    if zipfile.is_zipfile(path) and path.suffix != ".parquet":
        return _release(path, _files_of_zip(path), scale)
    if path.name in {"ratings.dat", "u.data"}:
        return _release(path, _files_of_folder(path.parent), scale)
    return _plain(path, mapping, scale)


def read_rating_log(path: Path, mapping: ColumnMapping | None = None, scale: RatingScale | None = None) -> RatingLog:
    """Return the valid ratings of a path as models take them, without a database; ids are the order of appearance.

    Raises:
        InvalidInput: nothing that is known, no scale, or no valid rating.
    """
    source = open_source(path, mapping, scale)
    stated = scale or source.scale
    if stated is None:
        message = f"{path} does not say what its ratings may be: state it, for example --scale 1-10"
        raise InvalidInput(message)
    imported = source.read(stated, lambda _fraction, _message: None)
    if not len(imported.rows):
        first = f"; the first of {len(imported.rejected)} bad rows: {imported.rejected[0].reason}"
        message = f"{path} holds no valid rating{first if imported.rejected else ''}"
        raise InvalidInput(message)
    return imported.rows.to_log(stated)


def _files_of_folder(folder: Path) -> dict[str, Read]:
    """Return the files of a folder, or of its only sub-folder that holds ratings, by name."""
    places = [folder, *(path for path in sorted(folder.iterdir()) if path.is_dir())]
    for place in places:
        files = {path.name: path.read_bytes for path in place.iterdir() if path.is_file()}
        if files.keys() & {"ratings.csv", "ratings.dat", "u.data"}:
            return files
    return {}


def _files_of_zip(path: Path) -> dict[str, Read]:
    """Return the files of a zip by name."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]

    def reader(name: str) -> Read:
        def read() -> bytes:
            with zipfile.ZipFile(path) as archive:
                return archive.read(name)

        return read

    return {PurePosixPath(name).name: reader(name) for name in names}


def _release(path: Path, files: Mapping[str, Read], scale: RatingScale | None) -> Release:
    """Return the release that the names of the files tell."""
    movies: Callable[[], Films] = lambda: ([], [])  # noqa: E731 - a film without texts is titled by its id
    if "ratings.csv" in files:
        ratings, layout = files["ratings.csv"], CSV_RELEASE
        own_scale: RatingScale | None = _our_scale(files) or HALF_STARS
        if "movies.csv" in files:
            links = files.get("links.csv")
            movies = lambda: csv_movies("movies.csv", files["movies.csv"](), links() if links else None)  # noqa: E731
        name = "ratings.csv"
    elif "ratings.dat" in files:
        ratings, layout, own_scale = files["ratings.dat"], DAT_RELEASE, _dat_scale(files)
        if "movies.dat" in files:
            movies = lambda: dat_movies("movies.dat", files["movies.dat"]())  # noqa: E731
        name = "ratings.dat"
    elif "u.data" in files:
        ratings, layout, own_scale = files["u.data"], TAB_RELEASE, WHOLE_STARS
        if "u.item" in files:
            movies = lambda: item_movies("u.item", files["u.item"]())  # noqa: E731
        name = "u.data"
    else:
        message = f"{path} holds no ratings that are known: name {KNOWN}"
        raise InvalidInput(message)
    return Release(scale or own_scale, lambda: read_delimited(name, ratings(), layout), movies)


def _our_scale(files: Mapping[str, Read]) -> RatingScale | None:
    """Return the scale that an export of ours carries."""
    if OUR_FACTS not in files:
        return None
    try:
        facts = json.loads(files[OUR_FACTS]())
        return RatingScale(float(facts["scale_lowest"]), float(facts["scale_highest"]))
    except (ValueError, KeyError, TypeError) as error:
        message = f"{OUR_FACTS} does not say the scale of the ratings: export again, or remove it and state --scale"
        raise InvalidInput(message) from error


def _dat_scale(files: Mapping[str, Read]) -> RatingScale | None:
    """Return the scale of a ``::`` release as its README tells; None where none tells, since it cannot be guessed."""
    readme = b"".join(read() for name, read in files.items() if name.lower().startswith("readme"))
    if b"MovieTweetings" in readme:
        return TEN_POINTS
    return HALF_STARS if b"MovieLens" in readme else None


def _plain(path: Path, mapping: ColumnMapping | None, scale: RatingScale | None) -> PlainFile:
    """Return a plain CSV or Parquet file."""
    if path.suffix.lower() in {".parquet", ".pq"}:
        chosen = mapping or ColumnMapping()
        layout = Layout(", ", None, _columns(chosen), chosen.film_columns)
        return PlainFile(scale, lambda: read_parquet(path.name, path.read_bytes(), layout), chosen)
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        message = f"{path} is of no kind that is known: name {KNOWN}"
        raise InvalidInput(message)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open("rb") as file:
        names = header_of(path.name, file.readline(), delimiter)
    is_movielens = mapping is None and set(MOVIELENS_NAMES) <= set(names)
    chosen = ColumnMapping(*MOVIELENS_NAMES) if is_movielens else mapping or ColumnMapping()
    layout = Layout(delimiter, None, _columns(chosen), chosen.film_columns)
    own_scale = HALF_STARS if is_movielens else None
    return PlainFile(scale or own_scale, lambda: read_delimited(path.name, path.read_bytes(), layout), chosen)


def _columns(mapping: ColumnMapping) -> tuple[str, str, str, str]:
    """Return the names of the four columns every file of ratings has."""
    return (mapping.user, mapping.movie, mapping.rating, mapping.rated_at)


def _movie_beside(columns: Columns, mapping: ColumnMapping, row: int, external_id: str) -> NewMovie:
    """Return the film described beside one of its ratings."""

    def text(name: str | None) -> str:
        value = columns.others[name][row].as_py() if name else None
        joined = "|".join(map(str, value)) if isinstance(value, list) else str(value or "")
        return joined.replace("\0", "").strip()

    film = movie_of(external_id, text(mapping.title) or external_id, text(mapping.genres))
    year = text(mapping.year).removesuffix(".0")
    is_year = year.isascii() and year.isdecimal() and len(year) <= LONGEST_YEAR
    return NewMovie(film.external_id, film.title, int(year) if is_year else film.year, film.genres)

"""Sources of ratings: a MovieLens release, MovieTweetings, an export, a plain CSV or Parquet file."""

import json
import stat
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cineclub.adapters.files.attribute_files import described
from cineclub.adapters.files.collecting import Collector
from cineclub.adapters.files.lines import Faults, SourceFile, file_opener, member_opener, whole
from cineclub.adapters.files.movie_table import movie_table
from cineclub.adapters.files.movie_texts import csv_movies, dat_movies, item_movies
from cineclub.adapters.files.movies import Movies, joined
from cineclub.adapters.files.movies_beside import MoviesBeside
from cineclub.adapters.files.parquet import read_parquet
from cineclub.adapters.files.tables import (
    CSV_RELEASE,
    DAT_RELEASE,
    MOVIELENS_NAMES,
    TAB_RELEASE,
    Columns,
    Layout,
    header_of,
    read_delimited,
)
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.import_counts import ImportProgress
from cineclub.domain.ratings.imported import ColumnMapping, ImportedRatings, no_rows
from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.rejected_rows import RejectedRows
from cineclub.ports import RatingSource

HALF_STARS = RatingScale(0.5, 5.0)
WHOLE_STARS = RatingScale(1.0, 5.0)
TEN_POINTS = RatingScale(0.0, 10.0)
OUR_FACTS = "cineclub.json"
KNOWN = (
    "a MovieLens folder or zip (ratings.csv, ratings.dat or u.data), MovieTweetings, or a .csv or .parquet file with a "
    "column each for the user, the film, the rating and its time"
)
PLAIN_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet", ".pq"})
RATING_FILES = frozenset({"ratings.csv", "ratings_small.csv", "ratings.dat", "u.data"})
Open = Callable[[], SourceFile]
MoreMovies = Callable[[], Movies]
"""Reads the movies of a file of their own; what it says of a movie counts before all others."""


@dataclass(frozen=True, slots=True)
class Release:
    """A folder or zip of files whose names determine their layout."""

    scale: RatingScale | None
    read_ratings: Callable[[], Iterable[Columns]]
    read_movies: Callable[[Sequence[str]], Movies]
    is_scale_assumed: bool = False
    more_movies: MoreMovies = Movies

    def read(self, scale: RatingScale, progress: ImportProgress) -> ImportedRatings:
        """Return all ratings and movies, each row checked against the scale."""
        progress(0.0, "read and check ratings")
        collector = Collector(scale)
        for _ in collector.collect(self.read_ratings()):
            pass
        collected = collector.collected()
        progress(0.9, "read films")
        movies = joined([self.more_movies(), self.read_movies(collected.rows.movie_ids)])
        return collected.imported(scale, movies, is_scale_assumed=self.is_scale_assumed)


@dataclass(frozen=True, slots=True)
class PlainFile:
    """One table of ratings with named columns; it may have movies' texts beside the ratings."""

    scale: RatingScale | None
    read_ratings: Callable[[], Iterable[Columns]]
    mapping: ColumnMapping
    is_scale_assumed: bool = False
    more_movies: MoreMovies = Movies

    def read(self, scale: RatingScale, progress: ImportProgress) -> ImportedRatings:
        """Return all ratings and movies, each row checked against the scale."""
        progress(0.0, "read and check ratings")
        collector = Collector(scale)
        beside = MoviesBeside(self.mapping)
        for columns, valid in collector.collect(self.read_ratings()):
            beside.add(columns, valid)
        movies = joined([self.more_movies(), Movies(beside.movies(collector.settled_movies()))])
        return collector.collected().imported(scale, movies, is_scale_assumed=self.is_scale_assumed)


@dataclass(frozen=True, slots=True)
class MoviesAlone:
    """A file of movies without ratings."""

    read_movies: MoreMovies
    scale: RatingScale | None = None

    def read(self, scale: RatingScale, progress: ImportProgress) -> ImportedRatings:
        """Return all movies, and no ratings."""
        progress(0.0, "read films")
        movies = joined([self.read_movies()])
        return ImportedRatings(
            scale, no_rows(), tuple(movies.movies), 0, RejectedRows(movies.rejected), [], left_out=movies.left_out
        )


def open_movies(path: Path) -> RatingSource:
    """Return the movies of a CSV, TSV, Parquet or JSON lines file, without ratings.

    Raises:
        InvalidInput: there is no such file, it is of another kind, or has no column of ids.
    """
    return MoviesAlone(movie_table(path).read)


def open_source(
    path: Path,
    mapping: ColumnMapping | None = None,
    scale: RatingScale | None = None,
    movies_path: Path | None = None,
) -> RatingSource:
    """Return the ratings of a path.

    Args:
        path: a folder, a zip, or one file.
        mapping: the columns of a plain file; None where they have MovieLens' or our own names.
        scale: the rating scale, if it is not the release's own.
        movies_path: a file of movies beside.

    Raises:
        InvalidInput: a path does not exist, or is of no known kind.
    """
    source = _source(path, mapping, scale)
    return replace(source, more_movies=movie_table(movies_path).read) if movies_path else source


def _source(path: Path, mapping: ColumnMapping | None, scale: RatingScale | None) -> "Release | PlainFile":
    """Return the ratings of a path."""
    with Faults(str(path)):
        kind = path.stat().st_mode if path.exists() else None
    if kind is None:
        message = f"{path} does not exist: name {KNOWN}"
        raise InvalidInput(message)
    if stat.S_ISDIR(kind):
        return _release(path, _files_of_folder(path), scale)
    if not stat.S_ISREG(kind):
        message = f"{path} is neither a file nor a folder: name {KNOWN}"
        raise InvalidInput(message)
    if path.suffix.lower() == ".zip" or (path.suffix.lower() not in PLAIN_SUFFIXES and zipfile.is_zipfile(path)):
        return _release(path, _files_of_zip(path), scale)
    if path.name in {"ratings.dat", "u.data"}:
        return _release(path, _files_of_folder(path.parent), scale)
    return _plain(path, mapping, scale)


def read_all(path: Path, mapping: ColumnMapping | None = None, scale: RatingScale | None = None) -> ImportedRatings:
    """Return the valid ratings of a path and what was left out, without a database.

    Raises:
        InvalidInput: the path is of no known kind, has no scale or another than it seems, or has no valid rating.
    """
    source = open_source(path, mapping, scale)
    stated = scale or source.scale
    if stated is None:
        message = f"{path} does not say what its ratings may be: state it, for example --scale 1-10"
        raise InvalidInput(message)
    imported = source.read(stated, lambda _fraction, _message: None)
    imported.refuse_wrong_scale()
    if not len(imported.rows):
        first = f"; the first of {len(imported.rejected)} bad rows: {imported.rejected[0].reason}"
        message = f"{path} holds no valid rating{first if imported.rejected else ''}"
        raise InvalidInput(message)
    return imported


def read_rating_log(path: Path, mapping: ColumnMapping | None = None, scale: RatingScale | None = None) -> RatingLog:
    """Return the valid ratings of a path in the form of models, without a database; ids count in order of appearance.

    Raises:
        InvalidInput: as ``read_all``.
    """
    imported = read_all(path, mapping, scale)
    return imported.rows.to_log(imported.scale)


def _files_of_folder(folder: Path) -> dict[str, Open]:
    """Return the files of a folder, or of its only sub-folder that holds ratings, by name.

    Raises:
        InvalidInput: it cannot be read, or several sub-folders hold ratings.
    """
    with Faults(str(folder)):
        places = [folder, *(path for path in sorted(folder.iterdir()) if path.is_dir())]
        files = {place: {path.name: path for path in place.iterdir() if path.is_file()} for place in places}
    holders = [place for place in places if files[place].keys() & RATING_FILES]
    if len(holders) > 1 and holders[0] != folder:
        message = f"{folder} holds ratings in several folders: name one of {', '.join(place.name for place in holders)}"
        raise InvalidInput(message)
    return {name: file_opener(path) for name, path in files[holders[0]].items()} if holders else {}


def _files_of_zip(path: Path) -> dict[str, Open]:
    """Return the files of a zip by name.

    Raises:
        InvalidInput: it is damaged, or holds two files of ratings of the same name.
    """
    with Faults(path.name), zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir() and "__MACOSX" not in member.filename]
    names = [PurePosixPath(member.filename).name for member in members]
    if repeated := sorted(name for name in RATING_FILES if names.count(name) > 1):
        message = f"{path} holds several files {', '.join(repeated)}: unpack it and import one of its folders"
        raise InvalidInput(message)
    return {name: member_opener(path, member, name) for name, member in zip(names, members, strict=True)}


def _release(path: Path, files: Mapping[str, Open], scale: RatingScale | None) -> Release:
    """Return the release that the names of the files determine."""
    movies: MoreMovies = Movies  # a film without texts is titled by its id
    own_scale: RatingScale | None
    is_assumed = False
    if csv_name := next((name for name in ("ratings.csv", "ratings_small.csv") if name in files), None):
        name, layout, stated = csv_name, CSV_RELEASE, _our_scale(files)
        own_scale, is_assumed = stated or HALF_STARS, stated is None
        if "movies.csv" in files:
            movies = lambda: csv_movies(files["movies.csv"], files.get("links.csv"))  # noqa: E731
    elif "ratings.dat" in files:
        name, layout, own_scale = "ratings.dat", DAT_RELEASE, _dat_scale(files)
        if "movies.dat" in files:
            movies = lambda: dat_movies("movies.dat", whole(files["movies.dat"]))  # noqa: E731
    elif "u.data" in files:
        name, layout, own_scale, is_assumed = "u.data", TAB_RELEASE, WHOLE_STARS, True
        if "u.item" in files:
            movies = lambda: item_movies("u.item", whole(files["u.item"]))  # noqa: E731
    else:
        message = f"{path} holds no ratings that are known: name {KNOWN}"
        raise InvalidInput(message)
    is_assumed &= scale is None
    return Release(
        scale or own_scale,
        lambda: read_delimited(files[name], layout),
        lambda rated_ids: described(files, movies(), rated_ids),
        is_assumed,
    )


def _our_scale(files: Mapping[str, Open]) -> RatingScale | None:
    """Return the scale in an export of ours."""
    if OUR_FACTS not in files:
        return None
    try:
        facts = json.loads(whole(files[OUR_FACTS]))
        return RatingScale(float(facts["scale_lowest"]), float(facts["scale_highest"]))
    except (ValueError, KeyError, TypeError) as error:
        message = f"{OUR_FACTS} does not say the scale of the ratings: export again, or remove it and state --scale"
        raise InvalidInput(message) from error


def _dat_scale(files: Mapping[str, Open]) -> RatingScale | None:
    """Return the scale of a ``::`` release by its README; None without one, since it cannot be guessed."""
    readme = b"".join(whole(opener) for name, opener in files.items() if name.lower().startswith("readme"))
    if b"MovieTweetings" in readme:
        return TEN_POINTS
    return HALF_STARS if b"MovieLens" in readme else None


def _plain(path: Path, mapping: ColumnMapping | None, scale: RatingScale | None) -> PlainFile:
    """Return a plain CSV or Parquet file."""
    if path.suffix.lower() in {".parquet", ".pq"}:
        chosen = mapping or ColumnMapping()
        layout = Layout(", ", None, _columns(chosen), chosen.movie_columns)
        return PlainFile(scale, lambda: read_parquet(path, layout), chosen)
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        message = f"{path} is of no known kind: name {KNOWN}"
        raise InvalidInput(message)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    names = header_of(file_opener(path), delimiter)
    is_movielens = mapping is None and set(MOVIELENS_NAMES) <= set(names)
    chosen = ColumnMapping(*MOVIELENS_NAMES) if is_movielens else mapping or ColumnMapping()
    layout = Layout(delimiter, None, _columns(chosen), chosen.movie_columns)
    own_scale = HALF_STARS if is_movielens else None
    is_assumed = scale is None and is_movielens
    return PlainFile(scale or own_scale, lambda: read_delimited(file_opener(path), layout), chosen, is_assumed)


def _columns(mapping: ColumnMapping) -> tuple[str, str, str, str]:
    """Return the names of the four columns that every file of ratings has."""
    return (mapping.user, mapping.movie, mapping.rating, mapping.rated_at)

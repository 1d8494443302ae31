"""A table of movies with named columns: ``--movies FILE``, and the attributes of an export."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cineclub.adapters.files.lines import Faults, SourceFile, file_opener
from cineclub.adapters.files.movie_rows import NumberedRow, delimited_rows, json_rows, parquet_names, parquet_rows
from cineclub.adapters.files.movie_texts import movie_of
from cineclub.adapters.files.movie_values import (
    TYPE_COLUMNS,
    BadValue,
    id_of,
    is_series,
    labels_of,
    minutes_of,
    names_of,
    overview_of,
    refuse_bad_kind,
    storable,
    text_of,
    truth_of,
    year_of,
)
from cineclub.adapters.files.movies import Movies
from cineclub.adapters.files.rejecting import blocks_of
from cineclub.adapters.files.tables import LONGEST_SHOWN_CONTENT, header_of
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.imported import MAX_ID_CHARACTERS, LeftOut, NewMovie, RejectedRow, refuse_kind
from cineclub.domain.ratings.labels import USUAL_KINDS, Label
from cineclub.domain.ratings.spelled_ids import settled_ids

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "movie_id": ("movie_id", "movieId"),
    "title": ("title",),
    "year": ("year",),
    "genres": ("genres",),
    "imdb_id": ("imdb_id", "imdbId"),
    "tmdb_id": ("tmdb_id", "tmdbId"),
    "runtime_minutes": ("runtime_minutes", "runtimeMinutes"),
    "overview": ("overview",),
    "available": ("available",),
    "labels": ("labels",),
}
"""The names that a column may have, by its meaning."""

KIND_PREFIX = "label:"
KNOWN_NAMES = frozenset({*(name for names in COLUMNS.values() for name in names), *TYPE_COLUMNS, *USUAL_KINDS})
SEPARATORS = {".csv": ",", ".txt": ",", ".tsv": "\t"}
JSON_LINES = frozenset({".jsonl", ".ndjson", ".json"})
PARQUET = frozenset({".parquet", ".pq"})
NO_ID = "the film id is missing"
ReadRows = Callable[[list[RejectedRow]], Iterator[NumberedRow]]


@dataclass(frozen=True, slots=True)
class MovieTable:
    """A table of movies.

    Attributes:
        file: the file's name.
        read_rows: yields the rows with their lines, and adds those that are none to a list.
        is_ours: whether it is of an export: ids are as they were, and overviews are JSON texts. Elsewhere an id may be
            spelled 1.0 for 1, as programs write it when they widen a column.
    """

    file: str
    read_rows: ReadRows
    is_ours: bool = False

    def read(self) -> Movies:
        """Return the movies of all rows, the first of each id.

        Raises:
            InvalidInput: the file is damaged or cannot be read.
        """
        rejected: list[RejectedRow] = []
        movies: list[tuple[int, NewMovie]] = []
        n_series = 0
        for line, row in self.read_rows(rejected):
            if any(is_series(row.get(name)) for name in TYPE_COLUMNS):
                n_series += 1
                continue
            try:
                movies.append((line, exported_movie_in(row) if self.is_ours else movie_in(row)))
            except BadValue as error:
                rejected.append(RejectedRow(self.file, line, str(error), _shown(row)))
        different = self._different(movies, rejected)
        return Movies(different, blocks_of(rejected), LeftOut(n_series=n_series))

    def _different(self, movies: Sequence[tuple[int, NewMovie]], rejected: list[RejectedRow]) -> list[NewMovie]:
        """Return the first movie of each id, and add the others to ``rejected``."""
        spellings = list(dict.fromkeys(movie.external_id for _, movie in movies))
        ids, faults = {name: name for name in spellings}, dict[str, str]()
        if not self.is_ours:
            settled = settled_ids(spellings, "film")
            ids = {name: settled.names[settled.codes[nth]] for nth, name in enumerate(spellings) if settled.names}
            faults = {spellings[nth]: fault for nth, fault in settled.faults.items()}
        by_id: dict[str, NewMovie] = {}
        for line, movie in movies:
            external_id = ids.get(movie.external_id, "")
            is_repeated = external_id in by_id
            fault = faults.get(movie.external_id) or ("the film is in this file already" if is_repeated else "")
            if fault:
                rejected.append(RejectedRow(self.file, line, fault, f"{movie.external_id}, {movie.title or ''}"))
            else:
                by_id[external_id] = replace(movie, external_id=external_id)
        return list(by_id.values())


def movie_table(path: Path) -> MovieTable:
    """Return the table of a CSV, TSV, Parquet or JSON lines file.

    Raises:
        InvalidInput: there is no such file, it is of another kind, or has no column of ids.
    """
    suffix = path.suffix.lower()
    with Faults(str(path)):
        is_file = path.is_file()
    if not is_file or suffix not in {*SEPARATORS, *JSON_LINES, *PARQUET}:
        fault = "is no file of films" if is_file else "does not exist, or is no file"
        message = f"{path} {fault}: name a .csv, .tsv, .parquet or .jsonl file with a column movie_id"
        raise InvalidInput(message)
    if suffix in JSON_LINES:
        return MovieTable(path.name, partial(json_rows, file_opener(path)))
    if suffix in PARQUET:
        names = known_names(path.name, parquet_names(path))
        return MovieTable(path.name, lambda _rejected: parquet_rows(path, names))
    return delimited_table(path.name, file_opener(path), SEPARATORS[suffix])


def delimited_table(
    file: str, open_file: Callable[[], SourceFile], delimiter: str = ",", *, is_ours: bool = False
) -> MovieTable:
    """Return the table of a CSV or TSV, perhaps of an export; raise InvalidInput if it has no column of ids."""
    names = known_names(file, header_of(open_file, delimiter))
    read_rows = partial(delimited_rows, open_file, delimiter, names, _looks_like_movie)
    return MovieTable(file, read_rows, is_ours)


def known_names(file: str, names: Sequence[str]) -> list[str]:
    """Return the columns that have a meaning, that of the ids first.

    Raises:
        InvalidInput: none holds ids, one is there twice, or the kind of a column ``label:KIND`` is none.
    """
    known = [name for name in names if name in KNOWN_NAMES or name.startswith(KIND_PREFIX)]
    for name in known:
        if name.startswith(KIND_PREFIX):
            refuse_kind(name.removeprefix(KIND_PREFIX))
    ids = [name for name in known if name in COLUMNS["movie_id"]]
    if not ids or len(set(known)) != len(known):
        fault = f"has a column twice ({', '.join(known)})" if ids else "has no column movie_id"
        message = f"{file} {fault}: name each column of films once, the ids movie_id (docs/importing.md)"
        raise InvalidInput(message)
    return [ids[0], *(name for name in known if name != ids[0])]


def movie_in(row: Mapping[str, Any]) -> NewMovie:
    """Return the movie of a row by the names of its columns.

    Raises:
        BadValue: it has no id, or a value that its column cannot have.
    """
    values = {meaning: next((row[name] for name in names if name in row), None) for meaning, names in COLUMNS.items()}
    external_id = text_of(values["movie_id"])
    if not external_id or len(external_id) > MAX_ID_CHARACTERS:
        message = f"the film id is longer than {MAX_ID_CHARACTERS} characters" if external_id else NO_ID
        raise BadValue(message)
    titled = movie_of("", text_of(values["title"]), "|".join(names_of(values["genres"])))
    year = year_of(values["year"])
    return NewMovie(
        external_id=external_id,
        title=titled.title or None,
        year=titled.year if year is None else year,
        genres=titled.genres,
        imdb_id=id_of(values["imdb_id"]),
        tmdb_id=id_of(values["tmdb_id"]),
        labels=(*labels_of(values["labels"]), *_labels_beside(row)),
        runtime_minutes=minutes_of(values["runtime_minutes"]),
        overview=overview_of(values["overview"]),
        is_available=truth_of(values["available"]),
    )


def exported_movie_in(row: Mapping[str, Any]) -> NewMovie:
    """Return the movie of a row of an export, its overview as it was; raise BadValue as ``movie_in``."""
    try:
        overview = json.loads(row.get("overview") or "null")
    except (ValueError, RecursionError):
        return movie_in(row)
    movie = movie_in({**row, "overview": None})
    return replace(movie, overview=storable(overview)) if isinstance(overview, str) else movie


def _labels_beside(row: Mapping[str, Any]) -> Iterator[Label]:
    """Yield the labels of the columns that are named like a kind."""
    for name, value in row.items():
        kind = name.removeprefix(KIND_PREFIX)
        if name in USUAL_KINDS or kind != name:
            refuse_bad_kind(kind)
            yield from (Label(kind, label) for label in names_of(value))


def _looks_like_movie(row: Mapping[str, Any]) -> bool:
    """Return whether a line by itself is a movie, with an id without blanks."""
    try:
        return not any(character.isspace() or character == '"' for character in movie_in(row).external_id)
    except BadValue:
        return False


def _shown(row: Mapping[str, Any]) -> str:
    """Return a row for a person, shortened."""
    return ",".join(text_of(value) for value in row.values())[:LONGEST_SHOWN_CONTENT]

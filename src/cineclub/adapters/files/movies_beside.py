"""Movies that are described beside the ratings of a plain file."""

from dataclasses import replace
from typing import Any

import numpy as np

from cineclub.adapters.files.movie_texts import movie_of
from cineclub.adapters.files.movie_values import BadValue, minutes_of, names_of, overview_of, text_of
from cineclub.adapters.files.tables import Columns
from cineclub.adapters.files.validation import ValidRows
from cineclub.domain.ratings.imported import ColumnMapping, NewMovie
from cineclub.domain.ratings.labels import Label
from cineclub.domain.ratings.spelled_ids import SettledIds

LONGEST_YEAR = 4


class MoviesBeside:
    """The movies of a file of ratings; the first row of each describes it."""

    def __init__(self, mapping: ColumnMapping) -> None:
        """Take the columns that describe movies."""
        self._mapping = mapping
        self._described: dict[int, NewMovie] = {}

    def add(self, columns: Columns, valid: ValidRows) -> None:
        """Add the movies of a block of valid rows."""
        if not self._mapping.movie_columns:
            return
        codes, first = np.unique(valid.movie_codes, return_index=True)
        for code, row in zip(codes.tolist(), valid.rows[first].tolist(), strict=True):
            if code not in self._described:
                self._described[code] = _movie_beside(columns, self._mapping, row)

    def movies(self, ids: SettledIds) -> list[NewMovie]:
        """Return the movies with the ids that their spellings stand for, the first of each id."""
        movies: dict[str, NewMovie] = {}
        for code, movie in self._described.items():
            if code not in ids.faults:
                name = ids.names[ids.codes[code]]
                title = (movie.title or name) if self._mapping.title else None
                movies.setdefault(name, replace(movie, external_id=name, title=title))
        return list(movies.values())


def _movie_beside(columns: Columns, mapping: ColumnMapping, row: int) -> NewMovie:
    """Return the movie described beside one of its ratings, without its id."""

    def value(name: str | None) -> Any:
        return columns.others[name][row].as_py() if name else None

    movie = movie_of("", text_of(value(mapping.title)), "|".join(names_of(value(mapping.genres))))
    year = text_of(value(mapping.year)).removesuffix(".0")
    is_year = year.isascii() and year.isdecimal() and len(year) <= LONGEST_YEAR
    labels = [Label(kind, name) for kind, column in mapping.labels for name in names_of(value(column))]
    details = {"runtime_minutes": (minutes_of, mapping.runtime), "overview": (overview_of, mapping.overview)}
    known = {name: _or_none(read, value(column)) for name, (read, column) in details.items()}
    return replace(movie, year=int(year) if is_year else movie.year, labels=tuple(labels), **known)


def _or_none(read: Any, value: Any) -> Any:
    """Return a value beside a rating; None for one that its column cannot have, which costs no rating."""
    try:
        return read(value)
    except BadValue:
        return None

"""The files of TMDB's movies as The Movies Dataset on Kaggle has them: movies_metadata, keywords and credits.

Numbers of votes, popularity, budget and revenue are never read: they are of a later time than most ratings, and a model
that knows them knows the future.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from cineclub.adapters.files.csv_rows import csv_rows
from cineclub.adapters.files.lines import SourceFile
from cineclub.adapters.files.literals import name_in, names_in, objects_of
from cineclub.adapters.files.movie_values import (
    TYPE_COLUMNS,
    BadValue,
    id_of,
    is_series,
    minutes_of,
    overview_of,
    whole_text_of,
    year_of,
)
from cineclub.adapters.files.movies import Movies, completed, lacking
from cineclub.adapters.files.rejecting import blocks_of
from cineclub.adapters.files.tables import LONGEST_SHOWN_CONTENT
from cineclub.domain.ratings.imported import LeftOut, NewMovie, RejectedRow
from cineclub.domain.ratings.labels import Label

Open = Callable[[], SourceFile]
Row = Mapping[str, str]
LINKS = ("links.csv", "links_small.csv")
METADATA = (
    *("title", "original_title", "release_date", "genres", "overview", "runtime", "imdb_id", "belongs_to_collection"),
    *("original_language", "production_countries", "production_companies", *TYPE_COLUMNS),
)
MOST_ACTORS = 10
ACTORS_OF_HALF_WEIGHT, WEIGHT_DIGITS = 5, 3
"""After so many actors the weight of one is half of the first's."""


def movies_metadata(row: Row) -> NewMovie:
    """Return the movie of a row of movies_metadata.csv, under its TMDB id."""
    labels = [
        *_labels("collection", names_in(row["belongs_to_collection"], "belongs_to_collection")),
        *_labels("language", filter(None, [row["original_language"].strip()])),
        *_labels("country", names_in(row["production_countries"], "production_countries", "iso_3166_1")),
        *_labels("company", names_in(row["production_companies"], "production_companies")),
    ]
    return NewMovie(
        row["id"],
        row["title"].strip() or row["original_title"].strip() or None,
        year_of(row["release_date"]),
        tuple(filter(None, names_in(row["genres"], "genres"))),
        (id_of(row["imdb_id"]) or "").removeprefix("tt") or None,
        row["id"],
        tuple(labels),
        minutes_of(row["runtime"]),
        overview_of(row["overview"]),
    )


def keywords(row: Row) -> NewMovie:
    """Return the keywords of a movie."""
    return NewMovie(row["id"], None, labels=tuple(_labels("keyword", names_in(row["keywords"], "keywords"))))


def credits_of(row: Row) -> NewMovie:
    """Return the directors and the first actors of a movie."""
    crew = objects_of(row["crew"], "crew")
    directors = [name_in(person, "crew") for person in crew if person.get("job") == "Director"]
    actors = sorted(objects_of(row["cast"], "cast"), key=_billing)[:MOST_ACTORS]
    cast = [
        Label("cast", name_in(person, "cast"), round(1 / (1 + place / ACTORS_OF_HALF_WEIGHT), WEIGHT_DIGITS))
        for place, person in enumerate(actors)
    ]
    return NewMovie(row["id"], None, labels=(*_labels("director", directors), *cast))


FILES: Mapping[str, tuple[tuple[str, ...], Callable[[Row], NewMovie]]] = {
    "movies_metadata.csv": (METADATA, movies_metadata),
    "keywords.csv": (("keywords",), keywords),
    "credits.csv": (("cast", "crew"), credits_of),
}
"""The columns of each file beside the TMDB id, and what reads one of its rows."""

NEEDED = {"movies_metadata.csv": ("title",), "keywords.csv": ("keywords",), "credits.csv": ("cast", "crew")}


def tmdb_movies(files: Mapping[str, Open], known_ids: Collection[str]) -> Movies:
    """Return the movies of the files that are present, under the ids of the ratings.

    ``known_ids`` are those of the ratings and of other files. Without a file of links they are TMDB's own.

    Raises:
        InvalidInput: a file is no text, or cannot be read.
    """
    faults: list[RejectedRow] = []
    open_links = next((files[name] for name in LINKS if name in files), None)
    is_reported = "movies.csv" in files  # the bad rows of links.csv, by whoever read it for those movies
    links = _links(open_links, [] if is_reported else faults) if open_links else None
    catalogue = TmdbMovies(links, known_ids, faults)
    for name, (columns, read) in FILES.items():
        if name in files:
            catalogue.add(files[name], columns, NEEDED[name], read)
    return catalogue.movies()


class TmdbMovies:
    """The movies of several files by their TMDB ids."""

    def __init__(
        self, links: Mapping[str, list[str]] | None, known_ids: Collection[str], faults: list[RejectedRow]
    ) -> None:
        """Take the ids of movies by TMDB id, None where they are the same, and the list that bad rows are added to."""
        self._links, self._known_ids, self._faults = links, known_ids, faults
        self._movies: dict[str, NewMovie] = {}
        self._series: set[str] = set()
        self._unmatched: set[str] = set()

    def add(
        self, open_file: Open, columns: tuple[str, ...], needed: tuple[str, ...], read: Callable[[Row], NewMovie]
    ) -> None:
        """Add what one file says; of a file that lacks a needed column only the header is rejected."""
        if fault := lacking(open_file, ("id", *needed)):
            self._faults.append(fault)
            return
        with open_file() as file:
            name = file.name
        described: set[str] = set()
        for line, fields in csv_rows(open_file, ("id", *columns), self._faults):
            values = {column: text or "" for column, text in zip(("id", *columns), fields, strict=True)}
            row = {**values, "id": whole_text_of(values["id"])}
            try:
                self._add_row(row, read, described)
            except BadValue as error:
                content = ",".join(values.values())[:LONGEST_SHOWN_CONTENT]
                self._faults.append(RejectedRow(name, line, str(error), content))

    def movies(self) -> Movies:
        """Return all movies under the ids that lead to them."""
        movies: list[NewMovie] = []
        for tmdb_id, movie in self._movies.items():
            ids = [name for name in self._ids(tmdb_id) if movie.title or name in self._known_ids]
            movies += [replace(movie, external_id=name, tmdb_id=tmdb_id) for name in ids]
            if not ids:
                self._unmatched.add(tmdb_id)
        return Movies(movies, blocks_of(self._faults), LeftOut(len(self._series), len(self._unmatched)))

    def _add_row(self, row: Row, read: Callable[[Row], NewMovie], described: set[str]) -> None:
        """Add a row, unless it is of a series or of a movie that no id leads to."""
        tmdb_id = row["id"]
        if not (tmdb_id.isascii() and tmdb_id.isdecimal()):
            message = "the film id is missing, or no number of TMDB"
            raise BadValue(message)
        if any(is_series(row.get(column)) for column in TYPE_COLUMNS):
            self._series.add(tmdb_id)
        elif tmdb_id in self._series:
            return
        elif not self._ids(tmdb_id):
            self._unmatched.add(tmdb_id)
        else:
            self._join(read(row), described, is_of_movies="title" in row)

    def _join(self, movie: NewMovie, described: set[str], *, is_of_movies: bool) -> None:
        """Join a row with what is known of its movie; the labels of a repeated row are joined, its texts are not."""
        if is_of_movies and movie.external_id in described:
            message = "the film is in this file already"
            raise BadValue(message)
        described.add(movie.external_id)
        former = self._movies.get(movie.external_id)
        self._movies[movie.external_id] = completed(former, movie) if former else movie

    def _ids(self, tmdb_id: str) -> list[str]:
        """Return the ids of a movie of TMDB: of the ratings, of links, or its own."""
        return [tmdb_id] if self._links is None else self._links.get(tmdb_id, [])


def _links(open_links: Open, faults: list[RejectedRow]) -> dict[str, list[str]]:
    """Return the ids of movies by TMDB id; the same movie may have several."""
    links: dict[str, list[str]] = {}
    for _, (movie_id, tmdb_id) in csv_rows(open_links, ("movieId", "tmdbId"), faults):
        if (here := whole_text_of(movie_id)) and (there := whole_text_of(tmdb_id)):
            links.setdefault(there, []).append(here)
    return links


def _labels(kind: str, names: Any) -> Iterator[Label]:
    """Yield a label for each name."""
    return (Label(kind, name) for name in names)


def _billing(person: Mapping[str, Any]) -> float:
    """Return the place of an actor in the credits; those without one come last."""
    order = person.get("order")
    return float(order) if isinstance(order, int | float) else float("inf")

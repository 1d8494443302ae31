"""The movies of a release: titles with their years, genres, and ids of IMDb and TMDB."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from cineclub.adapters.files.csv_rows import csv_rows, decoded
from cineclub.adapters.files.lines import SourceFile
from cineclub.adapters.files.movies import Movies
from cineclub.adapters.files.rejecting import blocks_of
from cineclub.domain.ratings.imported import MAX_ID_CHARACTERS, NewMovie, RejectedRow

TITLE_AND_YEAR = re.compile(r"^(?P<title>.*\S)\s*\((?P<year>\d{4})\)\s*$", re.DOTALL)
NO_GENRES = {"", "(no genres listed)", "unknown"}
ML_100K_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
ML_100K_COLUMNS = 5 + len(ML_100K_GENRES)


def movie_of(external_id: str, title: str, genres: str) -> NewMovie:
    """Return the movie of a title such as ``Heat (1995)`` and genres joined by ``|``."""
    match = TITLE_AND_YEAR.match(title.strip())
    name, year = (match["title"], int(match["year"])) if match else (title.strip(), None)
    names_of_genres = tuple(genre.strip() for genre in genres.split("|") if genre.strip() not in NO_GENRES)
    return NewMovie(external_id.strip(), name or external_id.strip(), year, names_of_genres)


def csv_movies(open_movies: Callable[[], SourceFile], open_links: Callable[[], SourceFile] | None) -> Movies:
    """Return the movies of movies.csv, with the ids of links.csv if it exists.

    Raises:
        InvalidInput: a file lacks a column, or cannot be read.
    """
    faults: list[RejectedRow] = []
    movies, rejected = _movies("movies.csv", csv_rows(open_movies, ("movieId", "title", "genres"), faults))
    ids: dict[str, tuple[str | None, str | None]] = {}
    if open_links is not None:
        for _, (movie_id, *elsewhere) in csv_rows(open_links, ("movieId", "imdbId", "tmdbId"), faults):
            imdb_id, tmdb_id = (text or None for text in elsewhere)
            ids[(movie_id or "").strip()] = (imdb_id, tmdb_id)
    linked = [(movie, *ids.get(movie.external_id, (None, None))) for movie in movies]
    return Movies(
        [replace(movie, imdb_id=imdb_id, tmdb_id=tmdb_id) for movie, imdb_id, tmdb_id in linked],
        blocks_of([*rejected, *faults]),
    )


def dat_movies(file: str, content: bytes) -> Movies:
    """Return the movies of movies.dat, whose columns ``::`` separates; a title may hold the separator, an id cannot."""
    return _movies_of_lines(file, content, _dat_fields)


def item_movies(file: str, content: bytes) -> Movies:
    """Return the movies of ml-100k's u.item, whose columns ``|`` separates, with a flag for each genre."""
    return _movies_of_lines(file, content, _item_fields)


def _movies_of_lines(file: str, content: bytes, fields_of: Callable[[str], list[str | None]]) -> Movies:
    """Return the movies of a file with one in each line."""
    lines = decoded(content).splitlines()
    rows = ((nth, fields_of(line)) for nth, line in enumerate(lines, start=1) if line.strip())
    movies, rejected = _movies(file, rows)
    return Movies(movies, blocks_of(rejected))


def _dat_fields(line: str) -> list[str | None]:
    """Return id, title and genres of a line of movies.dat."""
    first, *middle = line.split("::")
    if not middle:
        return [first, None, None]
    return [first, middle[0], ""] if len(middle) == 1 else [first, "::".join(middle[:-1]), middle[-1]]


def _item_fields(line: str) -> list[str | None]:
    """Return id, title and genres of a line of u.item."""
    fields = line.split("|")
    if len(fields) != ML_100K_COLUMNS:
        return [fields[0], None, None]
    flags = fields[-len(ML_100K_GENRES) :]
    genres = [genre for genre, flag in zip(ML_100K_GENRES, flags, strict=True) if flag == "1"]
    return [fields[0], fields[1], "|".join(genres)]


def _movies(file: str, rows: Iterator[tuple[int, list[str | None]]]) -> tuple[list[NewMovie], list[RejectedRow]]:
    """Return the movies of numbered rows of id, title and genres, the first of each id."""
    movies: dict[str, NewMovie] = {}
    rejected: list[RejectedRow] = []
    for line, (external_id, title, genres) in rows:
        name = (external_id or "").strip()
        if reason := _fault(name, title, movies):
            rejected.append(RejectedRow(file, line, reason, f"{external_id or ''}, {title or ''}"))
        else:
            movies[name] = movie_of(name, title or "", genres or "")
    return list(movies.values()), rejected


def _fault(external_id: str, title: str | None, movies: Mapping[str, NewMovie]) -> str | None:
    """Return the reason why a movie is rejected; None for a valid one."""
    if not external_id:
        return "the film id is missing"
    if '"' in external_id:
        return "a quote within the film id"
    if len(external_id) > MAX_ID_CHARACTERS:
        return f"the film id is longer than {MAX_ID_CHARACTERS} characters"
    if title is None or not title.strip():
        return "the film has no title, or the row lacks columns"
    return "the film is in this file already" if external_id in movies else None

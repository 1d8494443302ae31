"""The films of a release: titles with their years, genres, and ids elsewhere."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from cineclub.domain.imported_ratings import MAX_ID_CHARACTERS, NewMovie, RejectedRow

TITLE_AND_YEAR = re.compile(r"^(?P<title>.*\S)\s*\((?P<year>\d{4})\)\s*$", re.DOTALL)
NO_GENRES = {"", "(no genres listed)", "unknown"}
ML_100K_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
ML_100K_COLUMNS = 5 + len(ML_100K_GENRES)
Films = tuple[list[NewMovie], list[RejectedRow]]


def movie_of(external_id: str, title: str, genres: str) -> NewMovie:
    """Return the film of a title such as ``Heat (1995)`` and genres joined by ``|``."""
    found = TITLE_AND_YEAR.match(title.strip())
    name, year = (found["title"], int(found["year"])) if found else (title.strip(), None)
    listed = tuple(genre.strip() for genre in genres.split("|") if genre.strip() not in NO_GENRES)
    return NewMovie(external_id.strip(), name or external_id.strip(), year, listed)


def decoded(content: bytes) -> str:
    """Return a file's text without NUL characters: UTF-8, or Latin-1 as the oldest releases have it."""
    content = content.replace(b"\0", b"")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def csv_movies(file: str, content: bytes, links: bytes | None) -> Films:
    """Return the films of movies.csv, with the ids of links.csv where there is one."""
    reader = csv.DictReader(io.StringIO(decoded(content)))
    films, rejected = _films(
        file, ((reader.line_num, [row.get(name) for name in ("movieId", "title", "genres")]) for row in reader)
    )
    elsewhere = _links(links) if links else {}
    return [_linked(film, *elsewhere.get(film.external_id, (None, None))) for film in films], rejected


def dat_movies(file: str, content: bytes) -> Films:
    """Return the films of movies.dat, columns between ``::``; a title may hold the separator, an id cannot."""
    lines = decoded(content).splitlines()
    return _films(file, ((n, _dat_fields(line)) for n, line in enumerate(lines, start=1) if line.strip()))


def item_movies(file: str, content: bytes) -> Films:
    """Return the films of ml-100k's u.item, columns between ``|``, a flag per genre."""
    lines = decoded(content).splitlines()
    return _films(file, ((n, _item_fields(line)) for n, line in enumerate(lines, start=1) if line.strip()))


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


def _films(file: str, rows: Iterator[tuple[int, list[str | None]]]) -> Films:
    """Return the films of numbered rows of id, title and genres, the first of each id."""
    films: dict[str, NewMovie] = {}
    rejected: list[RejectedRow] = []
    for line, (external_id, title, genres) in rows:
        name = (external_id or "").strip()
        if reason := _fault(name, title, films):
            rejected.append(RejectedRow(file, line, reason, f"{external_id or ''}, {title or ''}"))
        else:
            films[name] = movie_of(name, title or "", genres or "")
    return list(films.values()), rejected


def _fault(external_id: str, title: str | None, films: Mapping[str, NewMovie]) -> str | None:
    """Return what is wrong with a film; None where nothing is."""
    if not external_id:
        return "the film id is missing"
    if len(external_id) > MAX_ID_CHARACTERS:
        return f"the film id is longer than {MAX_ID_CHARACTERS} characters"
    if title is None or not title.strip():
        return "the film has no title, or the row lacks columns"
    return "the film stands in this file already" if external_id in films else None


def _linked(film: NewMovie, imdb_id: str | None, tmdb_id: str | None) -> NewMovie:
    """Return the film with its ids elsewhere."""
    return replace(film, imdb_id=imdb_id, tmdb_id=tmdb_id)


def _links(content: bytes) -> dict[str, tuple[str | None, str | None]]:
    """Return the ids at IMDb and TMDB of each film of links.csv."""
    return {
        row["movieId"].strip(): (row.get("imdbId") or None, row.get("tmdbId") or None)
        for row in csv.DictReader(io.StringIO(decoded(content)))
        if row.get("movieId")
    }

"""The vocabulary of a model: its movies by external ids, year, genres, runtime, availability and labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.label_index import LabelIndex
from cineclub.domain.ratings.log import Movie

UNKNOWN_YEAR = -(2**15)
UNKNOWN_RUNTIME = 0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Positions of movies in the vocabulary by their ids, and what they are filtered by as arrays.

    Attributes:
        by_external_id: position by the caller's own id.
        by_imdb_id: position by IMDb's number, without ``tt`` and leading zeros.
        by_tmdb_id: position by TMDB's number.
        years: (n_movies,) int16; ``UNKNOWN_YEAR`` without a year.
        genre_names: (n_genres,) the genres as they are written.
        genres: (n_genres, n_movies) bool: whether a movie has a genre.
        runtimes: (n_movies,) int32 minutes; ``UNKNOWN_RUNTIME`` without one.
        is_available: (n_movies,) whether each may be recommended.
        labels: returns the movies by their labels, which may be indexed at the first call.
    """

    by_external_id: Mapping[str, int]
    by_imdb_id: Mapping[str, int]
    by_tmdb_id: Mapping[str, int]
    years: NDArray[np.int16]
    genre_names: tuple[str, ...]
    genres: NDArray[np.bool_]
    runtimes: NDArray[np.int32]
    is_available: NDArray[np.bool_]
    labels: Callable[[], LabelIndex]

    @classmethod
    def of(cls, movies: Sequence[Movie], labels: LabelIndex | None = None) -> "Vocabulary":
        """Return the vocabulary of movies in its order, with the index of their labels if that was made already."""
        names = tuple(sorted({genre for movie in movies for genre in movie.genres}))
        rows = {name: row for row, name in enumerate(names)}
        genres = np.zeros((len(names), len(movies)), np.bool_)
        for position, movie in enumerate(movies):
            genres[[rows[genre] for genre in movie.genres], position] = True
        years = [UNKNOWN_YEAR if movie.year is None else movie.year for movie in movies]
        return cls(
            by_external_id={movie.external_id: position for position, movie in enumerate(movies)},
            by_imdb_id={imdb_number(movie.imdb_id): nth for nth, movie in enumerate(movies) if movie.imdb_id},
            by_tmdb_id={movie.tmdb_id: nth for nth, movie in enumerate(movies) if movie.tmdb_id},
            years=np.clip(years, UNKNOWN_YEAR, 2**15 - 1).astype(np.int16),
            genre_names=names,
            genres=genres,
            runtimes=np.array([movie.runtime_minutes or UNKNOWN_RUNTIME for movie in movies], np.int32),
            is_available=np.array([movie.is_available for movie in movies], np.bool_),
            labels=cache(lambda: LabelIndex.of(movies) if labels is None else labels),
        )

    def with_genres(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Return for each movie, shape (n_movies,), whether it has one of these genres, ignoring case."""
        wanted = {name.casefold() for name in names}
        rows = [row for row, name in enumerate(self.genre_names) if name.casefold() in wanted]
        has: NDArray[np.bool_] = np.logical_or.reduce(self.genres[rows], axis=0)
        return has

    def with_labels(self, kind: str, names: Sequence[str]) -> NDArray[np.bool_]:
        """Return for each movie, shape (n_movies,), whether it has one of these labels of a kind."""
        has = np.zeros(len(self.years), np.bool_)
        for name in names:
            has[self.labels().having(kind, name)] = True
        return has

    def unknown_genres(self, names: Sequence[str]) -> list[str]:
        """Return the names that are no movie's genre."""
        known = {name.casefold() for name in self.genre_names}
        return [name for name in names if name.casefold() not in known]


def imdb_number(imdb_id: str) -> str:
    """Return IMDb's id without ``tt`` and leading zeros, which some sources omit."""
    return imdb_id.strip().removeprefix("tt").lstrip("0") or "0"

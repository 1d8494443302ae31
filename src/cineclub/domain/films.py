"""The films of a model's vocabulary by what people name and choose them by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings import Movie

UNKNOWN_YEAR = -(2**15)


@dataclass(frozen=True, slots=True)
class FilmIndex:
    """Where each film stands in the vocabulary, with its year and genres as arrays.

    Attributes:
        by_external_id: position by the caller's own id.
        by_imdb_id: position by IMDb's number, without ``tt`` and leading zeros.
        by_tmdb_id: position by TMDB's number.
        years: (n_movies,) int16; ``UNKNOWN_YEAR`` where there is none.
        genre_names: (n_genres) the genres as they are written.
        genres: (n_genres, n_movies) bool: which film has which genre.
    """

    by_external_id: Mapping[str, int]
    by_imdb_id: Mapping[str, int]
    by_tmdb_id: Mapping[str, int]
    years: NDArray[np.int16]
    genre_names: tuple[str, ...]
    genres: NDArray[np.bool_]

    @classmethod
    def of(cls, movies: Sequence[Movie]) -> "FilmIndex":
        """Return the index of a vocabulary's films, in its order."""
        names = tuple(sorted({genre for movie in movies for genre in movie.genres}))
        rows = {name: row for row, name in enumerate(names)}
        genres = np.zeros((len(names), len(movies)), np.bool_)
        for position, movie in enumerate(movies):
            genres[[rows[genre] for genre in movie.genres], position] = True
        years = [UNKNOWN_YEAR if movie.year is None else movie.year for movie in movies]
        return cls(
            by_external_id={movie.external_id: position for position, movie in enumerate(movies)},
            by_imdb_id={imdb_number(one.imdb_id): at for at, one in enumerate(movies) if one.imdb_id},
            by_tmdb_id={one.tmdb_id: at for at, one in enumerate(movies) if one.tmdb_id},
            years=np.clip(years, UNKNOWN_YEAR, 2**15 - 1).astype(np.int16),
            genre_names=names,
            genres=genres,
        )

    def with_genres(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Say for each film, shape (n_movies,), whether it has one of these genres, however they are capitalised."""
        wanted = {name.casefold() for name in names}
        rows = [row for row, name in enumerate(self.genre_names) if name.casefold() in wanted]
        has: NDArray[np.bool_] = np.logical_or.reduce(self.genres[rows], axis=0)
        return has

    def unknown_genres(self, names: Sequence[str]) -> list[str]:
        """Return the names that no film has as a genre."""
        known = {name.casefold() for name in self.genre_names}
        return [name for name in names if name.casefold() not in known]


def imdb_number(imdb_id: str) -> str:
    """Return IMDb's id as a plain number, which sources write with or without ``tt`` and leading zeros."""
    return imdb_id.strip().removeprefix("tt").lstrip("0") or "0"

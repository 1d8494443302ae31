"""What a person wants to choose among, and which films that leaves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.films import UNKNOWN_YEAR, FilmIndex

MAX_GENRES_NAMED = 30


@dataclass(frozen=True, slots=True)
class Choice:
    """The films that an answer may hold; the empty choice is every film that was not rated yet.

    Attributes:
        genres: at least one of these, unless empty.
        exclude_genres: none of these.
        year_from: from this year on; films without a year are left out.
        year_to: up to this year; films without a year are left out.
        exclude_movie_ids: none of these, by the caller's ids.
        candidate_movie_ids: only these, by the caller's ids; None for all.
        include_seen: rated films may come back.
        diversity: 0 for the best films, up to 1 for the most different ones (``domain.diversity``).
    """

    genres: tuple[str, ...] = ()
    exclude_genres: tuple[str, ...] = ()
    year_from: int | None = None
    year_to: int | None = None
    exclude_movie_ids: tuple[str, ...] = ()
    candidate_movie_ids: tuple[str, ...] | None = None
    include_seen: bool = False
    diversity: float = 0.0

    def left_out(self, films: FilmIndex, seen_indices: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the positions of the films that must not be answered, each once.

        Args:
            films: the films to choose among.
            seen_indices: (n,) positions of the films that the person has rated.

        Raises:
            InvalidInput: no film has a genre that is asked for.
        """
        if self == EVERYTHING:
            return np.asarray(seen_indices, np.int64)
        self._check_genres(films)
        out = np.zeros(len(films.years), np.bool_)
        if self.genres:
            out |= ~films.with_genres(self.genres)
        if self.exclude_genres:
            out |= films.with_genres(self.exclude_genres)
        out |= self._outside_years(films)
        out[_known(films, self.exclude_movie_ids)] = True
        if self.candidate_movie_ids is not None:
            others = np.ones(len(out), np.bool_)
            others[_known(films, self.candidate_movie_ids)] = False
            out |= others
        if not self.include_seen:
            out[seen_indices] = True
        return np.flatnonzero(out)

    def _check_genres(self, films: FilmIndex) -> None:
        """Refuse a genre to choose by that there is not; one to exclude may be missing."""
        unknown = films.unknown_genres(self.genres)
        if unknown:
            known = ", ".join(films.genre_names[:MAX_GENRES_NAMED]) or "none"
            message = f"genres: no film has the genre {unknown[0][:50]!r}; there are {known}"
            raise InvalidInput(message)

    def _outside_years(self, films: FilmIndex) -> NDArray[np.bool_]:
        """Say which films are older or newer than wanted, or of no known year where one is wanted."""
        out = np.zeros(len(films.years), np.bool_)
        if self.year_from is not None:
            out |= films.years < self.year_from
        if self.year_to is not None:
            out |= (films.years > self.year_to) | (films.years == UNKNOWN_YEAR)
        return out


EVERYTHING = Choice()


def _known(films: FilmIndex, external_ids: Sequence[str]) -> list[int]:
    """Return the positions of the films that the vocabulary knows."""
    return [films.by_external_id[one] for one in external_ids if one in films.by_external_id]

"""Filters of a request, and the movies that they exclude.

A new filter is a field of ``Filters`` with its rule in ``excluded``, and a field of ``api.filters``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.vocabulary import UNKNOWN_YEAR, Vocabulary

MAX_GENRES_NAMED = 30


@dataclass(frozen=True, slots=True)
class Filters:
    """The movies that a list may hold; without filters every movie that the user has not rated.

    Attributes:
        genres: at least one of these, unless empty.
        exclude_genres: none of these.
        year_from: from this year on; movies without a year are excluded.
        year_to: up to this year; movies without a year are excluded.
        exclude_movie_ids: none of these, by the caller's ids.
        candidate_movie_ids: only these, by the caller's ids; None for all.
        include_seen: rated movies may come back.
        diversity: 0 for the best movies, up to 1 for the most different ones (``domain.recommend.diversity``).
    """

    genres: tuple[str, ...] = ()
    exclude_genres: tuple[str, ...] = ()
    year_from: int | None = None
    year_to: int | None = None
    exclude_movie_ids: tuple[str, ...] = ()
    candidate_movie_ids: tuple[str, ...] | None = None
    include_seen: bool = False
    diversity: float = 0.0

    def excluded(self, vocabulary: Vocabulary, seen_positions: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the positions of the excluded movies, each once.

        Args:
            vocabulary: the movies to choose among.
            seen_positions: (n,) the movies that the user has rated.

        Raises:
            InvalidInput: no movie has a wanted genre.
        """
        if self == NO_FILTERS:
            return np.asarray(seen_positions, np.int64)
        self._check_genres(vocabulary)
        excluded = np.zeros(len(vocabulary.years), np.bool_)
        if self.genres:
            excluded |= ~vocabulary.with_genres(self.genres)
        if self.exclude_genres:
            excluded |= vocabulary.with_genres(self.exclude_genres)
        excluded |= self._outside_years(vocabulary)
        excluded[_positions(vocabulary, self.exclude_movie_ids)] = True
        if self.candidate_movie_ids is not None:
            is_candidate = np.zeros(len(excluded), np.bool_)
            is_candidate[_positions(vocabulary, self.candidate_movie_ids)] = True
            excluded |= ~is_candidate
        if not self.include_seen:
            excluded[seen_positions] = True
        return np.flatnonzero(excluded)

    def _outside_years(self, vocabulary: Vocabulary) -> NDArray[np.bool_]:
        """Return whether the year of each movie, shape (n_movies,), is excluded; ``year_to`` excludes unknown years."""
        outside = np.zeros(len(vocabulary.years), np.bool_)
        if self.year_from is not None:
            outside |= vocabulary.years < self.year_from
        if self.year_to is not None:
            outside |= (vocabulary.years > self.year_to) | (vocabulary.years == UNKNOWN_YEAR)
        return outside

    def _check_genres(self, vocabulary: Vocabulary) -> None:
        """Raise ``InvalidInput`` for a wanted genre that no movie has; an excluded one may be unknown."""
        unknown = vocabulary.unknown_genres(self.genres)
        if unknown:
            known = ", ".join(vocabulary.genre_names[:MAX_GENRES_NAMED]) or "none"
            message = f"genres: no film has the genre {unknown[0][:50]!r}; there are {known}"
            raise InvalidInput(message)


NO_FILTERS = Filters()


def _positions(vocabulary: Vocabulary, external_ids: Sequence[str]) -> list[int]:
    """Return the positions of the movies that the vocabulary holds."""
    positions = vocabulary.by_external_id
    return [positions[external_id] for external_id in external_ids if external_id in positions]

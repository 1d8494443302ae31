"""Filters of a request, and the movies that they exclude.

A new filter is a field of ``Filters`` with its rule in ``excluded``, and a field of ``api.filters``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.vocabulary import UNKNOWN_RUNTIME, UNKNOWN_YEAR, Vocabulary

LANGUAGE = "language"
MAX_NAMES_NAMED = 30
MAX_NAME_SHOWN = 50
LabelNames = tuple[tuple[str, str], ...]
"""Labels by kind and name."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The movies that a list may hold; without filters every movie that the user has not rated.

    Attributes:
        genres: at least one of these, unless empty.
        exclude_genres: none of these.
        labels: of each kind that is named here at least one of its names.
        exclude_labels: none of these.
        languages: at least one of these labels of the kind ``LANGUAGE``, with those of ``labels``.
        year_from: from this year on; movies without a year are excluded.
        year_to: up to this year; movies without a year are excluded.
        runtime_from: of so many minutes or more; movies without a runtime are excluded.
        runtime_to: of so many minutes or less; movies without a runtime are excluded.
        available: only movies that may be recommended, or only withdrawn ones; None for both.
        exclude_movie_ids: none of these, by the caller's ids.
        candidate_movie_ids: only these, by the caller's ids; None for all.
        include_seen: rated movies may come back.
        diversity: 0 for the best movies, up to 1 for the most different ones (``domain.recommend.diversity``).
    """

    genres: tuple[str, ...] = ()
    exclude_genres: tuple[str, ...] = ()
    labels: LabelNames = ()
    exclude_labels: LabelNames = ()
    languages: tuple[str, ...] = ()
    year_from: int | None = None
    year_to: int | None = None
    runtime_from: int | None = None
    runtime_to: int | None = None
    available: bool | None = None
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
            InvalidInput: no movie has a wanted genre or label.
        """
        if self == NO_FILTERS:
            return np.asarray(seen_positions, np.int64)
        self._check_genres(vocabulary)
        self._check_labels(vocabulary)
        excluded = self._by_names(vocabulary)
        excluded |= _outside(vocabulary.years, self.year_from, self.year_to, UNKNOWN_YEAR)
        excluded |= _outside(vocabulary.runtimes, self.runtime_from, self.runtime_to, UNKNOWN_RUNTIME)
        if self.available is not None:
            excluded |= vocabulary.is_available != self.available
        excluded[_positions(vocabulary, self.exclude_movie_ids)] = True
        if self.candidate_movie_ids is not None:
            is_candidate = np.zeros(len(excluded), np.bool_)
            is_candidate[_positions(vocabulary, self.candidate_movie_ids)] = True
            excluded |= ~is_candidate
        if not self.include_seen:
            excluded[seen_positions] = True
        return np.flatnonzero(excluded)

    @property
    def _wanted_labels(self) -> LabelNames:
        """The wanted labels, languages among them."""
        return *self.labels, *((LANGUAGE, name) for name in self.languages)

    def _by_names(self, vocabulary: Vocabulary) -> NDArray[np.bool_]:
        """Return whether each movie, shape (n_movies,), is excluded by its genres or labels."""
        excluded = np.zeros(len(vocabulary.years), np.bool_)
        if self.genres:
            excluded |= ~vocabulary.with_genres(self.genres)
        if self.exclude_genres:
            excluded |= vocabulary.with_genres(self.exclude_genres)
        for kind, names in _by_kind(self._wanted_labels).items():
            excluded |= ~vocabulary.with_labels(kind, names)
        for kind, names in _by_kind(self.exclude_labels).items():
            excluded |= vocabulary.with_labels(kind, names)
        return excluded

    def _check_genres(self, vocabulary: Vocabulary) -> None:
        """Raise ``InvalidInput`` for a wanted genre that no movie has; an excluded one may be unknown."""
        unknown = vocabulary.unknown_genres(self.genres)
        if unknown:
            known = ", ".join(vocabulary.genre_names[:MAX_NAMES_NAMED]) or "none"
            message = f"genres: no film has the genre {unknown[0][:MAX_NAME_SHOWN]!r}; there are {known}"
            raise InvalidInput(message)

    def _check_labels(self, vocabulary: Vocabulary) -> None:
        """Raise ``InvalidInput`` for a wanted label that no movie has; an excluded one may be unknown."""
        for kind, name in self._wanted_labels:
            labels = vocabulary.labels()
            if kind not in labels.codes:
                known = ", ".join(sorted(labels.codes)[:MAX_NAMES_NAMED]) or "none"
                message = f"labels: no film has a label of the kind {kind!r}; there are {known}"
                raise InvalidInput(message)
            if not labels.has(kind, name):
                names = labels.names_of(kind) if len(labels.codes[kind]) <= MAX_NAMES_NAMED else ()
                known = f"; there are {', '.join(names)}" if names else ""
                message = f"labels: no film has the {kind} {name[:MAX_NAME_SHOWN]!r}{known}"
                raise InvalidInput(message)


NO_FILTERS = Filters()


def _by_kind(labels: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the names of labels by their kind."""
    names: dict[str, list[str]] = {}
    for kind, name in labels:
        names.setdefault(kind, []).append(name)
    return names


def _outside(values: NDArray[np.integer], lowest: int | None, highest: int | None, unknown: int) -> NDArray[np.bool_]:
    """Return whether each value, shape (n,), is outside of two bounds, if there is one; an unknown value is."""
    outside = np.zeros(len(values), np.bool_)
    if lowest is not None:
        outside |= (values < lowest) | (values == unknown)
    if highest is not None:
        outside |= (values > highest) | (values == unknown)
    return outside


def _positions(vocabulary: Vocabulary, external_ids: Sequence[str]) -> list[int]:
    """Return the positions of the movies that the vocabulary holds."""
    positions = vocabulary.by_external_id
    return [positions[external_id] for external_id in external_ids if external_id in positions]

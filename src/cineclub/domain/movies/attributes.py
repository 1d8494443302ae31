"""Attributes of films as a table: their genres, their labels and the time they are from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.labels import GENRE, folded, place_of_kind
from cineclub.domain.ratings.log import Movie

YEAR = "(year)"
"""No kind of labels, which may be "year"."""

YEARS_APART = 5
"""Two times of films are so far apart. A film lies between two of them, so that it shares its time with its decade."""


@dataclass(frozen=True, slots=True)
class AttributeTable:
    """The attributes of films, by film; each attribute of a film once.

    Attributes:
        attributes: the code of each folded name, by kind.
        starts: (n_movies + 1,) int64, the first entry of each film.
        codes: (n_entries,) int32, the attribute of each entry.
        weights: (n_entries,) float32, above 0, at most 1.
    """

    attributes: Mapping[str, Mapping[str, int]]
    starts: NDArray[np.int64]
    codes: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, movies: Sequence[Movie], moment: datetime | None = None) -> "AttributeTable":
        """Return the attributes of films in their order, labels that are known later than at ``moment`` left out."""
        attributes: dict[str, dict[str, int]] = {}
        starts, codes, n_attributes = [0], list[int](), 0
        weights: list[float] = []
        for movie in movies:
            of_movie = dict(_attributes_of(movie, moment))
            for kind, name in of_movie:
                code = attributes.setdefault(kind, {}).setdefault(name, n_attributes)
                n_attributes += code == n_attributes
                codes.append(code)
            weights += of_movie.values()
            starts.append(len(codes))
        columns = np.array(starts, np.int64), np.array(codes, np.int32), np.array(weights, np.float32)
        return cls(attributes, *columns)

    @property
    def n_attributes(self) -> int:
        """The number of different attributes."""
        return sum(map(len, self.attributes.values()))

    def __len__(self) -> int:
        """Return the number of films."""
        return len(self.starts) - 1


def _attributes_of(movie: Movie, moment: datetime | None) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield kind and folded name of a film's attributes with their weights."""
    for genre in movie.genres:
        if name := folded(genre):
            yield (GENRE, name), 1.0
    for label in movie.labels:
        if moment is None or label.since is None or label.since <= moment:
            yield (label.kind, folded(label.name)), label.weight
    if movie.year is not None:
        earlier, years = divmod(movie.year, YEARS_APART)
        yield (YEAR, str(earlier * YEARS_APART)), 1 - years / YEARS_APART
        if years:
            yield (YEAR, str((earlier + 1) * YEARS_APART)), years / YEARS_APART


def shared_attributes(movie: Movie, other: Movie) -> tuple[tuple[str, str], ...]:
    """Return kind and name of the labels and genres that a movie shares with another, the most telling kinds first."""
    of_other = {(GENRE, folded(genre)) for genre in other.genres}
    of_other |= {(label.kind, folded(label.name)) for label in other.labels}
    own = [(label.kind, label.name) for label in movie.labels] + [(GENRE, genre) for genre in movie.genres]
    shared = [(kind, name) for kind, name in own if (kind, folded(name)) in of_other]
    return tuple(sorted(shared, key=lambda attribute: place_of_kind(attribute[0])))

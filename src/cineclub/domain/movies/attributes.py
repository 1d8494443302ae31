"""Attributes of films as a table: their genres, their labels and the time they are from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
    def of(cls, movies: Sequence[Movie]) -> "AttributeTable":
        """Return the attributes of films in their order."""
        attributes: dict[str, dict[str, int]] = {}
        starts, codes = [0], list[int]()
        weights: list[float] = []
        for movie in movies:
            of_movie = dict(_attributes_of(movie))
            codes += _codes_of(of_movie, attributes)
            weights += of_movie.values()
            starts.append(len(codes))
        columns = np.array(starts, np.int64), np.array(codes, np.int32), np.array(weights, np.float32)
        return cls(attributes, *columns)

    @property
    def n_attributes(self) -> int:
        """The number of different attributes."""
        return sum(map(len, self.attributes.values()))

    def with_changes(self, rows: NDArray[np.int64], changed: Sequence[Movie]) -> "AttributeTable":
        """Return the attributes of a catalogue of which few movies changed.

        Args:
            rows: (n_movies,) the row of each movie here, -1 for those that changed or are new.
            changed: these, in their order.
        """
        attributes = {kind: dict(names) for kind, names in self.attributes.items()}
        codes, weights = list[NDArray[np.int32]](), list[NDArray[np.float32]]()
        lengths = np.where(rows >= 0, np.diff(self.starts, append=0)[rows], 0)
        at, others = 0, iter(changed)
        for place in [*np.flatnonzero(rows < 0).tolist(), len(rows)]:
            for first, end in _runs(rows[at:place]):
                entries = slice(self.starts[first], self.starts[end])
                codes.append(self.codes[entries])
                weights.append(self.weights[entries])
            if place < len(rows):
                of_movie = dict(_attributes_of(next(others)))
                codes.append(np.array(_codes_of(of_movie, attributes), np.int32))
                weights.append(np.array(list(of_movie.values()), np.float32))
                lengths[place] = len(of_movie)
            at = place + 1
        starts = np.concatenate(([0], np.cumsum(lengths)))
        nothing = np.empty(0, np.int32), np.empty(0, np.float32)
        return AttributeTable(
            attributes, starts, np.concatenate([*codes, nothing[0]]), np.concatenate([*weights, nothing[1]])
        )

    def __len__(self) -> int:
        """Return the number of films."""
        return len(self.starts) - 1


def _codes_of(of_movie: Iterable[tuple[str, str]], attributes: dict[str, dict[str, int]]) -> list[int]:
    """Return the codes of a film's attributes, kind and folded name of each; new ones are added."""
    n_attributes, codes = sum(map(len, attributes.values())), list[int]()
    for kind, name in of_movie:
        codes.append(attributes.setdefault(kind, {}).setdefault(name, n_attributes))
        n_attributes += codes[-1] == n_attributes
    return codes


def _attributes_of(movie: Movie) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield kind and folded name of a film's attributes with their weights."""
    for genre in movie.genres:
        if name := folded(genre):
            yield (GENRE, name), 1.0
    for label in movie.labels:
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


def _runs(rows: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the first and the end of each run of consecutive rows."""
    if len(rows):
        cuts = np.flatnonzero(np.diff(rows) != 1) + 1
        for run in np.split(rows, cuts):
            yield int(run[0]), int(run[-1]) + 1

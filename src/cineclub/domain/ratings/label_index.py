"""The movies of a catalogue by their labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.labels import folded
from cineclub.domain.ratings.log import Movie


@dataclass(frozen=True, slots=True, eq=False)
class LabelIndex:
    """The positions of movies by the kind and the folded name of their labels.

    Attributes:
        codes: the code of each name, by kind.
        starts: (n_codes + 1,) the first entry of each code.
        movies: (n_entries,) int32 positions, by code.
        places: (n_movies,) int32, another position for each, -1 for none; None where ``movies`` are the positions.
    """

    codes: Mapping[str, Mapping[str, int]]
    starts: NDArray[np.int64]
    movies: NDArray[np.int32]
    places: NDArray[np.int32] | None = None

    @classmethod
    def of(cls, movies: Sequence[Movie]) -> "LabelIndex":
        """Return the index of movies by their position."""
        codes: dict[str, dict[str, int]] = {}
        positions: list[list[int]] = []
        for position, movie in enumerate(movies):
            for label in movie.labels:
                code = codes.setdefault(label.kind, {}).setdefault(folded(label.name), len(positions))
                if code == len(positions):
                    positions.append([])
                positions[code].append(position)
        starts = np.cumsum([0, *map(len, positions)], dtype=np.int64)
        return cls(codes, starts, np.array([at for having in positions for at in having], np.int32))

    def at(self, places: NDArray[np.int32]) -> "LabelIndex":
        """Return the same index of movies at other positions, (n_movies,), -1 for those that have none."""
        return replace(self, places=places)

    def having(self, kind: str, name: str) -> NDArray[np.int32]:
        """Return the positions of the movies that have a label, however it is spelled; none for an unknown one."""
        code = self.codes.get(kind, {}).get(folded(name))
        if code is None:
            return np.empty(0, np.int32)
        positions = self.movies[self.starts[code] : self.starts[code + 1]]
        if self.places is None:
            return positions
        elsewhere = self.places[positions]
        return elsewhere[elsewhere >= 0]

    def has(self, kind: str, name: str) -> bool:
        """Return whether any movie has a label; one that no movie has any more may have its code still."""
        code = self.codes.get(kind, {}).get(folded(name))
        return code is not None and bool(self.starts[code] < self.starts[code + 1])

    def names_of(self, kind: str) -> list[str]:
        """Return the folded names of a kind that movies have, by the alphabet."""
        return sorted(
            name for name, code in self.codes.get(kind, {}).items() if self.starts[code] < self.starts[code + 1]
        )

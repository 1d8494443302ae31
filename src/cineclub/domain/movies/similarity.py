"""Similarity of films by their attributes: the cosine of weighted attributes (Salton and Buckley 1988)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.movies.attributes import YEAR, AttributeTable
from cineclub.domain.ratings.label_index import LabelIndex
from cineclub.domain.ratings.labels import GENRE

COSINE_DIGITS = 5
"""Cosines are rounded, so that films with the same attributes are equally similar whatever the order of the sums."""

N_NEAREST, SHARPNESS = 24, 3
"""The most similar movies whose values are averaged, and the power of the cosine that is their weight."""


@dataclass(frozen=True, slots=True)
class NearestMovies:
    """The movies most similar to each of some, with their weights in a mean.

    Attributes:
        positions: (m, N_NEAREST) of the machine's own integers, which are faster to look up by.
        weights: (m, N_NEAREST) float32, of each row together 1, or 0 for a movie that is similar to none.
    """

    positions: NDArray[np.intp]
    weights: NDArray[np.float32]

    @classmethod
    def none(cls) -> "NearestMovies":
        """Return those of no movies."""
        return cls(np.empty((0, N_NEAREST), np.intp), np.empty((0, N_NEAREST), np.float32))

    def means(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the weighted mean of the values of the most similar movies, shape (m,); 0 where there are none.

        It is the kernel regression of Nadaraya and Watson (1964) of values, (n_movies,), on attributes.
        """
        means: NDArray[np.float32] = np.einsum("mk,mk->m", values.take(self.positions), self.weights)
        return means

    def at(self, rows: NDArray[np.int64]) -> "NearestMovies":
        """Return those of some rows, (n,)."""
        return NearestMovies(self.positions[rows], self.weights[rows])

    def with_changes(self, rows: NDArray[np.int64], others: "NearestMovies") -> "NearestMovies":
        """Return these in another order: rows, (n,), of this one, and where they are -1 the next of ``others``."""
        positions, weights = self.positions[rows], self.weights[rows]
        positions[rows < 0], weights[rows < 0] = others.positions, others.weights
        return NearestMovies(positions, weights)

    @property
    def is_similar_to_any(self) -> NDArray[np.bool_]:
        """Whether each movie is similar to any, shape (m,)."""
        return np.asarray(self.weights[:, 0] > 0)


class MovieSimilarity:
    """The similarity of films.

    An attribute counts by the root of log(1 + n / n_with): a genre that half of the films have says little. The
    attributes of a film have the length 1 together, so that one with many genres is not similar to everything.

    Attributes:
        table: the attributes of the films.
    """

    def __init__(self, table: AttributeTable) -> None:
        """Index the attributes of films."""
        n_movies = len(table)
        n_with = np.bincount(table.codes, minlength=table.n_attributes)
        importance = np.sqrt(np.log1p(n_movies / np.maximum(n_with, 1)))
        values = table.weights * importance[table.codes]
        rows = np.repeat(np.arange(n_movies, dtype=np.int32), np.diff(table.starts))
        lengths = np.sqrt(np.bincount(rows, values**2, minlength=n_movies))
        order = np.argsort(table.codes, kind="stable")
        self.table = table
        of_rows = lengths[rows]
        self._values = np.divide(values, of_rows, out=np.zeros_like(values), where=of_rows > 0).astype(np.float32)
        self._movies, self._by_attribute = rows[order], self._values[order]
        self._starts = np.concatenate(([0], np.cumsum(n_with)))

    @property
    def labels(self) -> LabelIndex:
        """The films by their labels, which shares the arrays of this."""
        codes = {kind: names for kind, names in self.table.attributes.items() if kind not in {GENRE, YEAR}}
        return LabelIndex(codes, self._starts, self._movies)

    def of(self, position: int) -> NDArray[np.float32]:
        """Return the cosine of a film with each film, shape (n_movies,), 0 to 1; 0 with all for one without any."""
        cosines = np.zeros(len(self.table), np.float32)
        for entry in range(self.table.starts[position], self.table.starts[position + 1]):
            code = self.table.codes[entry]
            having = slice(self._starts[code], self._starts[code + 1])
            cosines[self._movies[having]] += self._values[entry] * self._by_attribute[having]
        return np.minimum(cosines.round(COSINE_DIGITS), np.float32(1))

    def most_similar(
        self, position: int, popularity: NDArray[np.float32], top_n: int, is_wanted: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the films most similar to one and their cosines, (n,) each, above 0, at most ``top_n`` of them.

        Only movies of the mask ``is_wanted``, (n_movies,), are returned. Equally similar ones follow their
        ``popularity``, (n_movies,), then their position.
        """
        cosines = self.of(position)
        cosines[position] = 0
        cosines[~is_wanted] = 0
        similar = np.flatnonzero(cosines)
        best = similar[np.lexsort((-popularity[similar], -cosines[similar]))][:top_n]
        return best, cosines[best]

    def nearest(self, positions: NDArray[np.integer], is_known: NDArray[np.bool_]) -> NearestMovies:
        """Return the movies most similar to each of some, positions (m,), among those of a mask, (n_movies,).

        None of them is known itself. Movies with the same attributes have the same ones, sought once.
        """
        known = np.flatnonzero(is_known)
        n_nearest = min(N_NEAREST, len(known))
        nearest = np.zeros((len(positions), N_NEAREST), np.intp)
        weights = np.zeros((len(positions), N_NEAREST), np.float32)
        among, rows = _Known.of(self._movies, self._by_attribute, self._starts, known, is_known), dict[bytes, int]()
        for row, position in enumerate(positions.tolist()):
            entries = slice(self.table.starts[position], self.table.starts[position + 1])
            codes, values = self.table.codes[entries], self._values[entries]
            former = rows.setdefault(codes.tobytes() + values.tobytes(), row)
            if former != row:
                nearest[row], weights[row] = nearest[former], weights[former]
            elif len(known):
                cosines = among.cosines(codes, values)
                best = np.argpartition(cosines, len(known) - n_nearest)[len(known) - n_nearest :]
                best = best[np.lexsort((best, -cosines[best]))]
                powers = np.power(cosines[best], SHARPNESS, dtype=np.float64)
                nearest[row, :n_nearest], weights[row, :n_nearest] = known[best], powers / (powers.sum() or 1)
        return NearestMovies(nearest, weights)


@dataclass(frozen=True, slots=True)
class _Known:
    """The entries of the known movies by attribute.

    Attributes:
        n_movies: how many are known.
        movies: (n_entries,) the place of each entry's movie among the known ones.
        values: (n_entries,) float32.
        starts: (n_attributes + 1,) the first entry of each attribute.
    """

    n_movies: int
    movies: NDArray[np.int64]
    values: NDArray[np.float32]
    starts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        movies: NDArray[np.int32],
        values: NDArray[np.float32],
        starts: NDArray[np.int64],
        known: NDArray[np.int64],
        is_known: NDArray[np.bool_],
    ) -> "_Known":
        """Return the entries of the known movies among all entries by attribute."""
        place_of = np.cumsum(is_known) - 1
        of_known = is_known[movies]
        n_before = np.concatenate(([0], np.cumsum(of_known)))
        return cls(len(known), place_of[movies[of_known]], values[of_known], n_before[starts])

    def cosines(self, codes: NDArray[np.int32], values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of a movie with these attributes with each known one, shape (n_known,)."""
        cosines = np.zeros(self.n_movies, np.float32)
        for code, value in zip(codes.tolist(), values.tolist(), strict=True):
            having = slice(self.starts[code], self.starts[code + 1])
            cosines[self.movies[having]] += np.float32(value) * self.values[having]
        return cosines

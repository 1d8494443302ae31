"""Similarity of films by their attributes: the cosine of weighted attributes (Salton and Buckley 1988)."""

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.movies.attributes import AttributeTable

COSINE_DIGITS = 5
"""Cosines are rounded, so that films with the same attributes are equally similar whatever the order of the sums."""


class MovieSimilarity:
    """The similarity of films.

    An attribute counts by the root of log(1 + n / n_with): a genre that half of the films have says little. The
    attributes of a film have the length 1 together, so that one with many genres is not similar to everything.
    """

    def __init__(self, table: AttributeTable) -> None:
        """Index the attributes of films."""
        n_movies = len(table)
        n_with = np.bincount(table.codes, minlength=len(table.attributes))
        importance = np.sqrt(np.log1p(n_movies / np.maximum(n_with, 1)))
        values = table.weights * importance[table.codes]
        rows = np.repeat(np.arange(n_movies, dtype=np.int32), np.diff(table.starts))
        lengths = np.sqrt(np.bincount(rows, values**2, minlength=n_movies))
        order = np.argsort(table.codes, kind="stable")
        self._table = table
        self._values = (values / lengths[rows]).astype(np.float32)
        self._movies, self._by_attribute = rows[order], self._values[order]
        self._starts = np.concatenate(([0], np.cumsum(n_with)))

    def of(self, position: int) -> NDArray[np.float32]:
        """Return the cosine of a film with each film, shape (n_movies,), 0 to 1; 0 with all for one without any."""
        cosines = np.zeros(len(self._table), np.float32)
        for entry in range(self._table.starts[position], self._table.starts[position + 1]):
            code = self._table.codes[entry]
            having = slice(self._starts[code], self._starts[code + 1])
            cosines[self._movies[having]] += self._values[entry] * self._by_attribute[having]
        return np.minimum(cosines.round(COSINE_DIGITS), np.float32(1))

    def most_similar(
        self, position: int, popularity: NDArray[np.float32], top_n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the films most similar to one and their cosines, (n,) each, above 0, at most ``top_n`` of them.

        Equally similar films follow their ``popularity``, (n_movies,), then their position.
        """
        cosines = self.of(position)
        cosines[position] = 0
        similar = np.flatnonzero(cosines)
        best = similar[np.lexsort((-popularity[similar], -cosines[similar]))][:top_n]
        return best, cosines[best]

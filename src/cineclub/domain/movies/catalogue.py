"""The catalogue: every movie that there is, with the indexes by which it is searched, filtered and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.movies.attributes import AttributeTable
from cineclub.domain.movies.similarity import MovieSimilarity
from cineclub.domain.ratings.log import Movie
from cineclub.domain.ratings.title_search import TitleSearch
from cineclub.domain.ratings.vocabulary import Vocabulary

Popularity = Sequence[tuple[int, float]]
"""Rated movies by internal id with their damped popularity, most popular first."""


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Every movie with its indexes, by rising internal id; compared by identity.

    Attributes:
        movies: (n_movies,) in the order of ``vocabulary``, ``search`` and ``similarity``.
        vocabulary: their index.
        search: the search of their titles.
        similarity: by their attributes.
        positions: those of the movies, by internal id.
        popularity: (n_movies,) damped, over all time.
    """

    movies: Sequence[Movie]
    vocabulary: Vocabulary
    search: TitleSearch = field(repr=False)
    similarity: MovieSimilarity = field(repr=False)
    positions: Mapping[int, int]
    popularity: NDArray[np.float32]

    @classmethod
    def of(cls, movies: Sequence[Movie], popularity: Sequence[float]) -> "Catalogue":
        """Return movies by rising internal id with their indexes; ``popularity`` is theirs, in their order."""
        scores = np.array(popularity, np.float32)
        search = TitleSearch([movie.title for movie in movies], scores)
        similarity = MovieSimilarity(AttributeTable.of(movies))
        positions = {movie.movie_id: position for position, movie in enumerate(movies)}
        vocabulary = Vocabulary.of(movies, similarity.labels)
        return cls(movies, vocabulary, search, similarity, positions, scores)

    def with_popularity(self, popularity: Sequence[float]) -> "Catalogue":
        """Return the same movies, the very same objects, with another popularity, in their order."""
        scores = np.array(popularity, np.float32)
        return replace(self, search=self.search.with_popularity(scores), popularity=scores)

    def with_changes(self, changes: Mapping[int, Movie | None]) -> "Catalogue":
        """Return the catalogue after a few movies changed, by internal id, None for one that is gone."""
        by_id = {
            movie_id: (self.movies[row], row) for movie_id, row in self.positions.items() if movie_id not in changes
        }
        by_id |= {movie_id: (movie, -1) for movie_id, movie in changes.items() if movie is not None}
        in_order = [by_id[movie_id] for movie_id in sorted(by_id)]
        movies, rows = [movie for movie, _ in in_order], np.array([row for _, row in in_order], np.int64)
        popularity = np.zeros(len(movies), np.float32)
        popularity[rows >= 0] = self.popularity[rows[rows >= 0]]
        positions = {movie.movie_id: position for position, movie in enumerate(movies)}
        for movie_id in changes.keys() & self.positions.keys() & positions.keys():
            popularity[positions[movie_id]] = self.popularity[self.positions[movie_id]]
        changed = [movie for movie, row in in_order if row < 0]
        similarity = MovieSimilarity(self.similarity.table.with_changes(rows, changed))
        return Catalogue(
            movies,
            Vocabulary.of(movies, similarity.labels),
            self.search.with_changes(rows, [movie.title for movie in changed], popularity),
            similarity,
            positions,
            popularity,
        )

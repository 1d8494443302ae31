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
        """Return the catalogue after some movies changed, by internal id, None for one that is gone."""
        popularity = dict(zip(self.positions, self.popularity.tolist(), strict=True))
        by_id = {movie.movie_id: movie for movie in self.movies if movie.movie_id not in changes}
        by_id |= {movie_id: movie for movie_id, movie in changes.items() if movie is not None}
        movies = [by_id[movie_id] for movie_id in sorted(by_id)]
        return Catalogue.of(movies, [popularity.get(movie.movie_id, 0.0) for movie in movies])

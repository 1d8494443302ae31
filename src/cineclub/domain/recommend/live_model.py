"""A fitted model with the movies of its vocabulary and of the catalogue, ready to recommend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.movies.similarity import NearestMovies
from cineclub.domain.ratings.crowd import CrowdCounts, positions_in
from cineclub.domain.ratings.log import Movie
from cineclub.domain.ratings.vocabulary import Vocabulary
from cineclub.domain.recommend.cold_start import MovieScores
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recommender import FittedModel, FollowsContext, LearnsSome, PredictsStars
from cineclub.domain.recommend.trends import Trend, fresh_trend
from cineclub.domain.recommend.unlearned import LatestNewness, UnlearnedMovies

if TYPE_CHECKING:  # it needs a library that a version outside of cineclub does without
    from cineclub.domain.movies.catalogue import Catalogue

MOST_CHANGED = 0.1
"""If more of the movies changed, the most similar ones are sought again for all that are not learned: the weight of an
attribute has changed too."""


class LatestContext:
    """The context of the crowd's newest counts in the order of one vocabulary, made once for all requests."""

    def __init__(self, movie_ids: NDArray[np.int64]) -> None:
        """Start without counts."""
        self._movie_ids = movie_ids
        self._latest: tuple[CrowdCounts, Context] | None = None

    def of(self, crowd: CrowdCounts) -> Context:
        """Return the context of some counts."""
        latest = self._latest
        if latest is None or latest[0] is not crowd:
            self._latest = latest = crowd, Context.of(crowd, self._movie_ids)
        return latest[1]


class LatestTrend:
    """The trend of fresh lists by the crowd's newest counts in the order of one vocabulary, made once for all."""

    def __init__(self, movie_ids: NDArray[np.int64], popularity: NDArray[np.float32]) -> None:
        """Start without counts."""
        self._movie_ids, self._popularity = movie_ids, popularity
        self._latest: tuple[CrowdCounts | None, Trend] = None, Trend.unknown(self._popularity)

    def of(self, crowd: CrowdCounts | None) -> Trend:
        """Return the trend of these counts; that of the popularity without counts."""
        latest = self._latest
        if latest[0] is not crowd:
            self._latest = latest = crowd, fresh_trend(crowd, self._movie_ids, self._popularity)
        return latest[1]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LiveModel:
    """A model in memory; compared by identity.

    Attributes:
        version: its number in the registry.
        fitted: the model.
        movies: (n_movies,) those of its own vocabulary in its order, then those of the catalogue that it lacks.
        movie_ids: (n_movies,) their internal ids.
        vocabulary: their index.
        withdrawn: (n,) positions of movies that are not to be recommended.
        unlearned: the movies that the model has not learned.
        stars: the model if it predicts ratings, else None.
        latest_trend: the trend made last.
        latest_newness: the newness made last.
        latest_context: the context made last; None if the model follows none.
        catalogue: the catalogue that the movies are of; None for those that are stored with the model.
    """

    version: int
    fitted: FittedModel
    movies: Sequence[Movie]
    movie_ids: NDArray[np.int64]
    vocabulary: Vocabulary
    withdrawn: NDArray[np.int64]
    unlearned: UnlearnedMovies
    stars: PredictsStars | None
    latest_trend: LatestTrend
    latest_newness: LatestNewness
    latest_context: LatestContext | None = None
    catalogue: "Catalogue | None" = None

    @classmethod
    def of(cls, version: int, fitted: FittedModel, movies: Mapping[int, Movie]) -> "LiveModel":
        """Return a model with its movies, given by internal id, indexed; takes a moment with many movies."""
        in_order = tuple(movies[movie_id] for movie_id in fitted.movie_ids.tolist())
        stars = fitted.recommender if isinstance(fitted.recommender, PredictsStars) else None
        follows = isinstance(fitted.recommender, FollowsContext) and fitted.recommender.follows_context
        vocabulary, none = Vocabulary.of(in_order), np.empty(0, np.int64)
        return cls(
            version=version,
            fitted=fitted,
            movies=in_order,
            movie_ids=fitted.movie_ids,
            vocabulary=vocabulary,
            withdrawn=np.flatnonzero([not movie.is_available for movie in in_order]),
            unlearned=UnlearnedMovies.none(),
            stars=stars,
            latest_trend=LatestTrend(fitted.movie_ids, fitted.popularity),
            latest_newness=LatestNewness(vocabulary.years, fitted.movie_ids, none),
            latest_context=LatestContext(fitted.movie_ids) if follows else None,
        )

    def within(self, catalogue: "Catalogue") -> "LiveModel":
        """Return the model with the present movies of a catalogue; takes some seconds with many movies.

        Movies that the catalogue has lost are withdrawn, and its other available movies are unlearned.
        """
        own_ids = self.fitted.movie_ids
        known_ids = set(own_ids.tolist())
        others = [movie for movie in catalogue.movies if movie.is_available and movie.movie_id not in known_ids]
        own = [
            catalogue.movies[catalogue.positions[movie.movie_id]] if movie.movie_id in catalogue.positions else movie
            for movie in self.movies[: len(own_ids)]
        ]
        movies = (*own, *others)
        movie_ids = np.array([movie.movie_id for movie in movies], np.int64)
        is_listed = [movie.is_available and movie.movie_id in catalogue.positions for movie in movies]
        lowest = self.fitted.popularity.min(initial=0.0)
        popularity = np.concatenate([self.fitted.popularity, np.full(len(others), lowest, np.float32)])
        vocabulary = Vocabulary.of(movies, catalogue.vocabulary.labels().at(_places(catalogue, movie_ids)))
        unlearned = self._unlearned(catalogue, movies)
        return replace(
            self,
            movies=movies,
            movie_ids=movie_ids,
            vocabulary=vocabulary,
            withdrawn=np.flatnonzero(~np.array(is_listed, np.bool_)),
            unlearned=unlearned,
            latest_trend=LatestTrend(movie_ids, popularity),
            latest_newness=LatestNewness(vocabulary.years, movie_ids, unlearned.positions),
            catalogue=catalogue,
        )

    def has_movies_of(self, catalogue: "Catalogue") -> bool:
        """Return whether the movies are those of a catalogue."""
        return self.catalogue is not None and self.catalogue.movies is catalogue.movies

    def context_in(self, crowd: CrowdCounts | None) -> Context | None:
        """Return the context of the crowd's counts; None for the one frozen with the model, or if it follows none."""
        return None if crowd is None or self.latest_context is None else self.latest_context.of(crowd)

    @property
    def follows_crowd(self) -> bool:
        """Whether lists follow the crowd's counts: by the context of the model, or by the newness of movies."""
        return self.latest_context is not None or len(self.unlearned.positions) > 0

    def seen_positions(self, scores: MovieScores, movie_ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the positions of the rated movies, (n,) internal ids, of which ``scores`` knows those of the model."""
        own = scores.history.movie_indices
        n_own = len(self.fitted.movie_ids)
        if len(self.movie_ids) == n_own:
            return own
        positions, is_there = positions_in(self.movie_ids[n_own:], movie_ids)
        return np.concatenate([own, (positions[is_there] + n_own).astype(np.int32)])

    def _unlearned(self, catalogue: "Catalogue", movies: Sequence[Movie]) -> UnlearnedMovies:
        """Return the movies, of those that begin with the model's own, that the model has not learned."""
        recommender, n_own = self.fitted.recommender, len(self.fitted.movie_ids)
        if not recommender.is_personal:
            return UnlearnedMovies.none()
        is_learned = np.arange(len(movies)) < n_own
        if isinstance(recommender, LearnsSome):
            is_learned[:n_own] = recommender.is_learned
        in_catalogue = np.array([catalogue.positions.get(movie.movie_id, -1) for movie in movies], np.int64)
        positions = np.flatnonzero(~is_learned & (in_catalogue >= 0))
        known = np.flatnonzero(is_learned & (in_catalogue >= 0))
        former = self._former_rows(movies, positions)
        is_new = former < 0
        place_of, is_known = np.zeros(len(catalogue.movies), np.intp), np.zeros(len(catalogue.movies), np.bool_)
        place_of[in_catalogue[known]], is_known[in_catalogue[known]] = known, True
        of_new = catalogue.similarity.nearest(in_catalogue[positions[is_new]], is_known)
        nearest = NearestMovies(place_of[of_new.positions], of_new.weights)
        if not is_new.all():
            nearest = self.unlearned.nearest.with_changes(former, nearest)
        return UnlearnedMovies.of(positions, nearest, in_catalogue[positions])

    def _former_rows(self, movies: Sequence[Movie], positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows here of the unlearned movies at some positions, (m,), -1 where the similar ones are unknown.

        They are if the movie is new or has changed, or one of the most similar ones has; and all if many have.
        """
        rows = np.full(len(positions), -1, np.int64)
        if self.catalogue is None or not len(self.unlearned.positions):
            return rows
        own = range(len(self.fitted.movie_ids))
        has_changed = np.array([not _is_alike(self.movies[at], movies[at]) for at in own], np.bool_)
        row_of = {self.movies[at].movie_id: (row, at) for row, at in enumerate(self.unlearned.positions.tolist())}
        for nth, position in enumerate(positions.tolist()):
            row, at = row_of.get(movies[position].movie_id, (-1, -1))
            if row >= 0 and _is_alike(self.movies[at], movies[position]):
                rows[nth] = row
        is_used = self.unlearned.nearest.weights[rows] > 0
        rows[(has_changed[self.unlearned.nearest.positions[rows]] & is_used).any(axis=1)] = -1
        n_changed = int(has_changed.sum()) + int(np.count_nonzero(rows < 0))
        if n_changed > MOST_CHANGED * (len(has_changed) + len(positions)):
            rows[:] = -1
        return rows


def _is_alike(movie: Movie, other: Movie) -> bool:
    """Return whether two states of a movie have the same attributes."""
    return movie is other or (movie.labels, movie.genres, movie.year) == (other.labels, other.genres, other.year)


def _places(catalogue: "Catalogue", movie_ids: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the place of each movie of a catalogue, (n_movies,), among some by internal id, (m,); -1 for none."""
    places = np.full(len(catalogue.movies), -1, np.int32)
    for place, movie_id in enumerate(movie_ids.tolist()):
        if (position := catalogue.positions.get(movie_id)) is not None:
            places[position] = place
    return places

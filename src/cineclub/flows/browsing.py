"""Browsing: movies by title, movies similar to another, popular movies, and the ratings of a user."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import NotEnoughData, StorageUnavailable, no_such_movie
from cineclub.domain.movies.catalogue import Catalogue, Popularity
from cineclub.domain.ratings.crowd import HALF_LIVES_DAYS, CrowdCounts
from cineclub.domain.ratings.log import EPOCH, Movie, UserRatings
from cineclub.domain.recommend.cold_start import Strategy
from cineclub.domain.recommend.filters import NO_FILTERS, Filters
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommend import recommend, recommend_similar
from cineclub.domain.recommend.recommendations import Recommendation, SimilarTo
from cineclub.domain.recommend.records import PopularMovie
from cineclub.domain.recommend.request import RecommendationRequest
from cineclub.domain.recommend.trends import likes_of_days, trend_scores

NOTHING_SEEN = np.empty(0, np.int32)
MAX_TRENDS = 6
"""The trends in memory, of different days; each holds 12 bytes a movie."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Movies of a catalogue by falling score; both (n,)."""

    positions: NDArray[np.int64]
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, catalogue: Catalogue, crowd: CrowdCounts, days: int) -> "Trend":
        """Return the liked movies of a catalogue by their decayed likes, most first."""
        likes = likes_of_days(crowd.aligned(np.fromiter(catalogue.positions, np.int64)), days)
        scores = trend_scores(likes, catalogue.popularity)
        liked = np.flatnonzero(likes > 0)
        order = liked[np.argsort(-scores[liked], kind="stable")]
        return cls(order, scores[order])


@dataclass(frozen=True, slots=True)
class _Trends:
    """The trends of one catalogue by the same counts, by days."""

    catalogue: Catalogue
    crowd: CrowdCounts
    by_days: dict[int, Trend] = field(default_factory=dict)


SimilarStrategy = Literal[Strategy, "attributes"]
"""The origin of similar movies: the model, their genres and years, or neither."""


@dataclass(frozen=True, slots=True)
class SimilarMovies:
    """Movies similar to another, best first.

    ``strategy`` is attributes if the model has learned nothing of the movie, and popular if nothing is known of it.
    """

    movie: Movie
    strategy: SimilarStrategy
    model_name: str
    model_version: int
    movies: tuple[Recommendation, ...]


@dataclass(frozen=True, slots=True)
class RatedMovie:
    """A movie that a user has rated."""

    movie: Movie
    rating: float
    rated_at: datetime


@dataclass(frozen=True, slots=True)
class CatalogueQueries:
    """Queries on the catalogue and its ratings; each raises ``StorageUnavailable`` while PostgreSQL is away.

    Attributes:
        catalogue: returns the catalogue, its popularity at most a minute old.
        last_catalogue: returns the one that was read last; None before the first.
        texts_of: returns movies by internal id, with their overviews.
        popularity: returns the popularity by the ratings of the last days, or of all time.
        ratings_of: returns the ratings of a user, oldest first.
    """

    catalogue: Callable[[], Awaitable[Catalogue]]
    last_catalogue: Callable[[], Catalogue | None]
    texts_of: Callable[[Sequence[int]], Awaitable[Mapping[int, Movie]]]
    popularity: Callable[[int | None], Awaitable[Popularity]]
    ratings_of: Callable[[str], Awaitable[UserRatings]]


class BrowsingFlow:
    """Movies, and what is known of them.

    While PostgreSQL is away, ``search``, ``movie`` and ``popular`` by the crowd's counts use the last catalogue, else
    the movies of the model in memory. Otherwise, and where neither is in memory, methods raise ``StorageUnavailable``.
    """

    def __init__(
        self,
        queries: CatalogueQueries,
        load_model: Callable[[], LiveModel | None],
        crowd: Callable[[], CrowdCounts | None] = lambda: None,
    ) -> None:
        """Take the queries, and functions that return the model in production and the crowd's counts, if known."""
        self._queries = queries
        self._load_model = load_model
        self._crowd = crowd
        self._trends: _Trends | None = None
        self._of_model: tuple[LiveModel, Catalogue] | None = None

    async def search(self, text: str, limit: int, filters: Filters = NO_FILTERS) -> list[Movie]:
        """Return the movies whose titles are most like a text, best first.

        Raises:
            InvalidInput: no movie has a genre or label of the filters.
        """
        catalogue = await self._catalogue()
        excluded = filters.excluded(catalogue.vocabulary, NOTHING_SEEN)
        positions = await asyncio.to_thread(catalogue.search.best, text, limit, excluded)
        return [catalogue.movies[position] for position in positions]

    async def movie(self, movie_id: str) -> Movie:
        """Return a movie by the caller's id, with its overview unless PostgreSQL is away.

        Raises:
            NotFound: there is no such movie.
        """
        movie = await self._in_catalogue(movie_id)
        try:
            return (await self._queries.texts_of([movie.movie_id])).get(movie.movie_id, movie)
        except StorageUnavailable:
            return movie

    async def stored(self, external_id: str, movie_ids: Sequence[int]) -> Movie:
        """Return a movie that was just written, with its overview, as PostgreSQL has it now.

        Raises:
            NotFound: it has been deleted since.
        """
        movies = await self._queries.texts_of(movie_ids)
        if not movies:
            raise no_such_movie(external_id)
        return next(iter(movies.values()))

    async def _in_catalogue(self, movie_id: str) -> Movie:
        """Return a movie of the catalogue by the caller's id, or raise ``NotFound``."""
        catalogue = await self._catalogue()
        position = catalogue.vocabulary.by_external_id.get(movie_id)
        if position is None:
            raise no_such_movie(movie_id)
        return catalogue.movies[position]

    async def similar(self, movie_id: str, limit: int, filters: Filters = NO_FILTERS) -> SimilarMovies:
        """Return the movies that the model recommends for this movie alone, rated today with the highest rating.

        For a movie of which the model has learned nothing they are those most similar by attributes, and the
        popular ones for a movie of which none is known.

        Raises:
            NotFound: there is no such movie.
            NotEnoughData: no model is in production.
            InvalidInput: no movie has a genre or label of the filters.
        """
        model = self._load_model()
        if model is None:
            message = "no model is in production yet: start a training with POST /training/"
            raise NotEnoughData(message)
        position, name = model.vocabulary.by_external_id.get(movie_id), model.fitted.recipe.model
        if position is not None and position < len(model.fitted.movie_ids):
            learned = recommend_similar(model, position, limit, filters)
            if learned.strategy == "model":
                movie = model.movies[position]
                return SimilarMovies(movie, "model", name, model.version, learned.recommendations)
        movie, by_attributes = await self._similar_by_attributes(movie_id, limit, filters)
        if by_attributes:
            return SimilarMovies(movie, "attributes", name, model.version, by_attributes)
        request = RecommendationRequest(limit, filters=replace(filters, exclude_movie_ids=(movie_id,)))
        popular = recommend(model, request, UserRatings.none())
        return SimilarMovies(movie, "popular", name, model.version, popular.recommendations)

    async def _similar_by_attributes(
        self, movie_id: str, limit: int, filters: Filters
    ) -> tuple[Movie, tuple[Recommendation, ...]]:
        """Return a movie by the caller's id, and those that are most similar to it by attributes.

        Raises:
            NotFound: there is no such movie.
        """
        movie, catalogue = await self._in_catalogue(movie_id), await self._catalogue()
        position = catalogue.positions.get(movie.movie_id)
        if position is None:  # the catalogue was read again meanwhile, without the movie
            return movie, ()
        best, cosines = await asyncio.to_thread(
            catalogue.similarity.most_similar,
            position,
            catalogue.popularity,
            limit,
            _may_be_recommended(catalogue, filters),
        )
        scored = enumerate(zip(best.tolist(), cosines.tolist(), strict=True), start=1)
        return movie, tuple(
            Recommendation(rank, catalogue.movies[at], cosine, similar_to=SimilarTo.of(catalogue.movies[at], movie))
            for rank, (at, cosine) in scored
        )

    async def popular(self, window_days: int | None, filters: Filters, limit: int) -> list[PopularMovie]:
        """Return the most popular movies of the last days, or of all time.

        Up to the longest half-life of the crowd's counts, ``window_days`` is the half-life of the likes, so that the
        list is that of the model ``popular(half_life_days)``. For more days, and while nothing is counted yet, it is
        the number of days before the newest rating whose ratings count.

        Raises:
            InvalidInput: no movie has a genre or label of the filters.
        """
        crowd = self._crowd()
        if window_days is None or window_days > HALF_LIVES_DAYS[-1] or crowd is None:
            popularity = await self._queries.popularity(window_days)
            catalogue = await self._catalogue()
            positions = catalogue.positions
            scored = ((positions[movie_id], score) for movie_id, score in popularity if movie_id in positions)
        else:
            catalogue = await self._catalogue()
            trend = await self._trend(catalogue, crowd, window_days)
            scored = ((int(at), float(score)) for at, score in zip(trend.positions, trend.scores, strict=True))
        may_be_recommended = _may_be_recommended(catalogue, filters)
        movies = (PopularMovie(catalogue.movies[at], score) for at, score in scored if may_be_recommended[at])
        return list(islice(movies, limit))

    async def _trend(self, catalogue: Catalogue, crowd: CrowdCounts, days: int) -> Trend:
        """Return the movies of a catalogue by their likes of some days, made once while neither changes."""
        if self._trends is None or self._trends.catalogue is not catalogue or self._trends.crowd is not crowd:
            self._trends = _Trends(catalogue, crowd)
        by_days = self._trends.by_days
        if days not in by_days:
            if len(by_days) >= MAX_TRENDS:
                del by_days[next(iter(by_days))]
            by_days[days] = await asyncio.to_thread(Trend.of, catalogue, crowd, days)
        return by_days[days]

    async def ratings_of(self, user_id: str, limit: int) -> list[RatedMovie]:
        """Return the ratings of a user, newest first; an empty list for an unknown user."""
        ratings = await self._queries.ratings_of(user_id)
        newest = slice(None, -limit - 1, -1)
        texts = await self._queries.texts_of(ratings.movie_ids[newest].tolist())
        rows = zip(ratings.movie_ids[newest], ratings.ratings[newest], ratings.rated_at[newest], strict=True)
        return [
            RatedMovie(texts[int(movie_id)], float(rating), EPOCH + timedelta(microseconds=int(rated_at)))
            for movie_id, rating, rated_at in rows
            if int(movie_id) in texts
        ]

    async def _catalogue(self) -> Catalogue:
        """Return the catalogue; while PostgreSQL is away the last one, or else the movies of the model in memory."""
        try:
            return await self._queries.catalogue()
        except StorageUnavailable:
            if (last := self._queries.last_catalogue()) is not None:
                return last
            if (model := self._load_model()) is None:
                raise
            if self._of_model is None or self._of_model[0] is not model:
                popularity = model.fitted.popularity.tolist()
                self._of_model = model, await asyncio.to_thread(Catalogue.of, list(model.movies), popularity)
            return self._of_model[1]


def _may_be_recommended(catalogue: Catalogue, filters: Filters) -> NDArray[np.bool_]:
    """Return whether each movie of a catalogue, shape (n_movies,), is available and meets the filters."""
    excluded = replace(filters, available=True).excluded(catalogue.vocabulary, NOTHING_SEEN)
    may_be_recommended = np.ones(len(catalogue.movies), np.bool_)
    may_be_recommended[excluded] = False
    return may_be_recommended

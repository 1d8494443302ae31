"""Looking at the catalogue: films by what people type, films like another, popular films, what somebody has rated."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import numpy as np

from cineclub.domain.choice import Choice
from cineclub.domain.cold_start import Strategy, answer
from cineclub.domain.errors import NotEnoughData, NotFound, StorageUnavailable
from cineclub.domain.films import FilmIndex
from cineclub.domain.ranking import rank_movies
from cineclub.domain.ratings import EPOCH, Movie, UserRatings
from cineclub.domain.title_search import TitleSearch
from cineclub.ports import FilmReader, HistoryReader, LiveModel, LiveModels, PopularMovie

CATALOGUE_FRESH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every film with what it takes to find it; ``movies`` in the order of ``films`` and ``search``."""

    movies: Sequence[Movie]
    films: FilmIndex
    search: TitleSearch


@dataclass(frozen=True, slots=True)
class SimilarMovies:
    """Films like another, best first with their scores; ``strategy`` is popular if the model knows nothing like it."""

    movie: Movie
    strategy: Strategy
    model_name: str
    model_version: int
    movies: tuple[PopularMovie, ...]


@dataclass(frozen=True, slots=True)
class RatedMovie:
    """A film that somebody has rated."""

    movie: Movie
    rating: float
    rated_at: datetime


class BrowsingFlow:
    """Answers questions about films; the catalogue is kept in memory and read again each minute that it is used."""

    def __init__(
        self,
        films: FilmReader,
        histories: HistoryReader,
        models: LiveModels,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        """Take where films and ratings are read and which model answers."""
        self._films = films
        self._histories = histories
        self._models = models
        self._seconds = seconds
        self._catalogue: Catalogue | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def search(self, text: str, limit: int) -> list[Movie]:
        """Return the films whose titles are most like a text, best first.

        Raises:
            StorageUnavailable: PostgreSQL is away, and neither a catalogue nor a model is in memory.
        """
        catalogue = await self._known()
        found = await asyncio.to_thread(catalogue.search.best, text, limit)
        return [catalogue.movies[at] for at in found]

    async def movie(self, movie_id: str) -> Movie:
        """Return a film by the caller's id.

        Raises:
            NotFound: there is no such film.
            StorageUnavailable: PostgreSQL is away, and neither a catalogue nor a model is in memory.
        """
        catalogue = await self._known()
        at = catalogue.films.by_external_id.get(movie_id)
        if at is None:
            message = f"there is no film {movie_id[:100]} in the catalogue: GET /movies/?search= finds films by title"
            raise NotFound(message)
        return catalogue.movies[at]

    async def similar(self, movie_id: str, limit: int) -> SimilarMovies:
        """Return what the model recommends to somebody who has seen this film alone and liked it most.

        Raises:
            NotFound: there is no such film, or the model has not learned it yet.
            NotEnoughData: no model is in production.
        """
        live = self._models.current()
        if live is None:
            message = "no model is in production yet: start a training with POST /training/"
            raise NotEnoughData(message)
        at = live.films.by_external_id.get(movie_id)
        if at is None:
            await self.movie(movie_id)
            message = (
                f"the model has not learned film {movie_id[:100]} yet: it had too few ratings at the last training"
            )
            raise NotFound(message)
        return _similar(live, at, limit)

    async def popular(self, window_days: int | None, choice: Choice, limit: int) -> list[PopularMovie]:
        """Return the most popular films of the last days before the newest rating, or of all time.

        Raises:
            InvalidInput: no film has a genre that is asked for.
            StorageUnavailable: PostgreSQL does not answer.
        """
        counted = await self._films.popularity(window_days)
        catalogue = await self._known()
        places = {movie.movie_id: at for at, movie in enumerate(catalogue.movies)}
        left_out = set(choice.left_out(catalogue.films, np.empty(0, np.int32)).tolist())
        found = ((places[movie_id], score) for movie_id, score in counted if movie_id in places)
        chosen = [PopularMovie(catalogue.movies[at], score) for at, score in found if at not in left_out]
        return chosen[:limit]

    async def ratings_of(self, user_id: str, limit: int) -> list[RatedMovie]:
        """Return what a user has rated, newest first; an empty list for somebody unknown.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ratings = await self._histories.ratings_of(user_id)
        newest = slice(None, -limit - 1, -1)
        texts = await self._films.texts_of(ratings.movie_ids[newest].tolist())
        rows = zip(ratings.movie_ids[newest], ratings.ratings[newest], ratings.rated_at[newest], strict=True)
        return [
            RatedMovie(texts[int(movie_id)], float(rating), EPOCH + timedelta(microseconds=int(rated_at)))
            for movie_id, rating, rated_at in rows
            if int(movie_id) in texts
        ]

    async def _known(self) -> Catalogue:
        """Return the catalogue, read again if it is old; while that fails, the old one, or the model's films."""
        async with self._reading:
            if self._seconds() - self._read_at > CATALOGUE_FRESH_SECONDS:
                try:
                    await self._read()
                except StorageUnavailable:
                    if self._catalogue is None:
                        return await self._of_the_model()
            if self._catalogue is None:
                return await self._of_the_model()
            return self._catalogue

    async def _read(self) -> None:
        """Read every film, and index them beside the requests."""
        movies = await self._films.everything()
        scores = dict(await self._films.popularity(None))
        self._catalogue = await asyncio.to_thread(
            _catalogue_of, movies, [scores.get(one.movie_id, 0.0) for one in movies]
        )
        self._read_at = self._seconds()

    async def _of_the_model(self) -> Catalogue:
        """Return the films that the model in memory has learned."""
        live = self._models.current()
        if live is None:
            message = "PostgreSQL does not answer: run `cineclub doctor`, then try again"
            raise StorageUnavailable(message)
        movies = list(live.movies)
        return await asyncio.to_thread(_catalogue_of, movies, live.fitted.popularity.tolist())


def _catalogue_of(movies: Sequence[Movie], popularity: Sequence[float]) -> Catalogue:
    """Return films with their indexes; ``popularity`` is theirs, in their order."""
    search = TitleSearch([one.title for one in movies], np.array(popularity, np.float32))
    return Catalogue(movies, FilmIndex.of(movies), search)


def _similar(live: LiveModel, at: int, limit: int) -> SimilarMovies:
    """Return the films like the one at a position of the vocabulary."""
    fitted = live.fitted
    liked = UserRatings(
        fitted.movie_ids[at : at + 1], np.array([fitted.scale.highest], np.float32), np.zeros(1, np.int64)
    )
    reply = answer(fitted, liked)
    best = rank_movies(reply.scores, reply.history.movie_indices, limit).tolist()
    listed = tuple(PopularMovie(live.movies[one], float(reply.scores[one])) for one in best)
    return SimilarMovies(live.movies[at], reply.strategy, fitted.recipe.model, live.version, listed)

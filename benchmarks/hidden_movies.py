"""Ratings of which the films are known, with a part of the films hidden from everything that learns."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cineclub.adapters.files import demo_source, open_source
from cineclub.domain.movies.similarity import MovieSimilarity, NearestMovies
from cineclub.domain.ratings.log import EPOCH, Movie, RatingLog
from cineclub.domain.ratings.vocabulary import UNKNOWN_YEAR
from cineclub.domain.recommend.recommender import History
from rating_sets import HALF_STARS

DEMO = "the demo"
HIDDEN_PART, MIN_RATINGS, NEWEST_PART = 0.1, 5, 0.2
MAX_LIKES_OF_PERSON = 20
YEAR = 365.25 * 86_400e6


@dataclass(frozen=True, slots=True)
class RatedMovies:
    """Ratings with their movies, whose ids are their positions.

    Attributes:
        name: of the set.
        log: the ratings.
        movies: in the order of their ids.
        years: (n_movies,) the year of each, ``UNKNOWN_YEAR`` where it is not known.
    """

    name: str
    log: RatingLog
    movies: tuple[Movie, ...]
    years: NDArray[np.int16]

    @classmethod
    def of(cls, folder: Path) -> "RatedMovies":
        """Read a folder of ratings, or the demo where it is absent."""
        source = open_source(folder) if folder.is_dir() else demo_source()
        imported = source.read(source.scale or HALF_STARS, lambda _fraction, _part: None)
        texts = {movie.external_id: movie for movie in imported.movies}
        names = dict.fromkeys((*imported.rows.movie_ids, *texts))
        movies = tuple(
            Movie(nth, name, movie.title, movie.year, movie.genres)
            if (movie := texts.get(name))
            else Movie(nth, name, name, None, ())
            for nth, name in enumerate(names)
        )
        years = np.array([UNKNOWN_YEAR if movie.year is None else movie.year for movie in movies], np.int16)
        return cls(folder.name if folder.is_dir() else DEMO, imported.rows.to_log(imported.scale), movies, years)


@dataclass(frozen=True, slots=True)
class Like:
    """A like to rank.

    Attributes:
        user_id: who liked.
        movie: the hidden movie.
        year: the moment, in years.
        history: the earlier ratings of movies that are not hidden, by id.
        candidates: (n,) rising ids of the hidden movies to rank it among.
    """

    user_id: int
    movie: int
    year: float
    history: History
    candidates: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draw:
    """Ratings with some movies hidden.

    Attributes:
        cut: the moment up to which models learn, microseconds since 1970-01-01 UTC.
        known: the ratings that they learn from.
        hidden: (n_hidden,) rising ids of the hidden movies.
        nearest: the known movies most similar to them.
        likes: those to rank.
    """

    cut: int
    known: RatingLog
    hidden: NDArray[np.int64]
    nearest: NearestMovies
    likes: list[Like]

    @classmethod
    def of(cls, rated: RatedMovies, similarity: MovieSimilarity, seed: int) -> "Draw":
        """Hide a tenth of the movies that have enough ratings."""
        log, n_movies = rated.log, len(rated.movies)
        enough = np.flatnonzero(np.bincount(log.movie_ids, minlength=n_movies) >= MIN_RATINGS)
        hidden = np.sort(np.random.default_rng(seed).choice(enough, int(HIDDEN_PART * len(enough)), replace=False))
        cut = int(np.quantile(log.rated_at, 1 - NEWEST_PART))
        is_hidden = np.isin(np.arange(n_movies), hidden)
        known = log.take(~is_hidden[log.movie_ids] & (log.rated_at < cut))
        known = known.within(np.flatnonzero(~is_hidden))
        among = np.bincount(known.movie_ids, minlength=n_movies) >= MIN_RATINGS
        return cls(cut, known, hidden, similarity.nearest(hidden, among), _likes_after(rated, is_hidden, cut))

    @property
    def year(self) -> float:
        """The moment up to which models learn, in years."""
        return year_of(self.cut)


def year_of(moment: int) -> float:
    """Return a moment, microseconds since 1970-01-01 UTC, in years."""
    return EPOCH.year + moment / YEAR


def _likes_after(rated: RatedMovies, is_hidden: NDArray[np.bool_], cut: int) -> list[Like]:
    """Return the likes of hidden movies after a time, by people who have rated another one before."""
    log, hidden, likes = rated.log, np.flatnonzero(is_hidden), list[Like]()
    bounds = np.flatnonzero(np.concatenate(([True], log.user_ids[1:] != log.user_ids[:-1], [True])))
    is_like = is_hidden[log.movie_ids] & (log.ratings >= log.scale.relevance_threshold) & (log.rated_at >= cut)
    for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = np.arange(first, end)
        for row in rows[is_like[rows]][:MAX_LIKES_OF_PERSON].tolist():
            before = rows[log.rated_at[rows] < log.rated_at[row]]
            others = before[~is_hidden[log.movie_ids[before]]]
            year = year_of(int(log.rated_at[row]))
            candidates = np.setdiff1d(hidden[rated.years[hidden] <= year], log.movie_ids[before])
            if len(others) and log.movie_ids[row] in candidates:
                history = History(log.movie_ids[others].astype(np.int32), log.ratings[others], log.rated_at[others])
                likes.append(Like(int(log.user_ids[row]), int(log.movie_ids[row]), year, history, candidates))
    return likes

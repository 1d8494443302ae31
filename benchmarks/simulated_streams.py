"""Weekly ratings of a simulated service: stable, growing, or with a fault in the last week."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.drift.statistics import DAY
from cineclub.domain.ratings.imported import ImportedRatings
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale

WEEK = 7 * DAY
SCALE = RatingScale(0.5, 5.0)
GENRES = (
    *("Drama", "Comedy", "Action", "Thriller", "Romance", "Adventure", "Crime", "Science Fiction", "Horror", "Fantasy"),
    *("Children", "Animation", "Mystery", "War", "Musical", "Documentary", "Western"),
)
GENRE_WEIGHTS = 1 / np.arange(1, len(GENRES) + 1) ** 0.8
BOT, BOT_MOVIES = 10_000_000, 5_000
OLD_PART, GONE_PART, LOST_PART = 0.8, 0.5, 0.8
"""How many films are there from the start; what goes of a genre; what goes in a collapse."""


@dataclass(frozen=True, slots=True)
class StreamShape:
    """Parameters of a simulated service.

    Attributes:
        n_users: active users of the first week.
        growth: weekly growth factor of their number.
        n_movies: films of the catalogue, some of which come out later.
        unrest: standard deviation of the usual weekly changes, of logarithms.
        n_weeks: number of weeks.
    """

    n_users: int = 400
    growth: float = 1.02
    n_movies: int = 8_000
    unrest: float = 0.08
    n_weeks: int = 79


@dataclass(frozen=True, slots=True)
class Stream:
    """Ratings in the order of arrival, with their films."""

    user_ids: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]
    movies: tuple[Movie, ...]
    scale: RatingScale = SCALE

    def log(self) -> RatingLog:
        """Return the ratings in canonical order; of repeated ratings of a film by a user the last."""
        key = self.user_ids * (len(self.movies) + 1) + self.movie_ids
        _, last = np.unique(key[::-1], return_index=True)
        rows = np.sort(len(key) - 1 - last)
        columns = (column[rows] for column in (self.user_ids, self.movie_ids, self.ratings, self.rated_at))
        return RatingLog.from_columns(*columns, self.scale)

    def of_week(self, week: int) -> NDArray[np.bool_]:
        """Return the mask, shape (n,), of the ratings of a week, counted from 0."""
        return (self.rated_at >= week * WEEK) & (self.rated_at < (week + 1) * WEEK)

    def until(self, week: int) -> "Stream":
        """Return the stream before a week."""
        return _selected(self, self.rated_at < week * WEEK)

    def has_genre(self, genre: str) -> NDArray[np.bool_]:
        """Return the mask, shape (n,), of the ratings of a genre's films."""
        return np.array([genre in movie.genres for movie in self.movies])[self.movie_ids]


Event = Callable[[Stream, int], Stream]
"""Returns a stream with something wrong in one of its weeks."""


def stream(shape: StreamShape, rng: np.random.Generator) -> Stream:
    """Return a steady service: users come, go and return, films come out, tastes differ."""
    movies = _movies(shape.n_movies, rng)
    quality = rng.normal(0, 0.4, shape.n_movies)
    pull = rng.permutation(1 / np.arange(10, shape.n_movies + 10) ** 0.9)
    released = np.where(rng.random(shape.n_movies) < OLD_PART, 0, rng.integers(0, shape.n_weeks, shape.n_movies))
    weeks = [_week(shape, nth, (quality, pull, released), rng) for nth in range(shape.n_weeks)]
    user_ids, movie_ids, ratings, times = (np.concatenate(column) for column in zip(*weeks, strict=True))
    order = np.argsort(times, kind="stable")
    return Stream(user_ids[order], movie_ids[order], ratings[order], times[order], movies)


def replayed(imported: ImportedRatings, n_weeks: int | None = None) -> Stream:
    """Return real ratings in order, from the first day on, or with equal numbers in each of ``n_weeks`` weeks.

    The latter is for ratings over many years, in which most weeks have a single user.
    """
    rows, texts = imported.rows, {movie.external_id: movie for movie in imported.movies}
    order = np.argsort(rows.rated_at, kind="stable")
    times = rows.rated_at[order] - int(rows.rated_at.min())
    if n_weeks is not None:
        times = np.arange(len(order), dtype=np.int64) * (n_weeks * WEEK) // len(order)
    known = [texts.get(movie_id) for movie_id in rows.movie_ids]
    movies = tuple(
        Movie(nth, name, movie.title, movie.year, movie.genres) if movie else Movie(nth, name, name, None, ())
        for nth, (name, movie) in enumerate(zip(rows.movie_ids, known, strict=True))
    )
    user_ids, movie_ids = rows.user_codes[order].astype(np.int64), rows.movie_codes[order].astype(np.int64)
    return Stream(user_ids, movie_ids, rows.ratings[order], times, movies, imported.scale)


def reversed_taste(stream: Stream, week: int, genre: str = "Horror") -> Stream:
    """Return a stream in which users' taste for a genre is reversed for a week."""
    is_hit = stream.of_week(week) & stream.has_genre(genre)
    turned = stream.scale.lowest + stream.scale.highest - stream.ratings
    return replace(stream, ratings=np.where(is_hit, turned, stream.ratings).astype(np.float32))


def halved_for_a_day(stream: Stream, week: int) -> Stream:
    """Return a stream in which a client sent halved ratings for a day."""
    begun = week * WEEK + 3 * DAY
    is_hit = (stream.rated_at >= begun) & (stream.rated_at < begun + DAY)
    halved = np.maximum(stream.ratings / 2, stream.scale.lowest)
    return replace(stream, ratings=np.where(is_hit, halved, stream.ratings).astype(np.float32))


def with_bot(stream: Stream, week: int) -> Stream:
    """Return a stream in which one account rates 5,000 films within a week."""
    rng = np.random.default_rng(week)
    n_movies = min(BOT_MOVIES, len(stream.movies))
    movies = rng.choice(len(stream.movies), n_movies, replace=False).astype(np.int64)
    times = np.sort(rng.integers(week * WEEK, (week + 1) * WEEK, n_movies))
    ratings = rng.choice(np.round(stream.scale.highest * np.array([0.6, 0.7, 0.8]) * 2) / 2, n_movies)
    return _joined(stream, np.full(n_movies, BOT), movies, ratings.astype(np.float32), times)


def other_genres(stream: Stream, week: int) -> Stream:
    """Return a stream without half of a week's dramas."""
    rng = np.random.default_rng(week)
    is_gone = stream.of_week(week) & stream.has_genre("Drama") & (rng.random(len(stream.ratings)) < GONE_PART)
    return _selected(stream, ~is_gone)


def collapsed(stream: Stream, week: int) -> Stream:
    """Return a stream without four of five ratings of a week."""
    is_gone = stream.of_week(week) & (np.random.default_rng(week).random(len(stream.ratings)) < LOST_PART)
    return _selected(stream, ~is_gone)


def emptied(stream: Stream, week: int) -> Stream:
    """Return a stream without the ratings of a week."""
    return _selected(stream, ~stream.of_week(week))


def _movies(n_movies: int, rng: np.random.Generator) -> tuple[Movie, ...]:
    """Return films with one to three genres and a year."""
    weights = GENRE_WEIGHTS / GENRE_WEIGHTS.sum()
    years = 2024 - rng.gamma(1.5, 14, n_movies).astype(int)
    return tuple(
        Movie(
            nth,
            str(nth),
            f"Film {nth}",
            int(years[nth]),
            tuple(rng.choice(GENRES, 1 + nth % 3, replace=False, p=weights).tolist()),
        )
        for nth in range(n_movies)
    )


def _week(
    shape: StreamShape,
    nth: int,
    movies: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Return users, films, ratings and times of one week."""
    quality, pull, released = movies
    n_users = max(1, int(rng.poisson(shape.n_users * shape.growth**nth * np.exp(rng.normal(0, shape.unrest)))))
    pool = int(4 * shape.n_users * shape.growth**nth)
    users = rng.choice(pool, min(n_users, pool), replace=False)
    n_each = np.minimum(1 + rng.negative_binomial(0.5, 0.05, len(users)), 300)
    who = np.repeat(users, n_each)
    weights = pull * (released <= nth) * np.exp(rng.normal(0, shape.unrest, len(pull)))
    weights *= np.where(released == nth, 3.0, 1.0)
    what = rng.choice(len(pull), len(who), p=weights / weights.sum())
    of_user = np.random.default_rng(7).normal(0, 0.35, pool)[who]
    raw = 3.6 + of_user + quality[what] + rng.normal(0, 0.8, len(who)) + rng.normal(0, shape.unrest / 4)
    ratings = np.clip(np.round(raw * 2) / 2, SCALE.lowest, SCALE.highest).astype(np.float32)
    return who.astype(np.int64), what.astype(np.int64), ratings, rng.integers(nth * WEEK, (nth + 1) * WEEK, len(who))


def _joined(
    stream: Stream,
    users: NDArray[np.int64],
    movies: NDArray[np.int64],
    ratings: NDArray[np.float32],
    times: NDArray[np.int64],
) -> Stream:
    """Return a stream with additional ratings."""
    all_times = np.concatenate([stream.rated_at, times])
    order = np.argsort(all_times, kind="stable")
    return replace(
        stream,
        user_ids=np.concatenate([stream.user_ids, users])[order],
        movie_ids=np.concatenate([stream.movie_ids, movies])[order],
        ratings=np.concatenate([stream.ratings, ratings])[order],
        rated_at=all_times[order],
    )


def _selected(stream: Stream, rows: NDArray[np.bool_]) -> Stream:
    """Return a stream with a selection of its ratings."""
    return replace(
        stream,
        user_ids=stream.user_ids[rows],
        movie_ids=stream.movie_ids[rows],
        ratings=stream.ratings[rows],
        rated_at=stream.rated_at[rows],
    )

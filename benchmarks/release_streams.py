"""Daily ratings of a simulated service that lives on new films, as MovieTweetings does, without a fault.

Films come out and fade within weeks, so that the mix of decades moves steadily and one film can get a sixth of a day's
ratings. Newcomers come in waves. Weekends are busier, and now and then everybody rates the same old film for a day.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.drift.statistics import DAY
from cineclub.domain.ratings.log import Movie, RatingScale
from simulated_streams import GENRE_WEIGHTS, GENRES, Stream

SCALE = RatingScale(1.0, 10.0)
YEAR = 2013
N_OLD_MOVIES, RELEASES_A_DAY = 5_000, 3
WEEKDAY_FACTORS = (0.85, 0.8, 0.8, 0.85, 1.1, 1.4, 1.3)


@dataclass(frozen=True, slots=True)
class ReleaseShape:
    """Parameters of a service that lives on new films.

    Attributes:
        n_ratings: mean number of ratings a day.
        n_days: number of days.
        fresh_share: share of the ratings for films of the last weeks on the first day; it grows by a quarter.
        half_life_days: in which the interest in a new film halves.
        wave_chance: of a day on which a wave of newcomers begins, and of one on which an old film is in fashion.
        unrest: standard deviation of the usual daily changes, of logarithms.
    """

    n_ratings: int = 1_000
    n_days: int = 60
    fresh_share: float = 0.5
    half_life_days: float = 6.0
    wave_chance: float = 0.05
    unrest: float = 0.1


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Films of the service: attributes, first day, and how many people they draw on it; quality on the scale."""

    movies: tuple[Movie, ...]
    released: NDArray[np.int64]
    draw: NDArray[np.float64]
    quality: NDArray[np.float64]


def release_stream(shape: ReleaseShape, rng: np.random.Generator) -> Stream:
    """Return the ratings of a service that lives on new films, day by day."""
    catalogue = _catalogue(shape, rng)
    days = _Days(shape, catalogue, rng)
    parts = [days.ratings_of(day) for day in range(shape.n_days)]
    users, movies, ratings, times = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(times, kind="stable")
    return Stream(users[order], movies[order], ratings[order], times[order], catalogue.movies, SCALE)


def _catalogue(shape: ReleaseShape, rng: np.random.Generator) -> Catalogue:
    """Return old films, and new ones that come out day by day; some of them before the first day."""
    past = round(4 * shape.half_life_days)
    n_new = RELEASES_A_DAY * (shape.n_days + past)
    n_movies = N_OLD_MOVIES + n_new
    years = np.append(YEAR - 1 - rng.gamma(1.2, 12, N_OLD_MOVIES).astype(int), np.full(n_new, YEAR))
    weights = GENRE_WEIGHTS / GENRE_WEIGHTS.sum()
    genres = [tuple(rng.choice(GENRES, 1 + nth % 3, replace=False, p=weights).tolist()) for nth in range(n_movies)]
    movies = tuple(Movie(nth, str(nth), f"Film {nth}", int(years[nth]), genres[nth]) for nth in range(n_movies))
    released = np.append(np.full(N_OLD_MOVIES, -(10**6)), np.repeat(np.arange(-past, shape.n_days), RELEASES_A_DAY))
    draw = np.append(rng.permutation(1 / np.arange(10, N_OLD_MOVIES + 10) ** 0.9), np.exp(rng.normal(0, 1.3, n_new)))
    return Catalogue(movies, released, draw, rng.normal(7.0, 0.8, n_movies))


class _Days:
    """The days of a service, one after the other: people who came once come back."""

    def __init__(self, shape: ReleaseShape, catalogue: Catalogue, rng: np.random.Generator) -> None:
        self._shape, self._catalogue, self._rng = shape, catalogue, rng
        self._n_people = 4 * shape.n_ratings
        self._bias = rng.normal(0, 0.9, 400 * shape.n_ratings)
        self._wave = 0.0

    def ratings_of(
        self, day: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        """Return users, films, ratings and times of a day."""
        shape, rng = self._shape, self._rng
        level = WEEKDAY_FACTORS[day % 7] * np.exp(rng.normal(0, shape.unrest))
        who = np.repeat(*self._people(int(shape.n_ratings * level / 1.7)))
        what = rng.choice(len(self._catalogue.draw), len(who), p=self._interest(day))
        raw = self._catalogue.quality[what] + self._bias[who] + rng.normal(0, 1.2, len(who))
        ratings = np.clip(np.round(raw), SCALE.lowest, SCALE.highest).astype(np.float32)
        return who, what.astype(np.int64), ratings, rng.integers(day * DAY, (day + 1) * DAY, len(who))

    def _people(self, n_people: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the people of a day and how many films each of them rates; some of them are new."""
        shape, rng = self._shape, self._rng
        self._wave = 1.0 if rng.random() < shape.wave_chance else self._wave / 3
        newcomers = 0.18 * np.exp(rng.normal(0, shape.unrest) + 0.6 * self._wave)
        n_new = rng.binomial(n_people, min(newcomers, 0.9))
        known = rng.choice(self._n_people, n_people - n_new, replace=False)
        people = np.append(known, np.arange(self._n_people, self._n_people + n_new))
        self._n_people += n_new
        return people.astype(np.int64), np.minimum(1 + rng.negative_binomial(0.15, 0.15, n_people), 60)

    def _interest(self, day: int) -> NDArray[np.float64]:
        """Return the probability of each film on a day."""
        shape, rng, catalogue = self._shape, self._rng, self._catalogue
        age = day - catalogue.released
        is_new = catalogue.released > -(10**6)
        weights = catalogue.draw * np.exp(rng.normal(0, shape.unrest, len(catalogue.draw)))
        weights *= np.where(is_new, np.where(age >= 0, 0.5 ** (age / shape.half_life_days), 0.0), 1.0)
        fresh = shape.fresh_share * (1 + 0.25 * day / shape.n_days)
        weights *= np.where(is_new, fresh / weights[is_new].sum(), (1 - fresh) / weights[~is_new].sum())
        if rng.random() < shape.wave_chance:
            weights[rng.integers(N_OLD_MOVIES)] += 0.08
        return np.asarray(weights / weights.sum(), np.float64)

"""Generated ratings similar to MovieLens 25M, reproducible by seed, cached in a file.

Films form clusters of similar taste, and short series within a cluster. A user's taste is a vector; the next film is
often of the series or cluster of the last one, else a popular film that suits the user. A rating is the sum of a mean,
two offsets, the product of two vectors and noise, rounded to half stars. So models of means, of tastes and of sequences
all have something to learn.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.threads import on_all_threads

VERSION = 1
"""Raised with every change of what is generated, so that a kept file never is an old one."""

FULL_RATINGS, FULL_USERS, FULL_MOVIES = 25_000_000, 162_000, 59_000
FEWEST_RATINGS, MEDIAN_EXCESS, SPREAD_OF_EXCESS = 20, 51.0, 1.39
"""Each person has 20 ratings and a log-normal number more: median 71, mean 154 in all."""

LARGEST_SHARE_RATED = 0.2
POPULARITY_EXPONENT, POPULARITY_KNEE = 2.0, 0.0022
"""A film's share falls with its rank r as (1 + r / (knee x n_movies)) ^ -exponent: half of the films have a handful."""

N_LATENT, MOVIES_PER_CLUSTER, SERIES_LENGTH, REACH = 12, 300, 8, 3
FOLLOW, STAY = 0.25, 0.5
"""How often the next film is one of the next three of the same series; and, with those, of the same cluster."""

N_TRIES = 24
MEAN, USER_SPREAD, MOVIE_SPREAD, TASTE_SPREAD, NOISE = 3.35, 0.42, 0.48, 0.66, 0.745
FIRST_SECOND, LAST_JOINED, NEW_SESSION = 820_454_400, 740_000_000, 0.02
SESSION_GAP_SECONDS, RATING_GAP_SECONDS = 500_000.0, 20.0
USERS_PER_PART = 256
HALF_STARS = RatingScale(0.5, 5.0)
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """The size of the generated ratings."""

    n_users: int
    n_movies: int
    n_ratings: int

    @classmethod
    def of(cls, n_ratings: int) -> "Size":
        """Return the size for a number of ratings: ratings per user are constant, films grow with the root."""
        share = n_ratings / FULL_RATINGS
        return cls(max(round(FULL_USERS * share), 20), max(round(FULL_MOVIES * share**0.5), 200), n_ratings)


class World(NamedTuple):
    """The films, by cluster and within a cluster from popular to unknown.

    A named tuple, which compiled code accepts.

    Attributes:
        cumulative: (n_movies + 1,) cumulative sum of the films' popularity.
        clusters: (n_movies,) the cluster of each film.
        cluster_starts: (n_clusters + 1,) where each cluster begins.
        vectors: (n_movies, N_LATENT) latent vector of each film.
        offsets: (n_movies,) offset of each film's mean rating.
        movie_ids: (n_movies,) the id of each film.
    """

    cumulative: NDArray[np.float64]
    clusters: NDArray[np.int64]
    cluster_starts: NDArray[np.int64]
    vectors: NDArray[np.float32]
    offsets: NDArray[np.float32]
    movie_ids: NDArray[np.int32]


class Rows(NamedTuple):
    """The ratings person by person, each person's in the order in which they were given.

    Attributes:
        starts: (n_users + 1,) where each person's ratings begin.
        movie_ids: (n_ratings,).
        half_stars: (n_ratings,) 1 to 10.
        seconds: (n_ratings,) since 1970-01-01 UTC, rising within a person.
    """

    starts: NDArray[np.int64]
    movie_ids: NDArray[np.int32]
    half_stars: NDArray[np.uint8]
    seconds: NDArray[np.int32]

    def log(self) -> RatingLog:
        """Return the log, which is in canonical order as it stands."""
        users = np.repeat(np.arange(1, len(self.starts), dtype=np.int64), np.diff(self.starts))
        rated_at = self.seconds.astype(np.int64)
        rated_at *= MICROSECONDS
        ratings = self.half_stars.astype(np.float32)
        ratings /= 2
        return RatingLog.from_columns(users, self.movie_ids.astype(np.int64), ratings, rated_at, HALF_STARS)


def generated_log(n_ratings: int = FULL_RATINGS, seed: int = 0) -> RatingLog:
    """Return generated ratings, from the cache file if there is one."""
    path = kept_path(n_ratings, seed)
    if not path.is_file():
        keep(generate(Size.of(n_ratings), seed), path)
    with np.load(path, allow_pickle=False) as arrays:
        return Rows(**{name: arrays[name] for name in Rows._fields}).log()


def kept_path(n_ratings: int, seed: int) -> Path:
    """Return the path of the cache file, in a folder for temporary files."""
    folder = Path(tempfile.gettempdir()) / "cineclub-generated-ratings"
    return folder / f"{n_ratings}-ratings-seed-{seed}-version-{VERSION}.npz"


def keep(rows: Rows, path: Path) -> None:
    """Write the rows atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(unfinished, **rows._asdict())
    unfinished.replace(path)


def generate(size: Size, seed: int) -> Rows:
    """Return the ratings of a size, the same for a seed on any number of threads."""
    rng = np.random.default_rng(seed)
    world = drawn_world(size.n_movies, rng)
    starts = np.concatenate(([0], np.cumsum(drawn_counts(size, rng)))).astype(np.int64)
    tastes = rng.standard_normal((size.n_users, N_LATENT), np.float32)
    offsets = rng.standard_normal(size.n_users, np.float32) * np.float32(USER_SPREAD)
    seeds = rng.integers(1, 2**63, size.n_users, np.uint64)
    rows = Rows(
        starts,
        np.empty(size.n_ratings, np.int32),
        np.empty(size.n_ratings, np.uint8),
        np.empty(size.n_ratings, np.int32),
    )

    def part(nth: int) -> None:
        last = min((nth + 1) * USERS_PER_PART, size.n_users)
        _rate_of_users(nth * USERS_PER_PART, last, rows, world, tastes, offsets, seeds)

    on_all_threads(part, -(-size.n_users // USERS_PER_PART))
    return rows


def drawn_counts(size: Size, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the number of ratings of each user, shape (n_users,), with an exact total."""
    wanted = size.n_ratings - FEWEST_RATINGS * size.n_users
    excess = rng.lognormal(np.log(MEDIAN_EXCESS), SPREAD_OF_EXCESS, size.n_users)
    excess *= wanted / excess.sum()
    most = int(LARGEST_SHARE_RATED * size.n_movies)
    counts = np.minimum(FEWEST_RATINGS + np.floor(excess).astype(np.int64), most)
    while missing := size.n_ratings - int(counts.sum()):
        has_room = np.flatnonzero(counts < most)
        counts[rng.choice(has_room, min(missing, len(has_room)), replace=False)] += 1
    return counts


def drawn_world(n_movies: int, rng: np.random.Generator) -> World:
    """Return the films."""
    n_clusters = max(n_movies // MOVIES_PER_CLUSTER, 4)
    popularity = (1 + np.arange(n_movies) / (POPULARITY_KNEE * n_movies)) ** -POPULARITY_EXPONENT
    clusters = rng.integers(n_clusters, size=n_movies)
    order = np.lexsort((np.arange(n_movies), clusters))
    clusters, popularity = clusters[order], popularity[order]
    centres = rng.standard_normal((n_clusters, N_LATENT), np.float32)
    vectors = 0.8 * centres[clusters] + 0.6 * rng.standard_normal((n_movies, N_LATENT), np.float32)
    return World(
        np.concatenate(([0.0], np.cumsum(popularity))),
        clusters,
        np.concatenate(([0], np.cumsum(np.bincount(clusters, minlength=n_clusters)))).astype(np.int64),
        (vectors / np.float32(N_LATENT**0.5)).astype(np.float32),
        rng.standard_normal(n_movies, np.float32) * np.float32(MOVIE_SPREAD),
        (rng.permutation(n_movies) + 1).astype(np.int32),
    )


@numba.njit(cache=True, nogil=True)
def _rate_of_users(
    first: int,
    last: int,
    rows: Rows,
    world: World,
    tastes: NDArray[np.float32],
    offsets: NDArray[np.float32],
    seeds: NDArray[np.uint64],
) -> None:
    """Write the ratings of the people from ``first`` to before ``last``."""
    rated_by = np.full(len(world.clusters), -1, np.int64)
    state = np.empty(1, np.uint64)
    for user in range(first, last):
        state[0] = seeds[user]
        movie = -1
        second = FIRST_SECOND + _uniform(state) * LAST_JOINED
        for row in range(rows.starts[user], rows.starts[user + 1]):
            movie = _next_movie(movie, user, rated_by, world, tastes[user], state)
            rated_by[movie] = user
            second += _seconds_between(state)
            liking = np.float32(TASTE_SPREAD) * _product(tastes[user], world.vectors[movie])
            stars = MEAN + offsets[user] + world.offsets[movie] + liking + NOISE * _normal(state)
            rows.movie_ids[row] = world.movie_ids[movie]
            rows.half_stars[row] = min(max(round(2 * stars), 1), 10)
            rows.seconds[row] = second


@numba.njit(cache=True, nogil=True)
def _next_movie(
    movie: int,
    user: int,
    rated_by: NDArray[np.int64],
    world: World,
    taste: NDArray[np.float32],
    state: NDArray[np.uint64],
) -> int:
    """Return an unrated film for a user who has just rated ``movie`` (-1 for none)."""
    n_movies = len(world.clusters)
    for _ in range(N_TRIES):
        chance = _uniform(state) if movie >= 0 else 1.0
        if chance < FOLLOW:
            drawn = _later_in_series(movie, world, state)
        elif chance < STAY:
            cluster = world.clusters[movie]
            drawn = _popular_between(world.cluster_starts[cluster], world.cluster_starts[cluster + 1], world, state)
        else:
            drawn = _popular_between(0, n_movies, world, state)
            fondness = 1 / (1 + np.exp(-2 * _product(taste, world.vectors[drawn])))
            if _uniform(state) > fondness:
                continue
        if rated_by[drawn] != user:
            return drawn
    drawn = int(_uniform(state) * n_movies)
    while rated_by[drawn] == user:
        drawn = int(_uniform(state) * n_movies)
    return drawn


@numba.njit(cache=True, nogil=True)
def _later_in_series(movie: int, world: World, state: NDArray[np.uint64]) -> int:
    """Return one of the next films of a film's series, which is cyclic."""
    start = world.cluster_starts[world.clusters[movie]]
    end = world.cluster_starts[world.clusters[movie] + 1]
    first = movie - (movie - start) % SERIES_LENGTH
    length = min(SERIES_LENGTH, end - first)
    step = 1 + int(_uniform(state) * REACH)
    return int(first + (movie - first + step) % length)


@numba.njit(cache=True, nogil=True)
def _popular_between(start: int, end: int, world: World, state: NDArray[np.uint64]) -> int:
    """Return a film of positions ``start`` to before ``end``, weighted by popularity."""
    lowest, highest = world.cumulative[start], world.cumulative[end]
    wanted = lowest + _uniform(state) * (highest - lowest)
    low, high = start, end - 1
    while low < high:
        middle = (low + high) // 2
        if world.cumulative[middle + 1] <= wanted:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True)
def _seconds_between(state: NDArray[np.uint64]) -> float:
    """Return the seconds until the next rating, at least one: short, or until another session."""
    mean = SESSION_GAP_SECONDS if _uniform(state) < NEW_SESSION else RATING_GAP_SECONDS
    return 1.0 - mean * np.log(1 - _uniform(state))


@numba.njit(cache=True, nogil=True)
def _product(first: NDArray[np.float32], second: NDArray[np.float32]) -> np.float32:
    """Return the product of two vectors."""
    total = np.float32(0)
    for place in range(len(first)):
        total += first[place] * second[place]
    return total


@numba.njit(cache=True, nogil=True)
def _uniform(state: NDArray[np.uint64]) -> float:
    """Return the next number from 0 to below 1 (xorshift64*, Vigna 2016)."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return ((x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True, nogil=True)
def _normal(state: NDArray[np.uint64]) -> float:
    """Return the next standard normal number (Box and Muller 1958)."""
    radius = np.sqrt(-2 * np.log(1 - _uniform(state)))
    return radius * np.cos(2 * np.pi * _uniform(state))

"""Damped popularity: the baseline that every model must beat, and the scores for users without a history."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.matrix import RatingMatrix

DAMPING_RATINGS = 10.0
MICROSECONDS_PER_DAY = 86_400_000_000
ROGUE_GAP_MICROSECONDS = 30 * MICROSECONDS_PER_DAY
ROGUE_SHARE = 0.001
"""The newest ratings, at most this share, that lie farther than this gap behind the others have wrong times."""

TIE_BREAK = 1e-4
"""The weight of a movie's popularity over all time beside that of the recent window."""


def damped_popularity(
    n_ratings: NDArray[np.integer[Any]], rating_sums: NDArray[np.floating[Any]], global_mean: float, lowest: float
) -> NDArray[np.float32]:
    """Return the popularity of each movie, shape (n_movies,): log(1 + its ratings) times its damped mean rating.

    The mean is taken above the scale's lowest, after adding ``DAMPING_RATINGS`` ratings at the global mean: a movie
    with three ratings at the top stays close to the mean, and rarely rated movies stay low. With the logarithm quality
    decides among well-known movies: on MovieLens it ranks better than the plain count.
    """
    damped_means = (rating_sums + DAMPING_RATINGS * global_mean) / (n_ratings + DAMPING_RATINGS)
    return np.asarray(np.log1p(n_ratings) * (damped_means - lowest), np.float32)


def n_rogue_of(n_times: int) -> int:
    """Return how many of the newest times may be of a wrong clock."""
    return max(int(ROGUE_SHARE * n_times), 1)


def plausible_newest(rated_at: NDArray[np.int64], rogue_gap: int = ROGUE_GAP_MICROSECONDS) -> int:
    """Return the newest of times, (n,), not empty, without the few of a wrong clock farther behind than the gap."""
    n_rogue = n_rogue_of(len(rated_at))
    tail = np.sort(np.partition(rated_at, -min(n_rogue + 1, len(rated_at)))[-n_rogue - 1 :])
    gaps = np.flatnonzero(np.diff(tail) > rogue_gap)
    return int(tail[gaps[0]] if len(gaps) else tail[-1])


def popularity_of(ratings: RatingMatrix) -> NDArray[np.float32]:
    """Return the damped popularity of every movie of a matrix, shape (n_movies,)."""
    n_ratings = np.bincount(ratings.movie_indices, minlength=ratings.n_movies)
    stars = ratings.ratings.astype(np.float64)
    sums = np.bincount(ratings.movie_indices, stars, minlength=ratings.n_movies).astype(np.float64)
    mean = float(np.mean(ratings.ratings, dtype=np.float64)) if ratings.n_ratings else ratings.scale.lowest
    return damped_popularity(n_ratings, sums, mean, ratings.scale.lowest)


def recent_popularity_of(ratings: RatingMatrix, window_days: float) -> NDArray[np.float32]:
    """Return the damped popularity of every movie within the days before the newest rating, shape (n_movies,).

    A rating of a wrong clock, far behind all others, counts and is not the newest.
    Movies without ratings in the window follow in the order of their popularity over all time.
    """
    since = plausible_newest(ratings.rated_at) - int(window_days * MICROSECONDS_PER_DAY)
    is_recent = ratings.rated_at >= since
    movies = ratings.movie_indices[is_recent]
    stars = ratings.ratings[is_recent].astype(np.float64)
    n_ratings = np.bincount(movies, minlength=ratings.n_movies)
    sums = np.bincount(movies, stars, minlength=ratings.n_movies).astype(np.float64)
    recent = damped_popularity(n_ratings, sums, float(stars.mean()), ratings.scale.lowest)
    return recent + np.float32(TIE_BREAK) * popularity_of(ratings)

"""Damped popularity: the floor that every model must beat, and the answer to people nobody knows yet."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.matrix import RatingMatrix

DAMPING_RATINGS = 10.0
MICROSECONDS_PER_DAY = 86_400_000_000
TIE_BREAK = 1e-4
"""How much a film's popularity over all time counts beside that of the recent window."""


def damped_popularity(
    n_ratings: NDArray[np.integer[Any]], rating_sums: NDArray[np.floating[Any]], global_mean: float, lowest: float
) -> NDArray[np.float32]:
    """Return a popularity per film, shape (n_movies,): the logarithm of how often it is rated times how well.

    How well is the mean rating above the scale's lowest, after adding ``DAMPING_RATINGS`` ratings at the global
    mean: a film with three ratings at the top keeps close to the mean, and rarely rated films stay low. The
    logarithm lets quality speak among films that everybody knows: on MovieLens it ranks better than the plain count.
    """
    damped_means = (rating_sums + DAMPING_RATINGS * global_mean) / (n_ratings + DAMPING_RATINGS)
    return np.asarray(np.log1p(n_ratings) * (damped_means - lowest), np.float32)


def popularity_of(ratings: RatingMatrix) -> NDArray[np.float32]:
    """Return the damped popularity of every film of a matrix, shape (n_movies,)."""
    n_ratings = np.bincount(ratings.movie_indices, minlength=ratings.n_movies)
    stars = ratings.ratings.astype(np.float64)
    sums = np.bincount(ratings.movie_indices, stars, minlength=ratings.n_movies).astype(np.float64)
    mean = float(np.mean(ratings.ratings, dtype=np.float64)) if ratings.n_ratings else ratings.scale.lowest
    return damped_popularity(n_ratings, sums, mean, ratings.scale.lowest)


def recent_popularity_of(ratings: RatingMatrix, window_days: float) -> NDArray[np.float32]:
    """Return the damped popularity of every film within the days before the newest rating, shape (n_movies,).

    Films that nobody rated in the window follow in the order of their popularity over all time.
    """
    since = int(ratings.rated_at.max()) - int(window_days * MICROSECONDS_PER_DAY)
    is_recent = ratings.rated_at >= since
    movies = ratings.movie_indices[is_recent]
    stars = ratings.ratings[is_recent].astype(np.float64)
    n_ratings = np.bincount(movies, minlength=ratings.n_movies)
    sums = np.bincount(movies, stars, minlength=ratings.n_movies).astype(np.float64)
    recent = damped_popularity(n_ratings, sums, float(stars.mean()), ratings.scale.lowest)
    return recent + np.float32(TIE_BREAK) * popularity_of(ratings)

"""Damped popularity: the floor that every model must beat, and the answer to people nobody knows yet."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.matrix import RatingMatrix

DAMPING_RATINGS = 10.0


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

"""Trends in generated ratings: for a while after its release a film is what many people rate.

A share of the ratings of ``generated_ratings`` is moved to a film that was released shortly before, more often to one
that is popular anyway. The others keep their order, so that models of trends and of sequences both have something to
learn.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.matrix import RatingMatrix
from generated_ratings import FULL_RATINGS, MICROSECONDS, _uniform, generated_log

MOVED_SHARE = 0.3
FADING_DAYS = 10.0
"""The mean time from the release of a film to a rating of the trend."""

N_DRAWN = 6
"""Films that are drawn for a moved rating; the most popular of them is rated."""

SECONDS_OF_DAY = 86_400.0


def log_with_trends(n_ratings: int = FULL_RATINGS, seed: int = 0) -> RatingLog:
    """Return generated ratings with trends, the same for a seed."""
    return with_trends(generated_log(n_ratings, seed), seed)


def with_trends(log: RatingLog, seed: int) -> RatingLog:
    """Return a log with a share of its ratings moved to films of their moment; nobody rates a film twice."""
    matrix = RatingMatrix.from_log(log)
    rng = np.random.default_rng([seed, 1])
    popularity = np.bincount(matrix.movie_indices, minlength=matrix.n_movies)
    seconds = log.rated_at / MICROSECONDS
    releases = rng.uniform(seconds.min(), seconds.max(), matrix.n_movies)
    by_release = np.argsort(releases, kind="stable")
    movies = matrix.movie_indices.astype(np.int64)
    _move(
        movies,
        matrix.row_starts,
        seconds,
        releases[by_release],
        by_release,
        popularity,
        rng.integers(1, 2**63, matrix.n_users, np.uint64),
        np.full(matrix.n_movies, -1, np.int64),
    )
    return RatingLog.from_columns(log.user_ids, matrix.movie_ids[movies], log.ratings, log.rated_at, log.scale)


@numba.njit(cache=True)
def _move(
    movies: Any,
    starts: Any,
    seconds: Any,
    releases: Any,
    by_release: Any,
    popularity: Any,
    seeds: Any,
    rated_by: NDArray[np.int64],
) -> None:
    """Write other films into a share of the ratings; ``rated_by`` holds the last user who has each film."""
    state, fading_seconds = np.empty(1, np.uint64), FADING_DAYS * SECONDS_OF_DAY
    for user in range(len(starts) - 1):
        state[0] = seeds[user]
        for row in range(starts[user], starts[user + 1]):
            rated_by[movies[row]] = user
        for row in range(starts[user], starts[user + 1]):
            if _uniform(state) >= MOVED_SHARE:
                continue
            best = -1
            for _ in range(N_DRAWN):
                released = seconds[row] - fading_seconds * -np.log(1 - _uniform(state))
                place = np.searchsorted(releases, released) - 1
                movie = by_release[max(place, 0)]
                if rated_by[movie] != user and (best < 0 or popularity[movie] > popularity[best]):
                    best = movie
            if best >= 0:
                movies[row] = best
                rated_by[best] = user

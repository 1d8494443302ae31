"""Trends: what the crowd likes these days, and lists that mix it with the scores of a model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.crowd import HALF_LIVES_DAYS, CrowdCounts
from cineclub.domain.recommend.diversity import n_contenders
from cineclub.domain.recommend.ranking import rank_movies

FRESH_HALF_LIFE_DAYS = 3.0
"""The half-life of the likes that a fresh list follows."""

LEAST_LIKES = 0.1
"""The decayed likes of a movie that is popular now: about one of ten days ago. Fewer order a list but mark nothing."""

TIE_BREAK = np.float32(1e-6)
"""The weight of the popularity over all time, which orders movies without recent likes."""


def likes_of_days(sums: NDArray[np.float64], days: float) -> NDArray[np.float32]:
    """Return the decayed likes of each movie with a half-life of ``days``, shape (n_movies,).

    Half-lives that are counted are exact. Between two of them the logarithm of the likes is interpolated linearly over
    the logarithm of the half-life; below the shortest and above the longest the likes are those of that one.

    Args:
        sums: (n_half_lives, n_movies) decayed likes, a row for each of ``HALF_LIVES_DAYS``.
        days: above 0.
    """
    upper = int(np.searchsorted(HALF_LIVES_DAYS, days))
    if upper == 0 or upper == len(HALF_LIVES_DAYS) or HALF_LIVES_DAYS[upper] == days:
        return np.asarray(sums[min(upper, len(HALF_LIVES_DAYS) - 1)], np.float32)
    shorter, longer = HALF_LIVES_DAYS[upper - 1], HALF_LIVES_DAYS[upper]
    share = np.log(days / shorter) / np.log(longer / shorter)
    return np.asarray(sums[upper - 1] ** (1 - share) * sums[upper] ** share, np.float32)


def trend_scores(likes: NDArray[np.float32], popularity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the score of each movie by its decayed likes, shape (n_movies,); equal ones by popularity."""
    return np.asarray(np.log1p(likes) + TIE_BREAK * popularity, np.float32)


@dataclass(frozen=True, slots=True)
class Trend:
    """The trend that a fresh list follows.

    Attributes:
        scores: (n_movies,) finite.
        is_liked: (n_movies,) whether the movie has enough decayed likes to be called popular now.
    """

    scores: NDArray[np.float32]
    is_liked: NDArray[np.bool_]

    @classmethod
    def unknown(cls, popularity: NDArray[np.float32]) -> "Trend":
        """Return the trend without counts: the popularity over all time, (n_movies,), with no movie popular now."""
        return cls(popularity, np.zeros(len(popularity), np.bool_))


def fresh_trend(crowd: CrowdCounts | None, movie_ids: NDArray[np.int64], popularity: NDArray[np.float32]) -> Trend:
    """Return the trend that a fresh list follows; that of the popularity without counts.

    Args:
        crowd: the crowd's counts; None while they are unknown.
        movie_ids: (n_movies,) the movies to score, in any order.
        popularity: (n_movies,) their popularity over all time.
    """
    if crowd is None:
        return Trend.unknown(popularity)
    likes = likes_of_days(crowd.aligned(movie_ids), FRESH_HALF_LIFE_DAYS)
    return Trend(trend_scores(likes, popularity), likes >= LEAST_LIKES)


def trending_ids(crowd: CrowdCounts, n_movies: int) -> list[int]:
    """Return the movies that a fresh list would show first, most likes first."""
    likes = likes_of_days(crowd.sums, FRESH_HALF_LIFE_DAYS)
    best: list[int] = crowd.movie_ids[np.argsort(-likes, kind="stable")[:n_movies]].tolist()
    return best


@dataclass(frozen=True, slots=True)
class MixedScores:
    """Scores of a model and of a trend in one.

    Attributes:
        scores: (n_movies,) finite, or minus infinity for movies that are no candidates.
        crowd_weights: (n_movies,) the part of the trend in the score of movies that are popular now, and that it
            raises more than the model's score does; 0 for others.
    """

    scores: NDArray[np.float32]
    crowd_weights: NDArray[np.float32]


def mix(
    scores: NDArray[np.float32],
    trend: Trend,
    excluded: NDArray[np.integer],
    fresh: float,
    top_n: int,
) -> MixedScores:
    """Return ``(1 - fresh) * score + fresh * trend`` of the candidates, both standardized among the candidates.

    Candidates are the best ``n_contenders(top_n)`` movies by each of the two. Scores of any scale can be mixed so. The
    sum of the standardized trend over the best ``top_n`` never falls as ``fresh`` rises. At 0 and 1 the scores are
    those of the model and of the trend themselves.

    Args:
        scores: (n_movies,) finite scores of a model.
        trend: of the same movies.
        excluded: (n,) positions of movies that are no candidates.
        fresh: 0 to 1.
        top_n: the number of movies to list.
    """
    if not fresh:
        return MixedScores(scores, np.zeros(len(scores), np.float32))
    if fresh == 1:
        return MixedScores(trend.scores, np.where(trend.is_liked, trend.scores, np.float32(0)))
    n_best = n_contenders(top_n)
    candidates = np.union1d(rank_movies(scores, excluded, n_best), rank_movies(trend.scores, excluded, n_best))
    of_model = (1 - fresh) * standardized(scores[candidates])
    of_trend = fresh * standardized(trend.scores[candidates])
    mixed, crowd_weights = np.full(len(scores), -np.inf, np.float32), np.zeros(len(scores), np.float32)
    mixed[candidates] = of_model + of_trend
    is_raised = trend.is_liked[candidates] & (of_trend > of_model) & (of_trend > 0)
    crowd_weights[candidates] = np.where(is_raised, of_trend, 0)
    return MixedScores(mixed, crowd_weights)


def standardized(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return values, shape (n,), with mean 0 and standard deviation 1; zeros where all are equal."""
    exact = values.astype(np.float64)
    if not len(exact) or exact.min() == exact.max():
        return np.zeros(len(exact))
    scaled = exact / np.abs(exact).max()
    centred = scaled - scaled.mean()
    spread = centred.std()
    return centred / spread if spread > 0 else np.zeros(len(exact))

"""Statistics of the ratings of a period, the one engine for trainings and checks of drift.

Ratings are counted by user and by movie, piece by piece and in any order (``PeriodCounts.of``); every statistic follows
from these counts (``statistics_of``). So a training, which has the log in memory, and a check, which reads a window out
of the database, compute the same numbers from the same ratings.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.drift.concentration import damped, effective_number, gini
from cineclub.domain.drift.periods import Measure, Period
from cineclub.domain.ratings.counts import RatingCounts, numbered
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale
from cineclub.domain.ratings.segments import (
    ACTIVITY,
    DECADE,
    GENRE,
    POPULARITY,
    MovieTraits,
    Segments,
    activity_segments,
    head_of,
    popularity_segments,
)

N_BINS = 10
"""Equal parts of the scale, the last with its upper end; on half stars each value has its own."""

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
SAMPLE_SIZE, MIN_SAMPLE_SIZE = 10_000, 500
"""Sizes of the sample for the concentration: that of unequal numbers of ratings is not comparable."""

MAX_SAMPLED_USERS = 30_000
"""The share of new users is estimated on a sample of at most so many active users."""

WINDOW_DAYS, MAX_WINDOWS = 7.0, 26
DAY = 24 * 3600 * 1_000_000
PIECE_SIZE = 1 << 20
"""Ratings that are counted at once; bounds the memory of temporary arrays."""


@dataclass(frozen=True, slots=True)
class PeriodStatistics:
    """Statistics of the ratings of one period; shares sum to 1, and a period without ratings has none.

    A statistic that is added later needs a default: baselines that are stored lack it.

    Attributes:
        starts_at: start of the period.
        ends_at: end, exclusive.
        n_ratings: the number of ratings.
        n_active_users: the number of users who gave them.
        n_rated_movies: the number of movies that got them.
        mean_rating: on the data's scale.
        rating_shares: (N_BINS,) the share of each equal part of the scale, the lowest first.
        ratings_per_user: ratings of an active user, by quantile (``QUANTILES`` as text).
        popularity_gini: Gini coefficient of the ratings by movie: 0 if all got equally many, near 1 if few got all.
        sampled_popularity_gini: the same of equally many ratings sampled from each period; None if it has fewer.
        segments: the ratings by genre, decade, activity and popularity.
        new_user_share: the share of active users whose first rating lies in the period; None for the whole log.
        new_movie_share: the share of rated movies whose first rating lies in the period; None for the whole log.
        effective_users: equally active users who would give equally certain figures (Kish, Survey Sampling, 1965).
        effective_movies: likewise movies with equally many ratings.
        mean_of_users: mean over the users of their mean rating in the period.
        damped_mixes: shares of the ratings by dimension (genre, decade) and name, where a movie counts for one in a
            hundred of the ratings at most, so that one movie that everybody rates is no change of the mix.
    """

    starts_at: datetime
    ends_at: datetime
    n_ratings: int
    n_active_users: int
    n_rated_movies: int
    mean_rating: float | None
    rating_shares: tuple[float, ...]
    ratings_per_user: Mapping[str, float]
    popularity_gini: float | None
    sampled_popularity_gini: float | None
    segments: Segments
    new_user_share: float | None
    new_movie_share: float | None
    effective_users: float | None = None
    effective_movies: float | None = None
    mean_of_users: float | None = None
    damped_mixes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def period(self) -> Period:
        """The period of the ratings."""
        return Period(self.starts_at, self.ends_at)

    @property
    def days(self) -> float:
        """Length of the period."""
        return (self.ends_at - self.starts_at).total_seconds() / 86_400


@dataclass(frozen=True, slots=True)
class Baseline:
    """Statistics of the whole log and of its newest windows of one length, the oldest first.

    Attributes:
        scale: the scale of the ratings.
        window_days: length of a window.
        sample_size: see ``Measure``.
        head_movie_ids: the most rated movies of the whole log, by internal id, rising.
        whole: all ratings.
        windows: the newest, the oldest of them first.
    """

    scale: RatingScale
    window_days: float
    sample_size: int
    head_movie_ids: tuple[int, ...]
    whole: PeriodStatistics
    windows: tuple[PeriodStatistics, ...]

    @property
    def measure(self) -> Measure:
        """The parameters that the windows were measured with."""
        return Measure(self.scale, self.sample_size, self.head_movie_ids)


class RatingPiece(NamedTuple):
    """Some ratings of a period, at most one of each user and movie.

    Attributes:
        user_ids: (n,).
        movie_ids: (n,).
        ratings: (n,).
    """

    user_ids: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    ratings: NDArray[np.float32]


class KnownBefore(NamedTuple):
    """The number of sampled users and of rated movies that have a rating from before the period."""

    n_users: int
    n_movies: int


@dataclass(frozen=True, slots=True)
class PeriodCounts:
    """The ratings of one period, counted.

    Attributes:
        users: ratings by user.
        movies: ratings by movie.
        sampled_movie_ids: (at most sample size,) movies of the ratings in the sample.
        sample_size: the wanted size of the sample.
    """

    users: RatingCounts
    movies: RatingCounts
    sampled_movie_ids: NDArray[np.int64]
    sample_size: int

    @classmethod
    def of(cls, pieces: Iterable[RatingPiece], scale: RatingScale, sample_size: int) -> "PeriodCounts":
        """Count pieces of ratings in any order; the sample depends on the ids alone, not on the order."""
        users = movies = RatingCounts.none(N_BINS)
        sample = _Sample.none(sample_size)
        for piece in pieces:
            if len(piece.ratings):
                bins = _bins(piece.ratings, scale)
                users += RatingCounts.of(piece.user_ids, bins, piece.ratings, N_BINS)
                movies += RatingCounts.of(piece.movie_ids, bins, piece.ratings, N_BINS)
                sample = sample.extended(piece)
        return cls(users, movies, sample.movie_ids, sample_size)

    @property
    def sampled_user_ids(self) -> NDArray[np.int64]:
        """The active users, rising, among whom new users are counted."""
        if len(self.users.ids) <= MAX_SAMPLED_USERS:
            return self.users.ids
        keys = _random_keys(self.users.ids, np.zeros_like(self.users.ids))
        return np.sort(self.users.ids[np.argpartition(keys, MAX_SAMPLED_USERS)[:MAX_SAMPLED_USERS]])


def statistics_of(
    counts: PeriodCounts,
    period: Period,
    head_movie_ids: Sequence[int] | NDArray[np.int64],
    traits: MovieTraits,
    known: KnownBefore | None,
) -> PeriodStatistics:
    """Return the statistics of the counted ratings of a period.

    Args:
        counts: the ratings of the period.
        period: the period.
        head_movie_ids: the movies that are the head.
        traits: genres and decades of the rated movies.
        known: the sampled users and the movies that had ratings before; None for the whole log.
    """
    users, movies, n_ratings = counts.users, counts.movies, counts.users.n_ratings
    weights = damped(movies.n_each)
    return PeriodStatistics(
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        n_ratings=n_ratings,
        n_active_users=len(users.ids),
        n_rated_movies=len(movies.ids),
        mean_rating=float(movies.sums.sum() / n_ratings) if n_ratings else None,
        rating_shares=tuple((movies.counts.sum(axis=0) / max(n_ratings, 1)).tolist()),
        ratings_per_user=_quantiles(users.n_each),
        popularity_gini=gini(movies.n_each),
        sampled_popularity_gini=_sampled_gini(counts),
        segments={
            GENRE: traits.genres.segments(movies),
            DECADE: traits.decades.segments(movies),
            ACTIVITY: activity_segments(users),
            POPULARITY: popularity_segments(np.isin(movies.ids, head_movie_ids), movies),
        },
        new_user_share=_new_share(counts.sampled_user_ids, known and known.n_users),
        new_movie_share=_new_share(movies.ids, known and known.n_movies),
        effective_users=effective_number(users.n_each),
        effective_movies=effective_number(movies.n_each),
        mean_of_users=float((users.sums / users.n_each).mean()) if n_ratings else None,
        damped_mixes={
            GENRE: traits.genres.shares(movies.ids, weights),
            DECADE: traits.decades.shares(movies.ids, weights),
        },
    )


def baseline_of(
    log: RatingLog,
    movies: Sequence[Movie],
    window_days: float = WINDOW_DAYS,
    max_windows: int = MAX_WINDOWS,
    now: int | None = None,
) -> Baseline:
    """Return the statistics of a log that is not empty, and of its newest windows that lie in it as a whole.

    Args:
        log: all ratings, in canonical order.
        movies: the movies with genre and year; one that is missing counts as without both.
        window_days: length of a window.
        max_windows: the largest number of windows.
        now: ratings that are dated after it are left out, or the windows would be empty; microseconds since 1970.
    """
    is_past = log.rated_at <= (np.iinfo(np.int64).max if now is None else now)
    if not is_past.all() and is_past.any():
        log = log.take(is_past)
    extent = Period.of_microseconds(int(log.rated_at.min()), int(log.rated_at.max()) + 1)
    periods = extent.windows_before(timedelta(days=window_days), max_windows)
    rows = _rows_of(log, periods)
    sample_size = sample_size_of([len(of_window) for of_window in rows])
    firsts, traits = _FirstRatings.of(log), MovieTraits.of(movies)
    whole = PeriodCounts.of(_pieces(log), log.scale, sample_size)
    head = head_of(whole.movies)
    windows = []
    for period, of_window in zip(periods, rows, strict=True):
        counts = PeriodCounts.of(_pieces(log.take(of_window)), log.scale, sample_size)
        windows.append(statistics_of(counts, period, head, traits, firsts.known_before(period, counts)))
    statistics = statistics_of(whole, extent, head, traits, None)
    return Baseline(log.scale, window_days, sample_size, tuple(head.tolist()), statistics, tuple(windows))


def statistics_between(log: RatingLog, movies: Sequence[Movie], period: Period, baseline: Baseline) -> PeriodStatistics:
    """Return the statistics of the ratings of a period, measured as the windows of a baseline.

    Args:
        log: all ratings up to the end of the period at least, in canonical order, not empty.
        movies: the movies with genre and year.
        period: the period.
        baseline: gives the movies that are the head, and the size of samples.
    """
    [rows] = _rows_of(log, [period])
    counts = PeriodCounts.of(_pieces(log.take(rows)), log.scale, baseline.sample_size)
    known = _FirstRatings.of(log).known_before(period, counts)
    return statistics_of(counts, period, baseline.head_movie_ids, MovieTraits.of(movies), known)


def sample_size_of(n_of_windows: Sequence[int]) -> int:
    """Return the sample size for windows with so many ratings, such that most windows have as many."""
    if not n_of_windows:
        return SAMPLE_SIZE
    return int(np.clip(np.median(n_of_windows) / 2, MIN_SAMPLE_SIZE, SAMPLE_SIZE))


@dataclass(frozen=True, slots=True)
class _FirstRatings:
    """First rating of each user and movie of a log, in microseconds since 1970-01-01 UTC; ids are rising."""

    user_ids: NDArray[np.int64]
    of_users: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    of_movies: NDArray[np.int64]

    @classmethod
    def of(cls, log: RatingLog) -> "_FirstRatings":
        """Return the first ratings of a log that is not empty."""
        is_first = np.ones(len(log), np.bool_)
        is_first[1:] = log.user_ids[1:] != log.user_ids[:-1]
        movie_ids, positions = numbered(log.movie_ids)
        of_movies = np.full(len(movie_ids), np.iinfo(np.int64).max)
        np.minimum.at(of_movies, positions, log.rated_at)
        return cls(log.user_ids[is_first], log.rated_at[is_first], movie_ids, of_movies)

    def known_before(self, period: Period, counts: PeriodCounts) -> KnownBefore:
        """Return the numbers of sampled users and rated movies of a period with a rating before it."""
        starts_at, _ = period.microseconds
        users = np.searchsorted(self.user_ids, counts.sampled_user_ids)
        movies = np.searchsorted(self.movie_ids, counts.movies.ids)
        return KnownBefore(
            int(np.count_nonzero(self.of_users[users] < starts_at)),
            int(np.count_nonzero(self.of_movies[movies] < starts_at)),
        )


class _Sample(NamedTuple):
    """The ratings with the smallest keys, at most ``size`` of them."""

    size: int
    keys: NDArray[np.uint64]
    movie_ids: NDArray[np.int64]

    @classmethod
    def none(cls, size: int) -> "_Sample":
        """Return an empty sample."""
        return cls(size, np.empty(0, np.uint64), np.empty(0, np.int64))

    def extended(self, piece: RatingPiece) -> "_Sample":
        """Return the sample of the former ratings and a piece."""
        keys = _random_keys(piece.user_ids, piece.movie_ids)
        rows = np.flatnonzero(keys <= self.keys.max()) if len(self.keys) == self.size else np.arange(len(keys))
        keys, movie_ids = np.append(self.keys, keys[rows]), np.append(self.movie_ids, piece.movie_ids[rows])
        if len(keys) <= self.size:
            return _Sample(self.size, keys, movie_ids)
        smallest = np.argpartition(keys, self.size)[: self.size]
        return _Sample(self.size, keys[smallest], movie_ids[smallest])


def _random_keys(user_ids: NDArray[np.int64], movie_ids: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a pseudorandom key for each pair of ids, shape (n,), always the same.

    The finalizer of SplitMix64 (Steele, Lea, Flood, Fast splittable pseudorandom number generators, 2014).
    """
    keys = user_ids.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    keys += movie_ids.view(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys ^= keys >> np.uint64(shift)
        keys *= np.uint64(factor)
    keys ^= keys >> np.uint64(31)
    return keys


def _rows_of(log: RatingLog, periods: Sequence[Period]) -> list[NDArray[np.int64]]:
    """Return the rising positions of the ratings of each period; periods are adjacent, the oldest first."""
    if not periods:
        return []
    bounds = np.array([periods[0].microseconds[0], *(period.microseconds[1] for period in periods)])
    recent = np.flatnonzero((log.rated_at >= bounds[0]) & (log.rated_at < bounds[-1]))
    nth = np.searchsorted(bounds, log.rated_at[recent], side="right") - 1
    return [recent[nth == number] for number in range(len(periods))]


def _pieces(log: RatingLog) -> Iterator[RatingPiece]:
    """Yield the ratings of a log."""
    for start in range(0, len(log), PIECE_SIZE):
        rows = slice(start, start + PIECE_SIZE)
        yield RatingPiece(log.user_ids[rows], log.movie_ids[rows], log.ratings[rows])


def _bins(ratings: NDArray[np.float32], scale: RatingScale) -> NDArray[np.int8]:
    """Return the equal part of the scale that each rating lies in; ratings off the scale fall into the outer parts."""
    steps = N_BINS / (scale.highest - scale.lowest)
    return np.clip((ratings.astype(np.float64) - scale.lowest) * steps, 0, N_BINS - 1).astype(np.int8)


def _quantiles(counts: NDArray[np.int64]) -> dict[str, float]:
    """Return the quantiles of counts; empty without counts."""
    if not len(counts):
        return {}
    return {str(number): float(value) for number, value in zip(QUANTILES, np.quantile(counts, QUANTILES), strict=True)}


def _sampled_gini(counts: PeriodCounts) -> float | None:
    """Return the Gini coefficient of the sample; None if the period has fewer ratings."""
    if len(counts.sampled_movie_ids) < counts.sample_size:
        return None
    return gini(np.unique(counts.sampled_movie_ids, return_counts=True)[1])


def _new_share(ids: NDArray[np.int64], n_known: int | None) -> float | None:
    """Return the share of ids that are not known; None without ids, or where none were looked up."""
    return (len(ids) - n_known) / len(ids) if len(ids) and n_known is not None else None

"""What ratings look like in a period: the numbers that a later period is compared with to notice drift."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings import Movie, RatingLog, RatingScale
from cineclub.domain.segments import (
    ACTIVITY,
    DECADE,
    GENRE,
    POPULARITY,
    ROWS_AT_ONCE,
    FilmLabels,
    RatingsOfFilms,
    Segments,
    activity_segments,
    decade_of,
    genres_of,
    head_of,
    popularity_segments,
)

N_BINS = 10
"""Equal parts of the scale, the last with its upper end; on half stars each value has its own."""

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
SAMPLE_SIZE, MIN_SAMPLE_SIZE = 10_000, 500
"""How many ratings the sampled concentration is computed on: that of unequal numbers cannot be compared."""

WINDOW_DAYS, MAX_WINDOWS = 7.0, 26
DAY = 24 * 3600 * 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WIDE_IDS = 4
"""Ids that leave more than so many gaps a rating are numbered anew instead of being counted where they stand."""


@dataclass(frozen=True, slots=True)
class PeriodStatistics:
    """The ratings of one period in numbers; shares sum to 1, and nothing is known of a period without ratings.

    Attributes:
        starts_at: from when on.
        ends_at: until when, exclusive.
        n_ratings: how many ratings were given.
        n_active_users: how many people gave them.
        n_rated_movies: how many films got them.
        mean_rating: on the data's scale.
        rating_shares: (N_BINS,) the share of each equal part of the scale, the lowest first.
        ratings_per_user: for each of ``QUANTILES``, by its number, how many ratings an active user gave.
        popularity_gini: how unequally ratings fall on the films that got some: 0 is equally, near 1 on few.
        sampled_popularity_gini: the same among equally many ratings drawn from each period; None if it has fewer.
        segments: the ratings by genre, decade, activity and popularity.
        new_user_share: how many of the active users gave their first rating in the period; None for the whole log.
        new_movie_share: how many of the rated films got their first rating in the period; None for the whole log.
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


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is normal: the whole log, and windows of one length up to its newest rating, the oldest first.

    Attributes:
        scale: what the ratings may be.
        window_days: how long a window is.
        sample_size: on how many ratings of each period the sampled concentration is computed.
        head_movie_ids: the most rated films of the whole log, by internal id, rising: what the segments call head.
        whole: all ratings.
        windows: the newest, the oldest of them first.
    """

    scale: RatingScale
    window_days: float
    sample_size: int
    head_movie_ids: tuple[int, ...]
    whole: PeriodStatistics
    windows: tuple[PeriodStatistics, ...]


def baseline_of(
    log: RatingLog,
    movies: Sequence[Movie],
    rng: np.random.Generator,
    window_days: float = WINDOW_DAYS,
    max_windows: int = MAX_WINDOWS,
) -> Baseline:
    """Return the statistics of a log that is not empty, and of its newest windows that lie in it as a whole.

    Args:
        log: all ratings, in canonical order.
        movies: the films with genre and year; one that is missing counts as without both.
        rng: draws the samples; the same ratings and generator give the same numbers.
        window_days: how long a window is.
        max_windows: how many windows there are at most.
    """
    rated = _Rated.of(log, movies)
    first, end = int(log.rated_at.min()), int(log.rated_at.max()) + 1
    length = round(window_days * DAY)
    n_windows = min(max_windows, (end - first) // length)
    recent = np.flatnonzero(log.rated_at >= end - n_windows * length)
    nth_of_recent = (end - 1 - log.rated_at[recent]) // length
    sample_size = sample_size_of(np.bincount(nth_of_recent, minlength=n_windows).tolist())
    windows = [
        rated.statistics((end - (nth + 1) * length, end - nth * length), sample_size, rng, recent[nth_of_recent == nth])
        for nth in reversed(range(n_windows))
    ]
    whole = rated.statistics((first, end), sample_size, rng)
    head_movie_ids = tuple(rated.movie_ids[rated.is_head].tolist())
    return Baseline(log.scale, window_days, sample_size, head_movie_ids, whole, tuple(windows))


def statistics_between(
    log: RatingLog,
    movies: Sequence[Movie],
    period: tuple[int, int],
    baseline: Baseline,
    rng: np.random.Generator,
) -> PeriodStatistics:
    """Return the statistics of the ratings of a period as those of a baseline's windows are made.

    Args:
        log: all ratings up to the end of the period at least, in canonical order, not empty.
        movies: the films with genre and year.
        period: from when to when, exclusive, in microseconds since 1970-01-01 UTC.
        baseline: what says which films are the head, and how large samples are.
        rng: draws the sample.
    """
    rated = _Rated.of(log, movies)
    rated = replace(rated, is_head=np.isin(rated.movie_ids, baseline.head_movie_ids))
    rows = np.flatnonzero((log.rated_at >= period[0]) & (log.rated_at < period[1]))
    return rated.statistics(period, baseline.sample_size, rng, rows)


def gini(counts: NDArray[np.int64]) -> float | None:
    """Return how unequal counts of at least 1, shape (n,), are: 0 if all are equal, near 1 if one has nearly all.

    None without counts.
    """
    n = len(counts)
    if not n:
        return None
    rising = np.sort(counts).astype(np.float64)
    ranks = np.arange(1, n + 1)
    return float(2 * (ranks * rising).sum() / (n * rising.sum()) - (n + 1) / n)


@dataclass(frozen=True)
class _Rated:
    """A log with what is looked up for every period.

    Attributes:
        log: all ratings.
        movie_ids: (n_movies,) rising.
        movie_indices: (n_ratings,) position of each rating's film in them.
        bins: (n_ratings,) in which equal part of the scale each rating lies.
        is_first_of_user: (n_ratings,) whether a rating is its user's first.
        movie_began_at: (n_movies,) when each film was first rated.
        is_head: (n_movies,) which films are among the most rated of the whole log.
        genres: which films have which genre, with what part.
        decades: which films are of which decade.
    """

    log: RatingLog
    movie_ids: NDArray[np.int64]
    movie_indices: NDArray[np.int64]
    bins: NDArray[np.int8]
    is_first_of_user: NDArray[np.bool_]
    movie_began_at: NDArray[np.int64]
    is_head: NDArray[np.bool_]
    genres: FilmLabels
    decades: FilmLabels

    @classmethod
    def of(cls, log: RatingLog, movies: Sequence[Movie]) -> "_Rated":
        """Return what is looked up in a log that is not empty."""
        movie_ids, indices = _numbered(log.movie_ids)
        began_at = np.full(len(movie_ids), np.iinfo(np.int64).max)
        np.minimum.at(began_at, indices, log.rated_at)
        is_first = np.ones(len(log), np.bool_)
        is_first[1:] = log.user_ids[1:] != log.user_ids[:-1]
        is_head = np.zeros(len(movie_ids), np.bool_)
        is_head[head_of(np.bincount(indices, minlength=len(movie_ids)))] = True
        by_id = {movie.movie_id: movie for movie in movies}
        known = [by_id.get(movie_id) for movie_id in movie_ids.tolist()]
        return cls(
            log=log,
            movie_ids=movie_ids,
            movie_indices=indices,
            bins=_bins(log.ratings, log.scale),
            is_first_of_user=is_first,
            movie_began_at=began_at,
            is_head=is_head,
            genres=FilmLabels.of([genres_of(movie) for movie in known]),
            decades=FilmLabels.of([(decade_of(movie),) for movie in known]),
        )

    def statistics(
        self,
        period: tuple[int, int],
        sample_size: int,
        rng: np.random.Generator,
        rows: NDArray[np.int64] | None = None,
    ) -> PeriodStatistics:
        """Return the statistics of rising rows, those of the period, or of all."""
        chosen = slice(None) if rows is None else rows
        movies, ratings, bins = self.movie_indices[chosen], self.log.ratings[chosen], self.bins[chosen]
        of_films = RatingsOfFilms.of(movies, bins, ratings, (len(self.movie_ids), N_BINS))
        n_of_movies = of_films.n_of_movies
        is_rated = n_of_movies > 0
        n_of_users = _run_lengths(self.log.user_ids[chosen])
        n_new_users = int(np.count_nonzero(self.is_first_of_user[chosen]))
        is_new_movie = is_rated & (self.movie_began_at >= period[0])
        return PeriodStatistics(
            starts_at=EPOCH + timedelta(microseconds=period[0]),
            ends_at=EPOCH + timedelta(microseconds=period[1]),
            n_ratings=len(ratings),
            n_active_users=len(n_of_users),
            n_rated_movies=int(np.count_nonzero(is_rated)),
            mean_rating=float(ratings.mean(dtype=np.float64)) if len(ratings) else None,
            rating_shares=tuple((of_films.counts.sum(axis=0) / max(len(ratings), 1)).tolist()),
            ratings_per_user=_quantiles(n_of_users),
            popularity_gini=gini(n_of_movies[is_rated]),
            sampled_popularity_gini=_sampled_gini(movies, sample_size, rng),
            segments={
                GENRE: self.genres.segments(of_films),
                DECADE: self.decades.segments(of_films),
                ACTIVITY: activity_segments(n_of_users, bins, ratings, N_BINS),
                POPULARITY: popularity_segments(self.is_head, of_films),
            },
            new_user_share=_share(n_new_users, len(n_of_users)) if rows is not None else None,
            new_movie_share=(
                _share(np.count_nonzero(is_new_movie), np.count_nonzero(is_rated)) if rows is not None else None
            ),
        )


def sample_size_of(n_of_windows: Sequence[int]) -> int:
    """Return on how many ratings of each window the concentration is computed, so that most windows have as many."""
    if not n_of_windows:
        return SAMPLE_SIZE
    return int(np.clip(np.median(n_of_windows) / 2, MIN_SAMPLE_SIZE, SAMPLE_SIZE))


def _numbered(ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ids, rising, and the position of each of ``ids``; where they are dense the gaps between them count too."""
    lowest, highest = int(ids.min()), int(ids.max())
    if highest - lowest > WIDE_IDS * len(ids):
        distinct, positions = np.unique(ids, return_inverse=True)
        return distinct, positions.astype(np.int64)
    return np.arange(lowest, highest + 1), ids - lowest


def _run_lengths(rising: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each value of a rising array occurs."""
    starts = np.flatnonzero(rising[1:] != rising[:-1]) + 1
    return np.diff(starts, prepend=0, append=len(rising)) if len(rising) else np.empty(0, np.int64)


def _bins(ratings: NDArray[np.float32], scale: RatingScale) -> NDArray[np.int8]:
    """Return the equal part of the scale that each rating lies in, a bounded piece of the ratings at a time."""
    bins = np.empty(len(ratings), np.int8)
    steps = N_BINS / (scale.highest - scale.lowest)
    for start in range(0, len(ratings), ROWS_AT_ONCE):
        piece = ratings[start : start + ROWS_AT_ONCE].astype(np.float64)
        bins[start : start + ROWS_AT_ONCE] = np.minimum((piece - scale.lowest) * steps, N_BINS - 1)
    return bins


def _quantiles(counts: NDArray[np.int64]) -> dict[str, float]:
    """Return the quantiles of counts by their numbers; nothing without counts."""
    if not len(counts):
        return {}
    return {str(number): float(value) for number, value in zip(QUANTILES, np.quantile(counts, QUANTILES), strict=True)}


def _sampled_gini(movies: NDArray[np.int64], sample_size: int, rng: np.random.Generator) -> float | None:
    """Return the concentration among a sample of ratings, given their films; None if there are too few."""
    if len(movies) < sample_size:
        return None
    counts = np.bincount(movies[rng.choice(len(movies), sample_size, replace=False, shuffle=False)])
    return gini(counts[counts > 0])


def _share(part: int | np.int64, whole: int | np.int64) -> float | None:
    """Return a share; None of nothing."""
    return float(part / whole) if whole else None

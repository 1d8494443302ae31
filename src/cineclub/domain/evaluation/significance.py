"""Confidence intervals of the difference between two models over the evaluated users.

Rows of a prequential window depend on each other in three ways: a user has several, a movie meets many users on the
same place of their lists, and a day has its own events. ``clustered_mean`` lets every one of these share its luck.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FEWEST_EFFECTIVE_USERS = 1.5
MAX_DRAWS_AT_ONCE = 4_000_000
FEWEST_CLUSTERS = 2
"""With one day, or one movie, nothing tells how much another would differ."""

MAX_GROWTH_DOUBLINGS = 40
GROWTH_BISECTIONS = 40

Clustering = Literal["users", "movies", "days", "all at once"]
"""What shares its luck: the rows of a user, those of a movie, those of a day, or all three at once."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The mean difference over the evaluated users and the ends of its confidence interval.

    Attributes:
        mean: the mean over users.
        low: the low end; minus infinity if nothing tells it.
        high: the high end, likewise.
        n_users: the number of users.
        confidence: the chance that the interval covers the true mean.
        n_movies: the number of judged movies; 0 if rows are users.
        n_days: the number of days with judged ratings; 0 if rows are users.
        clusters: the clustering that gave the interval: the widest of all.
    """

    mean: float
    low: float
    high: float
    n_users: int
    confidence: float = 0.95
    n_movies: int = 0
    n_days: int = 0
    clusters: Clustering = "users"


@dataclass(frozen=True, slots=True)
class Rows:
    """The user, the movie and the day of each row, shape (n_rows,); movies and days are empty if rows are users."""

    user_ids: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    days: NDArray[np.int64]

    def take(self, is_taken: NDArray[np.bool_]) -> "Rows":
        """Return the rows of a mask, shape (n_rows,)."""
        has_days = len(self.days) > 0
        return Rows(
            self.user_ids[is_taken],
            self.movie_ids[is_taken] if has_days else self.movie_ids,
            self.days[is_taken] if has_days else self.days,
        )


@dataclass(frozen=True, slots=True)
class Spread:
    """The uncertainty of a mean under one clustering: its variance, and the degrees of freedom of that estimate."""

    variance: float
    freedom: float

    def reach(self, confidence: float, growth: float = 1.0) -> float:
        """Return half the width of the interval, if there were ``growth`` times as many clusters."""
        if self.variance <= 0:
            return 0.0
        from scipy.special import stdtrit  # noqa: PLC0415 - the API starts without scipy

        quantile = stdtrit(self.freedom * growth, (1 + confidence) / 2)
        return float(quantile * np.sqrt(self.variance / growth))


UNKNOWN = Spread(float("inf"), 1.0)


@dataclass(frozen=True, slots=True)
class ClusteredMean:
    """A mean over users with its uncertainty under each clustering.

    Attributes:
        mean: the mean over users of their means over rows; NaN without rows.
        n_users: the number of users.
        n_movies: the number of movies; 0 if rows are users.
        n_days: the number of days; 0 if rows are users.
        spreads: the uncertainty by clustering.
    """

    mean: float
    n_users: int
    n_movies: int
    n_days: int
    spreads: Mapping[Clustering, Spread]

    def reach(self, confidence: float, growth: float = 1.0) -> float:
        """Return half the width of the widest interval, if there were ``growth`` times as much of everything."""
        return max((spread.reach(confidence, growth) for spread in self.spreads.values()), default=float("nan"))

    def interval(self, confidence: float) -> Interval:
        """Return the widest interval of all clusterings; it is symmetric, so that swapped models mirror it exactly."""
        reach = self.reach(confidence)
        widest: Clustering = max(self.spreads, key=lambda name: self.spreads[name].reach(confidence), default="users")
        return Interval(
            mean=self.mean,
            low=self.mean - reach,
            high=self.mean + reach,
            n_users=self.n_users,
            confidence=confidence,
            n_movies=self.n_movies,
            n_days=self.n_days,
            clusters=widest,
        )

    def growth_for_certainty(self, confidence: float, bound: float = 0.0) -> float:
        """Return how many times as much evidence would put the interval above ``bound`` at this mean; at least 1.

        Users, movies and days grow alike. Infinite if the mean is not above the bound or nothing tells its spread.
        """
        if not self.mean > bound or not np.isfinite(self.reach(confidence)):
            return float("inf")
        high = 1.0
        for _ in range(MAX_GROWTH_DOUBLINGS):
            if self.mean - self.reach(confidence, high) > bound:
                break
            high *= 2
        else:
            return float("inf")
        low = max(high / 2, 1.0)
        for _ in range(GROWTH_BISECTIONS):
            middle = (low + high) / 2
            is_enough = self.mean - self.reach(confidence, middle) > bound
            low, high = (low, middle) if is_enough else (middle, high)
        return high


def clustered_mean(values: NDArray[np.float64], rows: Rows, *, is_over_rows: bool = False) -> ClusteredMean:
    """Return the mean over users of a metric, or of a difference of two, with its uncertainty by clustering.

    Args:
        values: (n_rows,) the metric of each row; NaN rows are left out.
        rows: what each row belongs to.
        is_over_rows: whether every row has the same weight, instead of every user.

    With w_i = 1 / (number of rows of i's user), or 1 for a mean over rows, the mean is sum(w x) / sum(w). This ratio
    is also what remains if a movie or a day is left out, so the variance under a clustering of G clusters g with shares
    h_g of the weight is that of the jackknife which leaves out a cluster at a time (CV3; MacKinnon, Nielsen & Webb
    2023):

        V = (G - 1) / G * sum_g v_g^2,    v_g = sum_{i in g} w_i (x_i - mean) / sum(w) / (1 - h_g).

    "all at once" adds the variances by user, movie and day and takes off those of their intersections (Cameron,
    Gelbach & Miller 2011). Ends are quantiles of Student's t. Its degrees of freedom follow from the spread of v_g^2
    (Satterthwaite 1946), at most G - 1; for users they are the smaller effective number, because a user's difference
    is mostly 0 and skewed, where a movie or a day sums up many rows.
    """
    is_known = ~np.isnan(values)
    values, rows = values[is_known], rows.take(is_known)
    if not len(values):
        return ClusteredMean(float("nan"), 0, 0, 0, {})
    sample = _Sample.of(values, rows, is_over_rows=is_over_rows)
    people = sample.spread(sample.users, is_of_people=True)
    if not len(rows.days):
        return ClusteredMean(sample.mean, _n_of(sample.users), 0, 0, {"users": people})
    movies, days = _codes(rows.movie_ids), _codes(rows.days)
    spreads: dict[Clustering, Spread] = {"users": people, "movies": sample.spread(movies), "days": sample.spread(days)}
    spreads["all at once"] = sample.spread_of_all(movies, days, tuple(spreads.values()))
    return ClusteredMean(sample.mean, _n_of(sample.users), _n_of(movies), _n_of(days), spreads)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Rows with their weights: ``users``, ``weights`` (sum 1) and ``deviations`` (weighted), all (n_rows,)."""

    mean: float
    users: NDArray[np.int64]
    weights: NDArray[np.float64]
    deviations: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64], rows: Rows, *, is_over_rows: bool) -> "_Sample":
        """Return the sample of values without NaN."""
        users = _codes(rows.user_ids)
        n_rows = np.bincount(users)
        if is_over_rows:
            mean, weights = float(values.mean()), np.full(len(values), 1 / len(values))
        else:
            mean = float((np.bincount(users, weights=values) / n_rows).mean())
            weights = 1 / (n_rows[users] * len(n_rows))
        return cls(mean, users, weights, weights * (values - mean))

    def spread(self, clusters: NDArray[np.int64], *, is_of_people: bool = False) -> Spread:
        """Return the uncertainty with the rows of a cluster, (n_rows,) codes from 0, left out together."""
        n_clusters = _n_of(clusters)
        if n_clusters < FEWEST_CLUSTERS:
            return UNKNOWN
        shares = np.bincount(clusters, weights=self.weights)
        moves = np.bincount(clusters, weights=self.deviations) / (1 - shares)
        n_effective = effective_users(moves)
        freedom = n_effective if is_of_people else _satterthwaite(n_effective, n_clusters)
        variance = (n_clusters - 1) / n_clusters * float(moves @ moves)
        return Spread(variance, float(np.clip(freedom, 1, n_clusters - 1)))

    def spread_of_all(self, movies: NDArray[np.int64], days: NDArray[np.int64], one_way: tuple[Spread, ...]) -> Spread:
        """Return the uncertainty with users, movies and days at once; ``one_way`` has that of each."""
        variance = sum(spread.variance for spread in one_way)
        if not np.isfinite(variance):
            return UNKNOWN
        for sign, clusters in _intersections(self.users, movies, days):
            variance += sign * self.spread(clusters).variance if _n_of(clusters) >= FEWEST_CLUSTERS else 0.0
        weighted = sum(spread.variance**2 / spread.freedom for spread in one_way)
        total = sum(spread.variance for spread in one_way)
        return Spread(max(variance, 0.0), total**2 / weighted if weighted > 0 else 1.0)


def _intersections(
    users: NDArray[np.int64], movies: NDArray[np.int64], days: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield the sign and the codes of each intersection of the three clusterings, all (n_rows,)."""
    users_and_movies = _codes(users * _n_of(movies) + movies)
    yield -1, users_and_movies
    yield -1, _codes(users * _n_of(days) + days)
    yield -1, _codes(movies * _n_of(days) + days)
    yield +1, _codes(users_and_movies * _n_of(days) + days)


def _codes(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a code from 0 for each key, shape (n_rows,)."""
    return np.unique(keys, return_inverse=True)[1]


def _n_of(codes: NDArray[np.int64]) -> int:
    """Return the number of different codes."""
    return int(codes.max()) + 1


def _satterthwaite(n_effective: float, n_clusters: int) -> float:
    """Return the degrees of freedom of a sum of squares: 2 G / (kurtosis - 1), with kurtosis G / n_effective."""
    excess = n_clusters / n_effective - 1 if n_effective > 0 else 0.0
    return 2 * n_clusters / excess if excess > 0 else float("inf")


def paired_bootstrap(
    differences: NDArray[np.float64], rng: np.random.Generator, n_resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    """Return the interval of a mean over users, each resampled as a whole with all their held-out ratings.

    Args:
        differences: (n_users,) one model's metric minus the other's, by user, without NaN.
        rng: the generator of the resamples; the same state gives the same interval.
        n_resamples: the number of resamples.
        confidence: the share of the resampled means between the ends.

    The ends are order statistics with the same number of resamples below as above, so that swapping the two models
    mirrors the interval exactly. A percentile interval (Efron & Tibshirani 1993, chapter 13) is too short if few users
    carry all of the difference because most have the same lists: each side is widened by Student's t for the effective
    number of users, (sum d^2)^2 / sum d^4. Without users all numbers are NaN.
    """
    if not len(differences):
        return Interval(float("nan"), float("nan"), float("nan"), 0, confidence)
    means = np.sort(_resampled_means(differences, rng, n_resamples))
    n_outside = int(np.floor((1 - confidence) / 2 * n_resamples))
    mean = float(differences.mean())
    widening = _widening(differences, confidence)
    return Interval(
        mean=mean,
        low=mean + widening * (float(means[n_outside]) - mean),
        high=mean + widening * (float(means[n_resamples - 1 - n_outside]) - mean),
        n_users=len(differences),
        confidence=confidence,
    )


def interval_of_mean(
    values: NDArray[np.float64], rng: np.random.Generator, n_resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    """Return the plain percentile interval of one model's mean over users, shape (n_users,), for a report."""
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"), 0, confidence)
    low, high = np.quantile(_resampled_means(values, rng, n_resamples), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(values.mean()), float(low), float(high), len(values), confidence)


def effective_users(differences: NDArray[np.float64]) -> float:
    """Return the effective number of users who carry a difference: n if all differ alike, 1 if one does, 0 if none."""
    squares = differences**2
    largest = float(squares.max(initial=0.0))
    if largest == 0:
        return 0.0
    scaled = squares / largest
    return float(scaled.sum() ** 2 / (scaled @ scaled))


def _widening(differences: NDArray[np.float64], confidence: float) -> float:
    """Return the factor, at least 1, that widens a percentile interval for the effective number of users."""
    from scipy.special import ndtri, stdtrit  # noqa: PLC0415 - as above

    n_users, n_effective = len(differences), effective_users(differences)
    if n_users == 1 or n_effective == 0:
        return 1.0
    tail = (1 + confidence) / 2
    freedom = max(n_effective, FEWEST_EFFECTIVE_USERS) - 1
    return float(stdtrit(freedom, tail) / ndtri(tail) * np.sqrt(n_users / (n_users - 1)))


def _resampled_means(
    differences: NDArray[np.float64], rng: np.random.Generator, n_resamples: int
) -> NDArray[np.float64]:
    """Return the mean of each resample, shape (n_resamples,), with a bounded number of draws at once."""
    n_users = len(differences)
    n_at_once = max(1, MAX_DRAWS_AT_ONCE // n_users)
    means = [
        differences[rng.integers(n_users, size=(min(n_at_once, n_resamples - done), n_users))].mean(axis=1)
        for done in range(0, n_resamples, n_at_once)
    ]
    return np.concatenate(means)

"""Quality of the served lists: hit rate and nDCG of the movie rated next, by day and as paired differences."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.metrics import hit, ndcg_at_k
from cineclub.domain.evaluation.significance import Interval, Rows, clustered_mean, paired_bootstrap

TOP_K = 10
CONFIDENCE = 0.95
N_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Requests:
    """The answered requests of the month, in order of time.

    Attributes:
        days: (n,) the day, from 1.
        user_codes: (n,) the user.
        movie_codes: (n,) the movie that the user rated next.
        versions: (n,) the version that answered.
        ranks: (n,) the rank of that movie in the list, from 1; 0 where the list does not hold it.
        moments: (n,) the time of the request, microseconds since 1970-01-01 UTC.
    """

    days: NDArray[np.int64]
    user_codes: NDArray[np.int64]
    movie_codes: NDArray[np.int64]
    versions: NDArray[np.int64]
    ranks: NDArray[np.int64]
    moments: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.days)


def hits_of(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 for each list, shape (n,), that held the movie, else 0.

    >>> hits_of(np.array([1, 0, 7]))
    array([1., 0., 1.])
    """
    return hit(_is_relevant(ranks), _n_relevant(ranks))


def ndcg_of(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the nDCG@10 of each list, shape (n,), with one relevant movie.

    >>> ndcg_of(np.array([1, 0, 3])).round(2)
    array([1. , 0. , 0.5])
    """
    return ndcg_at_k(_is_relevant(ranks), _n_relevant(ranks))


def daily_means(values: NDArray[np.float64], days: NDArray[np.int64], n_days: int) -> list[float | None]:
    """Return the mean of each day, None for a day without requests."""
    counts = np.bincount(days - 1, minlength=n_days)
    sums = np.bincount(days - 1, weights=values, minlength=n_days)
    return [float(total / n) if n else None for total, n in zip(sums, counts, strict=True)]


def mean_difference(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    user_codes: NDArray[np.int64],
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the mean difference of two scores of the same requests, each user with the same weight.

    Users are resampled as a whole, with all their requests (paired bootstrap).
    """
    _, users = np.unique(user_codes, return_inverse=True)
    differences = np.bincount(users, weights=ours - theirs) / np.bincount(users) if len(users) else np.empty(0)
    return paired_bootstrap(differences, rng, N_RESAMPLES, confidence)


def widest_difference(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], requests: Requests, confidence: float = CONFIDENCE
) -> Interval:
    """Return the mean difference of two scores of all requests, each user with the same weight.

    Users share a few movies of the day, so the interval is the widest by user, by movie, by day and by all together
    (``significance.clustered_mean``).
    """
    rows = Rows(requests.user_codes, requests.movie_codes, requests.days)
    return clustered_mean(ours - theirs, rows).interval(confidence)


def confidence_of_each(n_intervals: int) -> float:
    """Return the confidence of each interval at which all of them together have 95 % (Bonferroni).

    Without it, one of thirty nights with equally good versions would look worse by chance.

    >>> round(confidence_of_each(10), 3)
    0.995
    """
    return 1 - (1 - CONFIDENCE) / max(1, n_intervals)


def daily_sample(days: NDArray[np.int64], max_per_day: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions, rising, of a random sample of at most ``max_per_day`` requests of each day."""
    samples = [
        np.sort(rng.choice(rows, min(max_per_day, len(rows)), replace=False))
        for day in np.unique(days)
        if len(rows := np.flatnonzero(days == day))
    ]
    return np.concatenate(samples) if samples else np.empty(0, np.int64)


def _is_relevant(ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each place of each list, shape (n, TOP_K), whether it holds the movie."""
    is_relevant: NDArray[np.bool_] = ranks[:, None] == np.arange(1, TOP_K + 1)
    return is_relevant


def _n_relevant(ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of relevant movies of each list, shape (n,): one."""
    return np.ones(len(ranks), np.int64)

"""How sure a difference between two models is, given that only some people were judged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

FEWEST_EFFECTIVE_USERS = 1.5
MAX_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """The mean difference over the judged users and the ends of its confidence interval."""

    mean: float
    low: float
    high: float
    n_users: int
    confidence: float = 0.95


def paired_bootstrap(
    differences: NDArray[np.float64], rng: np.random.Generator, n_resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    """Return the interval of a mean over users, each resampled as a whole with all that was held out of them.

    Args:
        differences: (n_users,) one model's metric minus the other's, user by user, without NaN.
        rng: where the resamples come from; the same state gives the same interval.
        n_resamples: how many times the users are drawn again.
        confidence: the share of the resampled means between the ends.

    The ends are order statistics, the same number of resamples below as above, so that swapping the two models
    mirrors the interval exactly. A percentile interval (Efron & Tibshirani 1993, chapter 13) is too short when few
    users carry all of the difference, as most have the same lists: each side is widened as Student's t is for the
    effective number of users, (sum d^2)^2 / sum d^4. Without users everything is NaN.
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
    """Return how many users carry a difference, 0 where there is none: all alike give n, one alone gives 1."""
    squares = differences**2
    largest = float(squares.max(initial=0.0))
    if largest == 0:
        return 0.0
    scaled = squares / largest
    return float(scaled.sum() ** 2 / (scaled @ scaled))


def _widening(differences: NDArray[np.float64], confidence: float) -> float:
    """Return by how much a percentile interval is too short for the users that carry the difference, at least 1."""
    n_users, n_effective = len(differences), effective_users(differences)
    if n_users == 1 or n_effective == 0:
        return 1.0
    tail = (1 + confidence) / 2
    freedom = max(n_effective, FEWEST_EFFECTIVE_USERS) - 1
    return float(stdtrit(freedom, tail) / ndtri(tail) * np.sqrt(n_users / (n_users - 1)))


def _resampled_means(
    differences: NDArray[np.float64], rng: np.random.Generator, n_resamples: int
) -> NDArray[np.float64]:
    """Return the mean of each resample, shape (n_resamples,), a bounded number of draws at a time."""
    n_users = len(differences)
    n_at_once = max(1, MAX_DRAWS_AT_ONCE // n_users)
    means = [
        differences[rng.integers(n_users, size=(min(n_at_once, n_resamples - done), n_users))].mean(axis=1)
        for done in range(0, n_resamples, n_at_once)
    ]
    return np.concatenate(means)

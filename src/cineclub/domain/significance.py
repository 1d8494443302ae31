"""How sure a difference between two models is, given that only some people were judged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """The mean difference over the judged users and the ends of its confidence interval."""

    mean: float
    low: float
    high: float
    n_users: int


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
    mirrors the interval exactly. Without users everything is NaN.
    """
    if not len(differences):
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    means = np.sort(_resampled_means(differences, rng, n_resamples))
    n_outside = int(np.floor((1 - confidence) / 2 * n_resamples))
    return Interval(
        mean=float(differences.mean()),
        low=float(means[n_outside]),
        high=float(means[n_resamples - 1 - n_outside]),
        n_users=len(differences),
    )


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

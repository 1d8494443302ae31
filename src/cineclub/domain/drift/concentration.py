"""How evenly the ratings of a period are spread over users or movies."""

import numpy as np
from numpy.typing import NDArray

MOST_OF_A_MOVIE = 0.01
"""A movie counts for one in a hundred ratings at most where the mix of movies is compared."""


def gini(counts: NDArray[np.int64]) -> float | None:
    """Return the Gini coefficient of counts of at least 1, shape (n,); None without counts.

    0 if all are equal, near 1 if one has nearly all.
    """
    n = len(counts)
    if not n:
        return None
    rising = np.sort(counts).astype(np.float64)
    ranks = np.arange(1, n + 1)
    return float(2 * (ranks * rising).sum() / (n * rising.sum()) - (n + 1) / n)


def effective_number(counts: NDArray[np.int64]) -> float | None:
    """Return how many equally large clusters give as certain a mean as clusters of these sizes, shape (n,).

    Kish, Survey Sampling, 1965, 8.2; None without clusters.
    """
    each = counts.astype(np.float64)
    return float(each.sum() ** 2 / (each**2).sum()) if len(counts) else None


def damped(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return counts, shape (n,), none of them above ``MOST_OF_A_MOVIE`` of their sum, and 1 at least."""
    return np.minimum(counts.astype(np.float64), max(1.0, MOST_OF_A_MOVIE * float(counts.sum())))

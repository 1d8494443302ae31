"""Metrics of lists and predicted ratings: one function each, for all users at once.

A list of k movies is a row of ``hits``: True at the places of movies that the user likes among those held out.
The ranking metrics of a user who likes no held-out movie are NaN.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
PerUser = NDArray[np.float64]


def ndcg_at_k(hits: Hits, n_relevant: Counts) -> PerUser:
    """Return the discounted gain of each list divided by that of the best possible list, 0 to 1, shape (n_users,).

    A hit at place p (from 1) gains 1 / log2(p + 1). Jarvelin and Kekalainen 2002.

    >>> ndcg_at_k(np.array([[True, False], [False, True]]), np.array([1, 1])).round(3)
    array([1.   , 0.631])
    >>> ndcg_at_k(np.array([[True, False]]), np.array([2])).round(3)  # 1 / (1 + 0.631)
    array([0.613])
    """
    discounts = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    best = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(n_relevant, hits.shape[1])]
    return _ratio(hits @ discounts, best)


def recall_at_k(hits: Hits, n_relevant: Counts) -> PerUser:
    """Return the share of the liked movies that each list holds, shape (n_users,).

    >>> recall_at_k(np.array([[True, False], [True, True]]), np.array([4, 2]))
    array([0.25, 1.  ])
    """
    return _ratio(hits.sum(axis=1), n_relevant)


def precision_at_k(hits: Hits, n_relevant: Counts) -> PerUser:
    """Return the share of liked movies on each list, shape (n_users,).

    >>> precision_at_k(np.array([[True, False], [False, False]]), np.array([4, 0]))
    array([0.5, nan])
    """
    return np.where(n_relevant > 0, hits.sum(axis=1) / hits.shape[1], np.nan)


def average_precision_at_k(hits: Hits, n_relevant: Counts) -> PerUser:
    """Return the sum of the precision at each hit, divided by the number of possible hits, shape (n_users,).

    >>> average_precision_at_k(np.array([[True, False, True]]), np.array([2])).round(3)  # (1/1 + 2/3) / 2
    array([0.833])
    """
    places = np.arange(1, hits.shape[1] + 1)
    precisions = np.cumsum(hits, axis=1) / places
    return _ratio((precisions * hits).sum(axis=1), np.minimum(n_relevant, hits.shape[1]))


def hit(hits: Hits, n_relevant: Counts) -> PerUser:
    """Return 1 for each list with at least one liked movie, else 0, shape (n_users,).

    >>> hit(np.array([[False, True], [False, False]]), np.array([1, 3]))
    array([1., 0.])
    """
    return np.where(n_relevant > 0, hits.any(axis=1).astype(np.float64), np.nan)


def coverage(recommended: NDArray[np.int64], n_movies: int) -> float:
    """Return the share of a model's movies that are on at least one list; -1 marks an empty place.

    >>> coverage(np.array([[7, 8], [7, -1]]), 4)
    0.5
    """
    return len(np.unique(recommended[recommended >= 0])) / n_movies if n_movies else 0.0


def novelty(rater_shares: NDArray[np.float64]) -> PerUser:
    """Return the mean self-information of each list's movies: -log2 of the share of their raters, in bits.

    Args:
        rater_shares: (n_users, k) share of users who rated the movie at that place; NaN marks an empty place.

    >>> novelty(np.array([[0.5, 0.25], [1.0, np.nan]]))
    array([1.5, 0. ])
    """
    is_movie = ~np.isnan(rater_shares)
    bits = -np.log2(rater_shares, where=is_movie, out=np.zeros_like(rater_shares))
    return _ratio(bits.sum(axis=1), is_movie.sum(axis=1))


def _ratio(numerators: NDArray[np.floating[Any]] | Counts, denominators: NDArray[np.floating[Any]] | Counts) -> PerUser:
    """Return the quotients, NaN where the denominator is 0."""
    quotients = np.full(len(numerators), np.nan)
    np.divide(numerators, denominators, where=denominators > 0, out=quotients)
    return quotients

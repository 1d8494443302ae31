"""What a list and a predicted rating are worth: one small function per metric, for all judged users at once.

A list of k films becomes a row of ``hits``: True where the film at that place is one the person went on to like.
A person who liked nothing of what was held out has no ranking to judge: their metric is NaN.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
PerUser = NDArray[np.float64]


def ndcg_at_k(hits: Hits, n_relevant: Counts) -> PerUser:
    """Return the discounted gain of each list over that of the best possible list, 0 to 1, shape (n_users,).

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
    """Return the share of the liked films that the list holds, shape (n_users,).

    >>> recall_at_k(np.array([[True, False], [True, True]]), np.array([4, 2]))
    array([0.25, 1.  ])
    """
    return _ratio(hits.sum(axis=1), n_relevant)


def precision_at_k(hits: Hits, n_relevant: Counts) -> PerUser:
    """Return the share of the list that was liked, shape (n_users,).

    >>> precision_at_k(np.array([[True, False], [False, False]]), np.array([4, 0]))
    array([0.5, nan])
    """
    return np.where(n_relevant > 0, hits.sum(axis=1) / hits.shape[1], np.nan)


def average_precision_at_k(hits: Hits, n_relevant: Counts) -> PerUser:
    """Return the mean of the precision at each hit, over the hits that were possible, shape (n_users,).

    >>> average_precision_at_k(np.array([[True, False, True]]), np.array([2])).round(3)  # (1/1 + 2/3) / 2
    array([0.833])
    """
    places = np.arange(1, hits.shape[1] + 1)
    precisions = np.cumsum(hits, axis=1) / places
    return _ratio((precisions * hits).sum(axis=1), np.minimum(n_relevant, hits.shape[1]))


def hit(hits: Hits, n_relevant: Counts) -> PerUser:
    """Return 1 for each list with at least one liked film, else 0, shape (n_users,).

    >>> hit(np.array([[False, True], [False, False]]), np.array([1, 3]))
    array([1., 0.])
    """
    return np.where(n_relevant > 0, hits.any(axis=1).astype(np.float64), np.nan)


def coverage(recommended: NDArray[np.int64], n_movies: int) -> float:
    """Return the share of the films a model knows that it put on at least one list; -1 marks an empty place.

    >>> coverage(np.array([[7, 8], [7, -1]]), 4)
    0.5
    """
    return len(np.unique(recommended[recommended >= 0])) / n_movies if n_movies else 0.0


def novelty(rater_shares: NDArray[np.float64]) -> PerUser:
    """Return how little known the films of each list are: the mean of -log2 of their raters' share, in bits.

    Args:
        rater_shares: (n_users, k) share of users who rated the film at that place; NaN marks an empty place.

    >>> novelty(np.array([[0.5, 0.25], [1.0, np.nan]]))
    array([1.5, 0. ])
    """
    is_film = ~np.isnan(rater_shares)
    bits = -np.log2(rater_shares, where=is_film, out=np.zeros_like(rater_shares))
    return _ratio(bits.sum(axis=1), is_film.sum(axis=1))


def rmse(squared_errors: NDArray[np.float64]) -> float:
    """Return the root of the mean squared error, in rating units; NaN without any.

    >>> rmse(np.array([1.0, 0.0, 1.0, 2.0]))
    1.0
    """
    return float(np.sqrt(squared_errors.mean())) if len(squared_errors) else float("nan")


def mae(absolute_errors: NDArray[np.float64]) -> float:
    """Return the mean absolute error, in rating units; NaN without any.

    >>> mae(np.array([1.0, 0.0, 0.5]))
    0.5
    """
    return float(absolute_errors.mean()) if len(absolute_errors) else float("nan")


def _ratio(numerators: NDArray[np.floating[Any]] | Counts, denominators: NDArray[np.floating[Any]] | Counts) -> PerUser:
    """Return the quotients, NaN where the denominator is 0."""
    quotients = np.full(len(numerators), np.nan)
    np.divide(numerators, denominators, where=denominators > 0, out=quotients)
    return quotients

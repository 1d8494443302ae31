"""Ranking: positions by falling score without the excluded movies; ties are always broken the same way."""

import numpy as np
from numpy.typing import NDArray


def rank_movies(scores: NDArray[np.float32], excluded: NDArray[np.integer], top_n: int) -> NDArray[np.int32]:
    """Return the positions of the ``top_n`` best movies, shape (at most top_n,), without the excluded ones.

    Args:
        scores: (n_movies,) finite scores; not changed.
        excluded: (n,) positions of movies to leave out, above all those already seen.
        top_n: the largest number of movies; fewer are returned where fewer are left.

    Equal scores are ordered by rising position, so the same scores always give the same list.
    """
    candidates = np.array(scores, np.float32)
    candidates[excluded] = -np.inf
    n_wanted = min(top_n, len(candidates))
    if n_wanted == 0:
        return np.empty(0, np.int32)
    nth_best = np.partition(candidates, len(candidates) - n_wanted)[len(candidates) - n_wanted]
    contenders = np.flatnonzero((candidates >= nth_best) & (candidates > -np.inf))
    order = np.lexsort((contenders, -candidates[contenders]))
    return contenders[order[:n_wanted]].astype(np.int32)

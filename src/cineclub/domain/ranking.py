"""From scores to a list: rated films left out, best first, ties always broken the same way."""

import numpy as np
from numpy.typing import NDArray


def rank_movies(scores: NDArray[np.float32], left_out: NDArray[np.integer], top_n: int) -> NDArray[np.int32]:
    """Return the positions of the ``top_n`` best films, shape (at most top_n,), without some.

    Args:
        scores: (n_movies,) finite scores; not changed.
        left_out: (n,) positions of films that must not come back, those already seen above all.
        top_n: how many films to return at most; fewer come back when fewer are left.

    Equal scores are ordered by rising position, so the same scores always give the same list.
    """
    candidates = np.array(scores, np.float32)
    candidates[left_out] = -np.inf
    n_wanted = min(top_n, len(candidates))
    if n_wanted == 0:
        return np.empty(0, np.int32)
    nth_best = np.partition(candidates, len(candidates) - n_wanted)[len(candidates) - n_wanted]
    contenders = np.flatnonzero((candidates >= nth_best) & (candidates > -np.inf))
    order = np.lexsort((contenders, -candidates[contenders]))
    return contenders[order[:n_wanted]].astype(np.int32)

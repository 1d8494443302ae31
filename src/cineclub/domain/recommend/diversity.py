"""Lists whose films differ: maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998) over genres."""

import numpy as np
from numpy.typing import NDArray

FEWEST_CONTENDERS = 100
CONTENDERS_PER_PLACE = 5


def n_contenders(top_n: int) -> int:
    """Return the number of best films that a diverse list of ``top_n`` is chosen from."""
    return max(FEWEST_CONTENDERS, CONTENDERS_PER_PLACE * top_n)


def diversify(
    scores: NDArray[np.float32], genres: NDArray[np.bool_], diversity: float, top_n: int
) -> NDArray[np.int64]:
    """Return the order in which contenders are listed, shape (at most top_n,).

    Each place goes to the film with the most of ``(1 - diversity) * relevance - diversity * similarity``: relevance is
    its score scaled to 0 to 1 over the contenders, similarity its greatest share of common genres (Jaccard) with a film
    listed before. Diversity 0 gives the order of the scores.

    Args:
        scores: (k,) finite scores, falling.
        genres: (n_genres, k) whether a contender has a genre.
        diversity: 0 to 1.
        top_n: the number of films to list.
    """
    relevance = _relevance(scores)
    similarity = _common_share(genres)
    greatest = np.zeros(len(scores))
    is_free = np.ones(len(scores), np.bool_)
    order: list[int] = []
    for _ in range(min(top_n, len(scores))):
        worth = np.where(is_free, (1 - diversity) * relevance - diversity * greatest, -np.inf)
        chosen = int(np.argmax(worth))
        order.append(chosen)
        is_free[chosen] = False
        greatest = np.maximum(greatest, similarity[chosen])
    return np.array(order, np.int64)


def _relevance(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the scores stretched to 0 to 1; all 1 where they are equal."""
    if len(scores) == 0:
        return np.empty(0)
    lowest, span = float(scores.min()), float(np.ptp(scores))
    return (scores.astype(np.float64) - lowest) / span if span > 0 else np.ones(len(scores))


def _common_share(genres: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each two films the genres they share among all they have, shape (k, k); 0 without any genre."""
    has = genres.T.astype(np.float64)
    common = has @ has.T
    n_genres = has.sum(axis=1)
    either = n_genres[:, None] + n_genres[None, :] - common
    share: NDArray[np.float64] = np.divide(common, either, out=np.zeros_like(common), where=either > 0)
    return share

"""Lists for many users at once: scores in blocks, then the best of each row by compiled code on all cores."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.recommend.cold_start import scores_of_many
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recommender import FittedModel, History

BLOCK_BYTES = 64 * 2**20
"""The memory of one block of scores."""

ROWS_PER_PART = 8
NO_MOVIE = -1


def lists_of(
    fitted: FittedModel,
    histories: Sequence[History],
    top_k: int,
    contexts: Iterator[Context] | None = None,
    hidden: Iterator[NDArray[np.int64]] | None = None,
) -> NDArray[np.int32]:
    """Return each user's best movies by position in the vocabulary, shape (n_users, top_k), best first.

    Rated movies are excluded and equal scores ordered by rising position, as in ``rank_movies``; -1 fills a list of
    fewer movies. The scores are those of ``score_movies`` except the last digits. ``contexts`` has the context of each
    history in turn, and ``hidden`` the positions that its list must not hold either.
    """
    lists = np.full((len(histories), top_k), NO_MOVIE, np.int32)
    n_rows = max(BLOCK_BYTES // (4 * max(len(fitted.movie_ids), 1)), 1)
    for start in range(0, len(histories), n_rows):
        block = histories[start : start + n_rows]
        scores = np.ascontiguousarray(scores_of_many(fitted, block, contexts))
        for row, history in enumerate(block):
            scores[row, history.movie_indices] = -np.inf
            if hidden is not None:
                scores[row, next(hidden)] = -np.inf
        write_best(scores, lists[start : start + n_rows])
    return lists


def write_best(scores: NDArray[np.float32], lists: NDArray[np.int32]) -> None:
    """Write the positions of each row's best scores, shape (n_rows, n_movies), into ``lists`` (n_rows, top_k).

    Scores of minus infinity are never listed.
    """
    from cineclub.domain.threads import on_all_threads  # noqa: PLC0415 - only evaluations load the compiler

    kernel = _kernel()

    def best_of_part(nth: int) -> None:
        rows = slice(nth * ROWS_PER_PART, (nth + 1) * ROWS_PER_PART)
        kernel(scores[rows], lists[rows])

    on_all_threads(best_of_part, -(-len(scores) // ROWS_PER_PART))


@lru_cache(maxsize=1)
def _kernel() -> Any:
    """Return the compiled search for the best scores."""
    from cineclub.domain.recommend.best_scores import write_best_of_rows  # noqa: PLC0415 - as above

    return write_best_of_rows

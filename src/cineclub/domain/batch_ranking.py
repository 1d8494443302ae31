"""Lists for many people at once: scores in blocks, then the best of each row by compiled code on all cores."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.cold_start import scores_of_many
from cineclub.domain.recommender import FittedModel, History

BLOCK_BYTES = 64 * 2**20
"""How much memory one block of scores may take."""

ROWS_PER_PART = 8
NO_MOVIE = -1


def lists_of(fitted: FittedModel, histories: Sequence[History], top_k: int) -> NDArray[np.int32]:
    """Return each person's best films by position in the vocabulary, shape (n_people, top_k), best first.

    What is rated is left out, equal scores are ordered by rising position, as in ``rank_movies``; -1 fills a list where
    fewer films are unseen. The scores are those of ``cold_start.answer`` but for the last digits.
    """
    lists = np.full((len(histories), top_k), NO_MOVIE, np.int32)
    for rows in _blocks(len(histories), len(fitted.movie_ids)):
        of_block = histories[rows]
        scores = np.ascontiguousarray(scores_of_many(fitted, of_block))
        _leave_out(scores, of_block)
        write_best(scores, lists[rows])
    return lists


def write_best(scores: NDArray[np.float32], lists: NDArray[np.int32]) -> None:
    """Write the positions of each row's best scores, shape (n_rows, n_movies), into ``lists`` (n_rows, top_k).

    Scores of minus infinity are never listed.
    """
    from cineclub.domain.threads import on_all_threads  # noqa: PLC0415 - only who judges pays for the compiler

    kernel = _kernel()

    def best_of_part(nth: int) -> None:
        rows = slice(nth * ROWS_PER_PART, (nth + 1) * ROWS_PER_PART)
        kernel(scores[rows], lists[rows])

    on_all_threads(best_of_part, -(-len(scores) // ROWS_PER_PART))


def _blocks(n_people: int, n_movies: int) -> Iterator[slice]:
    """Yield the rows of each block."""
    n_rows = max(BLOCK_BYTES // (4 * max(n_movies, 1)), 1)
    for start in range(0, n_people, n_rows):
        yield slice(start, min(start + n_rows, n_people))


def _leave_out(scores: NDArray[np.float32], histories: Sequence[History]) -> None:
    """Set the scores, shape (n_people, n_movies), of rated films to minus infinity."""
    for row, history in enumerate(histories):
        scores[row, history.movie_indices] = -np.inf


@lru_cache(maxsize=1)
def _kernel() -> Any:
    """Return the compiled search for the best."""
    from cineclub.domain.best_scores import write_best_of_rows  # noqa: PLC0415 - as above

    return write_best_of_rows

"""The best scores of each row, compiled; imported only where lists are made for many users."""

import numba
import numpy as np
from numpy.typing import NDArray

CHUNK = 64
"""Scores are compared in chunks of this size: few chunks hold one that is good enough for the list."""


@numba.njit(cache=True, nogil=True)
def write_best_of_rows(scores: NDArray[np.float32], lists: NDArray[np.int32]) -> None:
    """Write the positions of the best scores of each row, shape (n_rows, n_columns), into ``lists`` (n_rows, k).

    Best first, equal scores by rising position; a row with fewer scores above minus infinity leaves its end untouched.
    """
    n_columns, n_listed = scores.shape[1], lists.shape[1]
    best = np.empty(n_listed, np.float32)
    for row in range(len(scores)):
        best[:] = -np.inf
        for start in range(0, n_columns, CHUNK):
            chunk = scores[row, start : min(start + CHUNK, n_columns)]
            if _highest(chunk) > best[-1]:
                for column in range(len(chunk)):
                    if chunk[column] > best[-1]:
                        _insert(chunk[column], start + column, best, lists[row])


@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "reassoc"})
def _highest(chunk: NDArray[np.float32]) -> np.float32:
    """Return the highest of some scores."""
    highest = np.float32(chunk[0])
    for score in chunk:
        highest = max(highest, score)
    return highest


@numba.njit(cache=True, nogil=True)
def _insert(score: np.float32, column: int, best: NDArray[np.float32], positions: NDArray[np.int32]) -> None:
    """Put a score that is higher than the last one at its place, behind those that equal it."""
    place = len(best) - 1
    while place > 0 and best[place - 1] < score:
        best[place], positions[place] = best[place - 1], positions[place - 1]
        place -= 1
    best[place], positions[place] = score, column

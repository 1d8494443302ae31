"""Compiled kernels on all cores; the parts follow from the data alone, so that results do not depend on the cores."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray

Part = Callable[[int], None]
"""Does one part of the work, in compiled code that releases the interpreter's lock and writes no other part's data."""


def on_all_threads(part: Part, n_parts: int) -> None:
    """Do the parts 0 to ``n_parts`` - 1 on as many threads as numba may use, and return when all are done.

    A free thread takes the next part: if their sizes differ, make several parts for each thread. An exception of a part
    is raised here once all threads have stopped.
    """
    n_threads = min(numba.get_num_threads(), n_parts)
    if n_threads <= 1:
        for nth in range(n_parts):
            part(nth)
        return
    parts = iter(range(n_parts))

    def take_parts() -> None:
        for nth in parts:  # a step of a range iterator is atomic
            part(nth)

    others = [_pool(n_threads - 1).submit(take_parts) for _ in range(n_threads - 1)]
    try:
        take_parts()
    finally:  # after an exception too, no thread may write to arrays that the caller has given up
        deque(parts, maxlen=0)
        wait([other for other in others if not other.cancel()])
    for other in others:
        if not other.cancelled():
            other.result()


def even_bounds(starts: NDArray[np.int64], n_parts: int) -> NDArray[np.int64]:
    """Return the bounds of parts of rows, shape (n_parts + 1,), with about equally many entries each.

    Args:
        starts: (n_rows + 1,) the start of each row's entries.
        n_parts: the number of parts; some are empty if there are fewer rows.
    """
    targets = np.linspace(starts[0], starts[-1], n_parts + 1)
    bounds = np.searchsorted(starts, targets).astype(np.int64)
    bounds[0], bounds[-1] = 0, len(starts) - 1
    return bounds


@contextmanager
def threads(n_threads: int) -> Iterator[None]:
    """Set the number of threads of kernels inside the block; for measurements."""
    before = numba.get_num_threads()
    numba.set_num_threads(n_threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)


@lru_cache(maxsize=4)
def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return the threads that work beside the caller's."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="cineclub-kernel")

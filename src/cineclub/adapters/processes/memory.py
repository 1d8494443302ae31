"""The C library's memory: kept in one place, and given back after a model was replaced. glibc alone can do either."""

import contextlib
import ctypes

M_ARENA_MAX = -8


def keep_one_arena() -> None:
    """Let all threads allocate from one arena: with one each, every thread that once loaded a model keeps its share."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def give_back_free_memory() -> None:
    """Return to the system what is free inside of the heap; takes milliseconds, so it is for rare moments."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)

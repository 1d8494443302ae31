"""Settings of the C allocator of a long-running process; glibc alone has them, elsewhere nothing happens."""

import contextlib
import ctypes

M_ARENA_MAX = -8


def keep_one_arena() -> None:
    """Let all threads allocate from one arena: with one each, every thread that once loaded a model keeps its share."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def give_back_free_memory() -> None:
    """Return free memory inside the heap to the system; takes milliseconds, so call it rarely."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)

"""One module per drawing, its steps in the drawing's order; what their runs are measured with stands here."""

import resource
import sys
import time

from cineclub.domain.scoreboard import Meters

BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024
"""macOS counts the peak memory in bytes, Linux in kibibytes."""


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_UNIT


METERS = Meters(time.perf_counter, peak_memory_bytes)

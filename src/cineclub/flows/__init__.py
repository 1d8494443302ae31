"""One module per drawing, its steps in the drawing's order; what their runs are measured with stands here."""

import os
import platform
import re
import resource
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel, Progress
from cineclub.domain.scoreboard import Meters
from cineclub.models import catalogue

BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024
"""macOS counts the peak memory in bytes, Linux in kibibytes."""


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_UNIT


CONTROL_GROUP = Path("/sys/fs/cgroup")
"""Where a container sees its own limits."""


def available_memory_bytes() -> int | None:
    """Return how much memory a fit may take: what the machine or its container has free, None if unknown."""
    limits = [_bytes_in(Path("/proc/meminfo"), r"MemAvailable:\s+(\d+) kB", 1024), free_in_container(CONTROL_GROUP)]
    return min((limit for limit in limits if limit is not None), default=None)


def fit_within_memory(
    recipe: Recipe, ratings: RatingMatrix, rng: np.random.Generator, progress: Progress
) -> FittedModel:
    """Return the recipe's model of a matrix; refuse before it starts what needs more memory than is free.

    Raises:
        InvalidInput: a wrong recipe, or a size that does not fit.
        NotEnoughData: there is no rating to learn from.
    """
    return catalogue.fit(recipe, ratings, rng, progress, available_memory_bytes())


def library_versions() -> dict[str, str]:
    """Return what the bytes of a fit may depend on beside its ratings, recipe and seed, by name.

    The libraries and Python in their versions, the kind of processor, and how many threads may run at once.
    """
    versions = {name: metadata.version(name) for name in ("numpy", "scipy", "numba", "cineclub")}
    n_threads = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    return {"python": platform.python_version(), **versions, "processor": platform.machine(), "threads": n_threads}


def free_in_container(folder: Path) -> int | None:
    """Return what is left of the memory of a control group (version 2); None outside of one.

    What the system holds of files it gives back when asked, so that counts as free.
    """
    limit = _bytes_in(folder / "memory.max", r"(\d+)")
    used = _bytes_in(folder / "memory.current", r"(\d+)")
    if limit is None or used is None:
        return None
    of_files = [_bytes_in(folder / "memory.stat", rf"(?m)^{kind}_file (\d+)") or 0 for kind in ("active", "inactive")]
    return max(limit - used + sum(of_files), 0)


def _bytes_in(path: Path, pattern: str, unit: int = 1) -> int | None:
    """Return the first number that a pattern finds in a file of the system, in bytes; None without one."""
    try:
        found = re.search(pattern, path.read_text(encoding="ascii"))
    except OSError:
        return None
    return int(found[1]) * unit if found else None


METERS = Meters(time.perf_counter, peak_memory_bytes)

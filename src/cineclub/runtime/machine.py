"""Facts of this machine and process: the time, memory, and versions of libraries."""

import os
import platform
import re
import resource
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from cineclub.domain.evaluation.scoreboard import Meters

BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024
"""macOS reports the peak memory in bytes, Linux in kibibytes."""

CONTROL_GROUP = Path("/sys/fs/cgroup")
"""The folder with the limits of this container."""


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def peak_memory_bytes() -> int:
    """Return the peak resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_UNIT


METERS = Meters(time.perf_counter, peak_memory_bytes)


def available_memory_bytes() -> int | None:
    """Return the free memory of the machine or, if that is less, of its container, in bytes; None if unknown."""
    limits = [_bytes_in(Path("/proc/meminfo"), r"MemAvailable:\s+(\d+) kB", 1024), free_in_container(CONTROL_GROUP)]
    return min((limit for limit in limits if limit is not None), default=None)


def free_in_container(folder: Path) -> int | None:
    """Return the free memory of a control group (version 2) in bytes; None outside of one.

    The page cache counts as free: the system gives it back on demand.
    """
    limit = _bytes_in(folder / "memory.max", r"(\d+)")
    used = _bytes_in(folder / "memory.current", r"(\d+)")
    if limit is None or used is None:
        return None
    of_files = [_bytes_in(folder / "memory.stat", rf"(?m)^{kind}_file (\d+)") or 0 for kind in ("active", "inactive")]
    return max(limit - used + sum(of_files), 0)


def library_versions() -> dict[str, str]:
    """Return the versions of Python and the libraries, the kind of processor, and the number of threads, by name.

    The bytes of a fit may depend on them, beside its ratings, recipe and seed.
    """
    versions = {name: metadata.version(name) for name in ("numpy", "scipy", "numba", "cineclub")}
    n_threads = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    return {"python": platform.python_version(), **versions, "processor": platform.machine(), "threads": n_threads}


def _bytes_in(path: Path, pattern: str, unit: int = 1) -> int | None:
    """Return the first number that a pattern matches in a file of the system, in bytes; None without one."""
    try:
        match = re.search(pattern, path.read_text(encoding="ascii"))
    except OSError:
        return None
    return int(match[1]) * unit if match else None

"""The processes of one metrics page: one process, or several that share the requests and their counts in files."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, values
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
TEXT_SUFFIX = ".txt"
PID_SUFFIX = ".pid"
UNFINISHED_SUFFIX = ".unfinished"
RESERVED_BYTES = 1 << 18
NOTHING_USED = bytes(4)
"""The number of used bytes, with which each file begins."""


class Processes(Protocol):
    """The processes whose metrics one page shows."""

    def page_of(self, registry: CollectorRegistry) -> CollectorRegistry:
        """Return the registry of the page for the metrics declared in ``registry``."""
        ...

    def keep(self, part: str, text: bytes) -> None:
        """Replace a part of the page that one process writes for all."""
        ...

    def parts(self) -> bytes:
        """Return the newest text of every part, in alphabetic order."""
        ...

    def note_started(self, number: int, pid: int) -> None:
        """Show the worker of this number; called by the parent."""
        ...

    def note_ended(self, number: int) -> None:
        """Hide a dead worker; called by the parent."""
        ...

    def forget(self) -> None:
        """Remove everything; called by the parent at the end."""
        ...


class OneProcess:
    """This process alone."""

    def __init__(self) -> None:
        """Start without parts."""
        self._parts: dict[str, bytes] = {}

    def page_of(self, registry: CollectorRegistry) -> CollectorRegistry:
        """Return the registry itself, with the metrics of Python and the system added."""
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        return registry

    def keep(self, part: str, text: bytes) -> None:
        """Keep a part in memory."""
        self._parts[part] = text

    def parts(self) -> bytes:
        """Return every part from memory."""
        return b"".join(self._parts[part] for part in sorted(self._parts))

    def note_started(self, number: int, pid: int) -> None:
        """Note nothing: each worker shows itself."""

    def note_ended(self, number: int) -> None:
        """Note nothing: the counts of a dead worker are gone."""

    def forget(self) -> None:
        """Remove nothing."""


class SeveralProcesses:
    """The workers of one parent, each with a number that its successor takes over.

    Counts are in memory-mapped files by number: each worker returns the sum of all, and the successor of a dead worker
    continues its counts, so that no counter falls.
    """

    def __init__(self, folder: Path, number: Callable[[], int]) -> None:
        """Empty the folder; all metrics declared from now on are stored there.

        ``number`` returns the number of the worker that this process is: 0 in the parent, another after each fork.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        os.environ[VARIABLE] = str(folder)
        values.MmapedDict = _ReservedFile  # type: ignore[attr-defined] # what the values below are stored in
        values.ValueClass = values.MultiProcessValue(number)  # type: ignore[no-untyped-call]
        self._folder = folder

    def page_of(self, _registry: CollectorRegistry) -> CollectorRegistry:
        """Return the sum of all workers' metrics, with the system's metrics of each."""
        page = CollectorRegistry()
        page.register(_SumCollector(None, str(self._folder)))  # type: ignore[no-untyped-call]
        page.register(_WorkerCollector(self._folder))
        return page

    def keep(self, part: str, text: bytes) -> None:
        """Write a part to a file that all workers read."""
        _write_at_once(self._folder / f"{part}{TEXT_SUFFIX}", text)

    def parts(self) -> bytes:
        """Return the newest text of every part from the files."""
        return b"".join(file.read_bytes() for file in sorted(self._folder.glob(f"*{TEXT_SUFFIX}")))

    def note_started(self, number: int, pid: int) -> None:
        """Show the worker of this number; called by the parent."""
        _write_at_once(self._folder / f"{number}{PID_SUFFIX}", str(pid).encode())

    def note_ended(self, number: int) -> None:
        """Empty the gauges of a dead worker, and remove what it left unfinished; its counts stay.

        Gauges are emptied in their files, whose space the successor needs also when the disk is full.
        """
        pid_file = self._folder / f"{number}{PID_SUFFIX}"
        with contextlib.suppress(FileNotFoundError):
            for unfinished in self._folder.glob(f"*.{pid_file.read_text()}{UNFINISHED_SUFFIX}"):
                unfinished.unlink()
        pid_file.unlink(missing_ok=True)
        for gauges in self._folder.glob(f"gauge_live*_{number}.db"):
            with gauges.open("r+b") as file:
                file.write(NOTHING_USED)

    def forget(self) -> None:
        """Remove everything; called by the parent at the end."""
        shutil.rmtree(self._folder, ignore_errors=True)


def count_alone(folder: Path) -> OneProcess:
    """Return this process alone, with counts in memory, after the folder of several could not be written."""
    shutil.rmtree(folder, ignore_errors=True)
    os.environ.pop(VARIABLE, None)
    values.MmapedDict = MmapedDict  # type: ignore[attr-defined]
    values.ValueClass = values.MutexValue
    return OneProcess()


class _ReservedFile(MmapedDict):
    """A file of values whose space is reserved: on a full disk, writing to a mapped page without space is fatal."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002 - as the library calls it
        """Reserve the space, and open the file."""
        if not read_mode and hasattr(os, "posix_fallocate"):
            with open(filename, "ab") as file:  # noqa: PTH123 - the library's name is text
                os.posix_fallocate(file.fileno(), 0, RESERVED_BYTES)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]


class _SumCollector(MultiProcessCollector):
    """The metrics of all workers, added up."""

    def collect(self) -> list[Metric]:
        """Return the metrics; files are empty while a worker creates them, or after it was killed then."""
        files = []
        for file in sorted(Path(self._path).glob("*.db")):
            with contextlib.suppress(FileNotFoundError):  # its worker has just ended
                if file.stat().st_size:
                    files.append(str(file))
        return list(self.merge(files, accumulate=True))  # type: ignore[no-untyped-call]


class _WorkerCollector:
    """The system's metrics of each worker, with its number as a label."""

    def __init__(self, folder: Path) -> None:
        """Take the folder with the process ids of the workers."""
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of ``ProcessCollector``, a sample for each worker."""
        metrics: dict[str, Metric] = {}
        for file in sorted(self._folder.glob(f"*{PID_SUFFIX}")):
            try:
                pid = file.read_text()
            except FileNotFoundError:  # the worker has just ended
                continue
            for own in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                metric = metrics.setdefault(own.name, Metric(own.name, own.documentation, own.type))
                for sample in own.samples:
                    metric.add_sample(sample.name, {"worker": file.stem}, sample.value)
        yield from metrics.values()


def _write_at_once(path: Path, text: bytes) -> None:
    """Write a file so that no reader ever sees a part of it.

    Not by ``runtime.unfinished``: the folder ends with its parent, so nothing need wait for the disk, and the process
    id in the name lets the parent clear what a killed worker left.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED_SUFFIX}")
    try:
        unfinished.write_bytes(text)
        unfinished.replace(path)
    except OSError:  # such as a full disk
        unfinished.unlink(missing_ok=True)
        raise

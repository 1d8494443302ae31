"""Whose metrics a page shows: those of one process, or of all that share the requests, by files on this machine."""

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
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
TEXT_SUFFIX = ".txt"
PID_SUFFIX = ".pid"


class Processes(Protocol):
    """Those whose counts stand on one page."""

    def page_of(self, registry: CollectorRegistry) -> CollectorRegistry:
        """Return what is shown where these metrics are declared."""
        ...

    def keep(self, part: str, text: bytes) -> None:
        """Keep a part of the page that one process knows for all, in place of what was kept of it before."""
        ...

    def kept(self) -> bytes:
        """Return what was kept last of every part, in alphabetic order."""
        ...


class OneProcess:
    """This process alone."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._kept: dict[str, bytes] = {}

    def page_of(self, registry: CollectorRegistry) -> CollectorRegistry:
        """Return the metrics themselves, with what Python and the system know of this process."""
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        return registry

    def keep(self, part: str, text: bytes) -> None:
        """Keep a part in memory."""
        self._kept[part] = text

    def kept(self) -> bytes:
        """Return every part from memory."""
        return b"".join(self._kept[part] for part in sorted(self._kept))


class SeveralProcesses:
    """The workers of one parent, each with a number that its successor takes over.

    Counts stand in memory-mapped files by number, so that whichever worker answers adds up all of them, and a worker
    that is started again counts on where the dead one stopped: no counter falls.
    """

    def __init__(self, folder: Path, number: Callable[[], int]) -> None:
        """Empty the folder, and let all metrics that are made from now on be kept there.

        ``number`` says which worker this process is: 0 in the parent, and another one after each fork.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        os.environ[VARIABLE] = str(folder)
        values.ValueClass = values.MultiProcessValue(number)  # type: ignore[no-untyped-call]
        self._folder = folder

    def page_of(self, _registry: CollectorRegistry) -> CollectorRegistry:
        """Return the sum of all workers' metrics, with what the system knows of each."""
        page = CollectorRegistry()
        page.register(_SumCollector(None, str(self._folder)))  # type: ignore[no-untyped-call]
        page.register(_WorkerCollector(self._folder))
        return page

    def keep(self, part: str, text: bytes) -> None:
        """Write a part where all workers read it; one of them knows it."""
        _write_at_once(self._folder / f"{part}{TEXT_SUFFIX}", text)

    def kept(self) -> bytes:
        """Return what was written last of every part."""
        return b"".join(file.read_bytes() for file in sorted(self._folder.glob(f"*{TEXT_SUFFIX}")))

    def note_started(self, number: int, pid: int) -> None:
        """Show the worker of this number from now on; called by the parent."""
        _write_at_once(self._folder / f"{number}{PID_SUFFIX}", str(pid).encode())

    def note_ended(self, number: int) -> None:
        """Show no gauges of a dead worker; its counts stay."""
        (self._folder / f"{number}{PID_SUFFIX}").unlink(missing_ok=True)
        mark_process_dead(number, str(self._folder))  # type: ignore[no-untyped-call]

    def forget(self) -> None:
        """Remove everything; called by the parent at the end."""
        shutil.rmtree(self._folder, ignore_errors=True)


class _SumCollector(MultiProcessCollector):
    """The metrics of all workers, added up."""

    def collect(self) -> list[Metric]:
        """Return them; a file that a worker is just making, or was killed while making, is empty and holds nothing."""
        return list(self.merge(self._files_with_counts(), accumulate=True))  # type: ignore[no-untyped-call]

    def _files_with_counts(self) -> list[str]:
        """Return the files that a worker has begun to count in."""
        found = []
        for file in sorted(Path(self._path).glob("*.db")):
            with contextlib.suppress(FileNotFoundError):  # its worker has just ended
                if file.stat().st_size:
                    found.append(str(file))
        return found


class _WorkerCollector:
    """What the system knows of each worker, with its number as a label."""

    def __init__(self, folder: Path) -> None:
        """Take the folder where the parent notes who lives."""
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of ``ProcessCollector``, a sample for each worker."""
        metrics: dict[str, Metric] = {}
        for number, pid in self._workers():
            for found in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                metric = metrics.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                for sample in found.samples:
                    metric.add_sample(sample.name, {"worker": number}, sample.value)
        yield from metrics.values()

    def _workers(self) -> Iterator[tuple[str, str]]:
        """Yield number and process id of each worker that lives."""
        for file in sorted(self._folder.glob(f"*{PID_SUFFIX}")):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                yield file.stem, file.read_text()


def _write_at_once(path: Path, text: bytes) -> None:
    """Write a file so that no reader ever sees a part of it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    unfinished.write_bytes(text)
    unfinished.replace(path)

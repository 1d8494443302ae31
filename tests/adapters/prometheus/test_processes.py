"""The folder of metrics that several API processes share."""

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, values
from pydantic import SecretStr

from cineclub.adapters.prometheus.processes import VARIABLE, OneProcess, SeveralProcesses
from cineclub.bootstrap.serving import shared_api_parts
from cineclub.settings import Settings

N_KILLED = 50


@pytest.fixture
def number() -> Iterator[list[int]]:
    """The number of this process; metrics are counted in memory again afterwards."""
    before, file = values.ValueClass, values.MmapedDict
    yield [0]
    values.ValueClass, values.MmapedDict = before, file
    os.environ.pop(VARIABLE, None)


def files_of(folder: Path) -> dict[str, int]:
    """Return the files of a folder with their sizes."""
    return {file.name: file.stat().st_size for file in folder.iterdir()}


def test_the_folder_does_not_grow_with_killed_workers(tmp_path: Path, number: list[int]) -> None:
    """After 50 workers were killed in the middle of writing, the files are those of one, and no count has fallen.

    All space of the files is reserved, so that a full disk ends no worker.
    """
    folder = tmp_path / "metrics"
    processes = SeveralProcesses(folder, lambda: number[0])
    registry = CollectorRegistry()
    counter = Counter("requests", "Requests.", registry=registry)
    gauge = Gauge("waiting", "Waiting.", registry=registry, multiprocess_mode="livesum")
    page = processes.page_of(registry)
    grown: list[dict[str, int]] = []
    for n_killed in range(1, N_KILLED + 1):
        pid = os.fork()
        if not pid:
            number[0] = 1
            counter.inc()
            gauge.set(7)
            (folder / f"trainings.txt.{os.getpid()}.unfinished").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        processes.note_started(1, pid)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        assert page.get_sample_value("waiting") == 7
        processes.note_ended(1)
        assert page.get_sample_value("requests_total") == n_killed
        assert not page.get_sample_value("waiting")
        grown.append(files_of(folder))
    assert grown[0] == grown[-1]
    for file in folder.glob("*_1.db"):
        assert file.stat().st_blocks * 512 >= file.stat().st_size > 0


def test_an_unwritten_part_leaves_no_file(tmp_path: Path, number: list[int]) -> None:
    """A part that cannot be written is an error, and leaves nothing behind."""
    folder = tmp_path / "metrics"
    processes = SeveralProcesses(folder, lambda: number[0])
    (folder / "part.txt").mkdir()
    (folder / "part.txt" / "inside").touch()
    before = files_of(folder)
    with pytest.raises(OSError, match="part"):
        processes.keep("part", b"text")
    assert set(files_of(folder)) == set(before)


def test_a_disk_without_room_for_counts_lets_each_process_count_itself(
    tmp_path: Path, number: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder can be made and the first file in it cannot: the counts go to the memory, and no file is left."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    settings = Settings(home=tmp_path, database_url=SecretStr("postgresql://nobody@localhost/none"))
    _parts, processes = shared_api_parts(settings, lambda: number[0])
    assert isinstance(processes, OneProcess)
    assert VARIABLE not in os.environ
    assert list((tmp_path / "metrics").iterdir()) == []
    counter = Counter("requests", "Requests.", registry=CollectorRegistry())
    counter.inc()
    assert list((tmp_path / "metrics").iterdir()) == []

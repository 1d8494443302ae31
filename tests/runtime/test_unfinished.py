"""What is unfinished takes its name at once, and is cleared when its process is dead, never while it lives."""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from cineclub.runtime.unfinished import clear_leftovers, unfinished_file, unfinished_folder


def write_and_wait(folder: Path, started: Connection) -> None:
    """Hold an unfinished file and an unfinished folder until this process is killed."""
    with unfinished_file(folder / "all.csv") as file, unfinished_folder(folder) as other:
        file.write_text("half")
        (other / "part").write_text("half")
        started.send("started")
        signal.sigwait({signal.SIGTERM})


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[multiprocessing.process.BaseProcess]:
    """A process that has begun to write."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=write_and_wait, args=(tmp_path, theirs))
    process.start()
    assert ours.recv() == "started"
    yield process
    process.kill()
    process.join()


def test_a_living_process_keeps_what_it_writes_and_a_killed_one_does_not(
    tmp_path: Path, writer: multiprocessing.process.BaseProcess
) -> None:
    """Leftovers are cleared by whoever comes next; other files stay."""
    (tmp_path / ".cineclub-notes").write_text("mine")
    clear_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    writer.kill()
    writer.join()
    with unfinished_file(tmp_path / "all.csv") as file:
        file.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cineclub-notes", "all.csv"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    """Neither the finished nor the unfinished file is there."""

    def fail() -> None:
        with unfinished_file(tmp_path / "all.csv"):
            message = "half way"
            raise ValueError(message)

    with pytest.raises(ValueError, match="half way"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["mkstemp", "mkdtemp"])
def test_what_is_cleared_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Another process clears it twice, right after it appears: the third is whole, private and on the disk."""
    make, made = getattr(tempfile, step), []

    def make_and_lose(*arguments: object) -> object:
        made.append(make(*arguments))
        if len(made) <= 2:
            clear_leftovers(tmp_path)
        return made[-1]

    monkeypatch.setattr(tempfile, step, make_and_lose)
    if step == "mkdtemp":
        with unfinished_folder(tmp_path) as folder:
            (folder / "part").write_text("whole")
    else:
        with unfinished_file(tmp_path / "all.csv", is_private=True) as file, file.open("r+b") as opened:
            opened.write(b"whole")
        assert (tmp_path / "all.csv").read_text() == "whole"
        assert (tmp_path / "all.csv").stat().st_mode & 0o777 == 0o600
    assert len(made) == 3


def test_links_and_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    """A planted link with the name of a leftover is not followed."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".cineclub-x.unfinished").symlink_to(tmp_path / "precious")
    clear_leftovers(tmp_path / "folder")
    clear_leftovers(tmp_path / "missing")
    assert (tmp_path / "precious").is_dir()


@pytest.mark.parametrize(("is_private", "mode"), [(True, 0o600), (False, 0o640)])
def test_modes_follow_the_umask_unless_the_file_is_private(tmp_path: Path, mode: int, *, is_private: bool) -> None:
    """A private file has mode 0600 under every umask."""
    before = os.umask(0o027)
    try:
        with unfinished_file(tmp_path / "file", is_private=is_private):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode

"""Whatever is wrong with a file or a disk, `backup`, `restore` and `export` end with status 1 and a sentence."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import CINECLUB, cineclub

from cineclub.bootstrap import storage
from cineclub.settings import Settings
from registry_bench import write_ratings

ROOM = 30_000  # bytes that a file may have, in place of a full disk


@pytest.fixture(scope="module")
def trained(connected: Settings) -> Settings:
    """A database of 160 users with a model in production."""
    write_ratings(storage.database_url(connected))
    done = cineclub(connected.home, "train", "--models", "ease")
    assert done.returncode == 0, done.stderr
    return connected


@pytest.fixture(scope="module")
def backup(trained: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of that database."""
    target = tmp_path_factory.mktemp("backup") / "all.backup"
    done = cineclub(trained.home, "backup", str(target))
    assert done.returncode == 0, done.stderr
    return target


def assert_refused(done: "subprocess.CompletedProcess[str]", sentence: str) -> None:
    """Check the status and the message of a command that a person can help."""
    message = " ".join(done.stderr.split())
    assert (done.returncode, done.stdout) == (1, ""), message
    assert sentence in message
    assert "unexpected" not in message
    assert "Traceback" not in message


def test_a_restored_backup_predicts_what_was_predicted(trained: Settings, backup: Path, home: Path) -> None:
    """In another home the same version serves, and the same user gets the same films."""
    done = cineclub(home, "restore", str(backup))
    assert done.returncode == 0, done.stderr
    assert "160 users" in done.stdout
    shown = [cineclub(place, "recommend", "7") for place in (trained.home, home)]
    assert shown[0].returncode == 0, shown[0].stderr
    assert "version 1" in shown[0].stdout
    assert shown[1].stdout == shown[0].stdout


def cut(source: Path, target: Path) -> None:
    """Write the half of a backup."""
    target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])


def pretend(source: Path, target: Path) -> None:
    """Write an archive that is no backup."""
    shutil.make_archive(str(target.with_suffix("")), "gztar", source.parent, "all.backup")
    target.with_suffix(".tar.gz").rename(target)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (cut, "not a backup of cineclub, or is damaged or cut short"),
        (pretend, "not a backup of cineclub"),
        (lambda _source, target: target.mkdir(), "it is a folder"),
        (lambda _source, _target: None, "it does not exist"),
        (lambda _source, target: target.write_text("hello\n"), "not a backup of cineclub"),
        (lambda _source, target: target.write_bytes(b"PK\x03\x04" + bytes(40)), "not a backup of cineclub"),
        (lambda _source, target: target.write_bytes(b"\xfd7zXZ\x00" + bytes(40)), "not a backup of cineclub"),
    ],
    ids=["cut", "another archive", "folder", "missing", "text", "zip", "broken xz"],
)
def test_what_is_no_backup_is_refused(
    trained: Settings, backup: Path, tmp_path: Path, write: Callable[[Path, Path], object], sentence: str
) -> None:
    """The message names the file and the fault."""
    write(backup, tmp_path / "other.backup")
    assert_refused(cineclub(trained.home, "restore", str(tmp_path / "other.backup"), "--replace"), sentence)


def test_a_backup_needs_a_folder(trained: Settings, tmp_path: Path) -> None:
    """A folder that is missing, or that is a file, is named."""
    assert_refused(cineclub(trained.home, "backup", str(tmp_path / "no" / "all.backup")), "does not exist")
    (tmp_path / "file").write_text("")
    assert_refused(cineclub(trained.home, "backup", str(tmp_path / "file" / "all.backup")), "does not exist")
    assert_refused(cineclub(trained.home, "export", str(tmp_path / "file" / "out")), "nothing was exported")


def with_little_room(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that can write small files only."""
    return subprocess.run(
        [CINECLUB, *arguments],
        env={**os.environ, "CINECLUB_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM)),
    )


def test_without_room_nothing_is_left(trained: Settings, backup: Path, tmp_path: Path) -> None:
    """Backup, export and restore say that the disk is full, leave nothing behind, and the version still serves."""
    before = cineclub(trained.home, "recommend", "7").stdout
    target, folder = tmp_path / "all.backup", tmp_path / "out"
    assert_refused(with_little_room(trained, "backup", str(target)), "free disk space")
    assert_refused(with_little_room(trained, "export", str(folder)), "free disk space")
    assert_refused(with_little_room(trained, "restore", str(backup), "--replace"), "free disk space")
    assert list(tmp_path.iterdir()) == [folder]
    assert list(folder.iterdir()) == []
    assert not (trained.home / ".restore").exists()
    after = cineclub(trained.home, "recommend", "7")
    assert (after.returncode, after.stdout) == (0, before)


@pytest.mark.parametrize(
    "command", [("models",), ("backup", "all.backup"), ("restore", "all.backup"), ("export", "out")]
)
def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    """The folder and what to do, for every command."""
    (tmp_path / "file").write_text("")
    assert_refused(cineclub(tmp_path / "file" / "home", *command), "a part of the path is a file: remove it")

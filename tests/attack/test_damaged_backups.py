"""Backups with flipped bits and cut ends, and restores that are killed or run out of room: the state stays whole."""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cineclub.adapters.postgres.backup import backup
from cineclub.adapters.postgres.backup_file import DUMP, FACTS, FOLDERS, unpack
from cineclub.domain.errors import InvalidInput
from registry_fixtures import bench_database, mlflow_template
from whole_state import change, fill, restored, state_of

if TYPE_CHECKING:
    from conftest import Repetitions

__all__ = ["bench_database", "mlflow_template"]
pytestmark = [pytest.mark.attack, pytest.mark.timeout(900)]

CINECLUB = str(Path(sys.executable).with_name("cineclub"))
SIZE = 2000  # of a file, in hashes
LONGEST_SECONDS = 6.0


@pytest.fixture
def backed_up(bench_database: str, home: Path, tmp_path: Path) -> Path:
    """A backup of a state that was changed afterwards."""
    fill(bench_database, home, SIZE)
    target = tmp_path / "cineclub.backup"
    backup(bench_database, home, target)
    change(bench_database, home)
    return target


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with one bit flipped."""
    at = int(rng.integers(len(content)))
    return content[:at] + bytes([content[at] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :]


def shortened(content: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes without some at their end."""
    return content[: int(rng.integers(len(content)))]


def is_refused(source: Path, url: str, home: Path) -> bool:
    """Return whether a restore is refused with a message about the file."""
    try:
        restored(source, url, home)
    except InvalidInput as error:
        return "not a backup of cineclub" in str(error)
    return False


def test_every_damaged_backup_is_refused(
    bench_database: str, home: Path, backed_up: Path, repetitions: "Repetitions"
) -> None:
    """16 flips of a bit and 16 cuts: nothing is restored, and every row and file is as before."""
    content, rng, before = backed_up.read_bytes(), np.random.default_rng(20261130), state_of(bench_database, home)
    n_each = repetitions.of(16)
    refused = 0
    for damage in [flipped] * n_each + [shortened] * n_each:
        backed_up.write_bytes(damage(content, rng))
        refused += is_refused(backed_up, bench_database, home)
        assert state_of(bench_database, home) == before
    sys.stdout.write(f"damaged backups: {refused} of {2 * n_each} refused, state unchanged each time\n")
    assert refused == 2 * n_each


def in_the_former_format(source: Path, folder: Path) -> bytes:
    """Return a backup as earlier releases wrote it."""
    folder.mkdir()
    unpack(source, folder)
    facts = json.loads((folder / FACTS).read_text())
    facts |= {"format": 1, "dump_sha256": hashlib.sha256((folder / DUMP).read_bytes()).hexdigest()}
    (folder / FACTS).write_text(json.dumps(facts))
    with tarfile.open(folder / "former", "w:gz", compresslevel=1) as archive:
        for name in (FACTS, DUMP, *FOLDERS):
            archive.add(folder / name, name)
    return (folder / "former").read_bytes()


def test_every_damaged_backup_of_the_former_format_is_refused_or_whole(
    bench_database: str, home: Path, backed_up: Path, repetitions: "Repetitions", tmp_path: Path
) -> None:
    """Its compression has a checksum of the content; bits that hold no content are harmless."""
    content, rng = in_the_former_format(backed_up, tmp_path / "former"), np.random.default_rng(7)
    restored(backed_up, bench_database, home)
    whole = state_of(bench_database, home)
    n_each = repetitions.of(16)
    refused = 0
    for damage in [flipped] * n_each + [shortened] * n_each:
        backed_up.write_bytes(damage(content, rng))
        refused += is_refused(backed_up, bench_database, home)
        assert state_of(bench_database, home) == whole
    sys.stdout.write(f"damaged backups of the former format: {refused} of {2 * n_each} refused, nothing lost in any\n")
    assert refused >= 2 * n_each - 1


def _limit(room: int | None) -> Callable[[], None] | None:
    """Return a function that limits the size of every file that a new process writes."""
    return None if room is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))


def command(url: str, home: Path, *arguments: str, room: int | None = None) -> "subprocess.Popen[str]":
    """Start a command; with ``room``, no file of it may have more bytes."""
    environment = {**os.environ, "CINECLUB_HOME": str(home), "CINECLUB_DATABASE_URL": url}
    return subprocess.Popen(
        [CINECLUB, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_limit(room),  # noqa: PLW1509 - one system call
    )


def test_a_killed_restore_leaves_the_former_state_or_the_new_one(
    bench_database: str, home: Path, backed_up: Path, repetitions: "Repetitions"
) -> None:
    """Killed at a random moment: the next command finds one of both states whole, and clears the rest."""
    former = state_of(bench_database, home)
    restored(backed_up, bench_database, home)
    new = state_of(bench_database, home)
    rng, n_kills, n_former = np.random.default_rng(11), repetitions.of(24, least=4), 0
    for _ in range(n_kills):
        change_back(bench_database, home)
        process = command(bench_database, home, "restore", str(backed_up), "--replace")
        time.sleep(rng.uniform(0.5, LONGEST_SECONDS))
        process.kill()
        process.communicate()
        done = command(bench_database, home, "keys", "list")
        assert (done.wait(120), "error" in done.communicate()[1]) == (0, False)
        state = state_of(bench_database, home)
        assert state in (former, new)
        n_former += state == former
        assert not (home / ".restore").exists()
    sys.stdout.write(
        f"killed restores: {n_kills} of {n_kills} whole, {n_former} the former state, the others the new one\n"
    )


def change_back(url: str, home: Path) -> None:
    """Make the former state again, whichever state is there."""
    shutil.rmtree(home / "models" / "2-def", ignore_errors=True)
    change(url, home)


def test_killed_backups_leave_nothing_behind(
    bench_database: str, home: Path, backed_up: Path, repetitions: "Repetitions", tmp_path: Path
) -> None:
    """Killed at a random moment: the file is whole or not there, and the next backup clears the folder."""
    folder, rng, n_kills = tmp_path / "backups", np.random.default_rng(13), repetitions.of(16, least=4)
    folder.mkdir()
    for nth in range(n_kills):
        process = command(bench_database, home, "backup", str(folder / f"{nth}.backup"))
        time.sleep(rng.uniform(0.3, 2.5))
        process.kill()
        process.communicate()
    assert command(bench_database, home, "backup", str(folder / "last.backup")).wait(120) == 0
    names = {path.name for path in folder.iterdir()}
    assert names <= {f"{nth}.backup" for nth in range(n_kills)} | {"last.backup"}
    for name in sorted(names):
        target = tmp_path / f"unpacked-{name}"
        target.mkdir()
        unpack(folder / name, target)
    sys.stdout.write(f"killed backups: {n_kills}, {len(names) - 1} were whole before, nothing else is left\n")
    assert backed_up.is_file()


def test_a_restore_without_room_changes_nothing(
    bench_database: str, home: Path, backed_up: Path, repetitions: "Repetitions"
) -> None:
    """Whatever size of a file the disk has room for, the former state stays and the message says so."""
    before, rng, n_disks = state_of(bench_database, home), np.random.default_rng(17), repetitions.of(16, least=3)
    for _ in range(n_disks):
        process = command(
            bench_database, home, "restore", str(backed_up), "--replace", room=int(rng.integers(1, SIZE * 32))
        )
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 1, errors
        assert "free disk space" in " ".join(errors.split())
        assert state_of(bench_database, home) == before
    sys.stdout.write(f"restores on a full disk: {n_disks} of {n_disks} refused, state unchanged\n")

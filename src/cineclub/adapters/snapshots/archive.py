"""The folder of snapshots: each appears whole under its hash, the oldest go, and whoever was erased leaves all."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from cineclub.adapters.snapshots.parquet import (
    MOVIES,
    RATINGS,
    directory_to_disk,
    holds_any,
    is_rewritten,
    read_snapshot,
    rewrite_without,
    write_movies,
    write_ratings,
)
from cineclub.domain.errors import BrokenArtifact, SnapshotGone, StorageUnavailable
from cineclub.domain.ratings import Snapshot, SnapshotIdentity
from cineclub.ports import Erasure, SnapshotRecord

APPLIED = "erasures.json"
LOCK = ".lock"
SHORT_HASH = 12


class SnapshotRecords(Protocol):
    """What all hosts know of snapshots, and who was erased."""

    def note_kept(self, identity: SnapshotIdentity) -> None:
        """Record that a snapshot lies whole in somebody's folder."""
        ...

    def note_dropped(self, content_sha256s: list[str]) -> None:
        """Record that snapshots are about to be deleted."""
        ...

    def note_erased(self, content_sha256: str) -> None:
        """Record that a snapshot is about to be rewritten."""
        ...

    def all(self) -> list[SnapshotRecord]:
        """Return every snapshot that was ever kept, newest first."""
        ...

    def erasures(self) -> list[Erasure]:
        """Return who was erased."""
        ...


class SnapshotArchive:
    """Implements the port ``SnapshotStore`` on a folder of this host.

    One process at a time changes the folder; the lock ends with the process, so what a killed one left is not in use.
    """

    def __init__(
        self, folder: Path, records: SnapshotRecords, n_kept: int, read_in_production: Callable[[], str | None]
    ) -> None:
        """Keep the ``n_kept`` newest in ``folder``, and the one whose hash ``read_in_production`` returns.

        ``read_in_production`` raises BrokenArtifact where that cannot be told just now: then nothing is dropped.
        """
        self._folder = folder
        self._records = records
        self._n_kept = n_kept
        self._read_in_production = read_in_production

    def keep(self, snapshot: Snapshot) -> None:
        """Keep a snapshot under its hash, and drop the oldest beyond those that are to stay.

        Raises:
            StorageUnavailable: the folder cannot be written, or PostgreSQL does not answer.
        """
        if self._n_kept:
            with self._alone():
                try:
                    self._write(snapshot)
                except OSError as error:
                    message = (
                        f"the snapshot of the ratings cannot be written ({error}): free some room, or set "
                        "CINECLUB_SNAPSHOTS_KEPT=0 to keep none"
                    )
                    raise StorageUnavailable(message) from error
                self._records.note_kept(snapshot.identity)
                self._drop_oldest()

    def load(self, content_sha256: str) -> Snapshot:
        """Return a snapshot, checked against its hash.

        Raises:
            SnapshotGone: it was never kept, was dropped or rewritten, or is not on this machine.
            BrokenArtifact: its file is damaged.
        """
        folder = self._folder / content_sha256
        self._refuse_gone(content_sha256, folder)
        snapshot = read_snapshot(folder)
        if snapshot.identity.content_sha256 != content_sha256:
            found = snapshot.identity.content_sha256[:SHORT_HASH]
            message = (
                f"the snapshot {folder} is damaged (its ratings have the hash {found}…): what learned from it cannot "
                "be fitted again"
            )
            raise BrokenArtifact(message)
        return snapshot

    def apply_erasures(self) -> list[str]:
        """Rewrite every snapshot here that still holds somebody who was erased, and return their hashes.

        Each is noted as rewritten before it is, and ticks an erasure off afterwards: what is interrupted is done again.
        A damaged one is deleted: it may hold them, and nothing can be fitted from it.
        """
        erasures = self._records.erasures()
        if not erasures or not self._folder.is_dir():
            return []
        with self._alone():
            return [folder.name for folder in self._kept() if self._forget(folder, erasures)]

    def _write(self, snapshot: Snapshot) -> None:
        """Let a snapshot appear under its hash, whole and on the disk, unless it is there."""
        folder = self._folder / snapshot.identity.content_sha256
        if folder.is_dir():
            return
        staging = Path(tempfile.mkdtemp(prefix=".", dir=self._folder))
        try:
            write_movies(staging / MOVIES, snapshot.movies)
            write_ratings(staging / RATINGS, snapshot.log, snapshot.identity)
            directory_to_disk(staging)
            staging.rename(folder)
            directory_to_disk(self._folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _drop_oldest(self) -> None:
        """Delete what is neither among the newest nor production's, and what was dropped before."""
        records = self._records.all()
        whole = [record.content_sha256 for record in records if record.dropped_at is None]
        if surplus := whole[self._n_kept :]:
            try:
                in_production = self._read_in_production()
            except BrokenArtifact:
                return
            surplus = [content_sha256 for content_sha256 in surplus if content_sha256 != in_production]
            self._records.note_dropped(surplus)
        dropped = {record.content_sha256 for record in records if record.dropped_at is not None} | set(surplus)
        for folder in self._kept():
            if folder.name in dropped:
                shutil.rmtree(folder, ignore_errors=True)

    def _refuse_gone(self, content_sha256: str, folder: Path) -> None:
        """Refuse a snapshot that is not there as it was, saying why."""
        known = {record.content_sha256: record for record in self._records.all()}
        record = known.get(content_sha256)
        name = f"snapshot {content_sha256[:SHORT_HASH] or 'without a hash'}"
        if record is None:
            message = f"{name} was not kept: CINECLUB_SNAPSHOTS_KEPT says how many are"
        elif record.erased_at is not None:
            message = f"{name} was rewritten on {record.erased_at:%Y-%m-%d}, because a user in it was erased"
        elif record.dropped_at is not None:
            message = f"{name} was dropped on {record.dropped_at:%Y-%m-%d}: CINECLUB_SNAPSHOTS_KEPT says how many stay"
        elif not folder.is_dir():
            message = f"{name} is not in {self._folder}: ask on the machine that trained"
        elif is_rewritten(folder / RATINGS):
            message = f"{name} was rewritten, because a user in it was erased"
        else:
            return
        raise SnapshotGone(message)

    def _forget(self, folder: Path, erasures: Sequence[Erasure]) -> bool:
        """Take out of one snapshot whoever was erased since it was last looked at, and say if somebody was in it."""
        applied = _applied_to(folder)
        due = {erasure.user_id for erasure in erasures if erasure.erasure_id not in applied}
        if not due:
            return False
        try:
            has_any = holds_any(folder / RATINGS, due)
            if has_any:
                self._records.note_erased(folder.name)
                rewrite_without(folder / RATINGS, due)
        except BrokenArtifact:
            self._records.note_dropped([folder.name])
            shutil.rmtree(folder)
            return True
        _note_applied(folder, [erasure.erasure_id for erasure in erasures])
        return has_any

    def _kept(self) -> list[Path]:
        """Return the folders of the snapshots on this host."""
        return sorted(path for path in self._folder.iterdir() if path.is_dir() and not path.name.startswith("."))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Change the folder while no other process does, beginning without what a killed one left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self._folder.glob(".*/"):
                shutil.rmtree(left, ignore_errors=True)
            yield


def _applied_to(folder: Path) -> set[str]:
    """Return the erasures that a snapshot has been through; a damaged list counts as none."""
    try:
        return set(json.loads((folder / APPLIED).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


def _note_applied(folder: Path, erasure_ids: Sequence[str]) -> None:
    """Tick erasures off for one snapshot, on the disk."""
    unfinished = folder / f".{APPLIED}.unfinished"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(sorted(erasure_ids), file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / APPLIED)
    directory_to_disk(folder)

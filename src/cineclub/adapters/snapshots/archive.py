"""The folder of snapshots, written atomically under their hashes; the oldest are dropped, erased users are removed."""

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
from cineclub.domain.ratings.log import Snapshot, SnapshotIdentity
from cineclub.domain.ratings.snapshot_records import Erasure, SnapshotRecord

APPLIED = "erasures.json"
LOCK = ".lock"
SHORT_HASH = 12


class SnapshotRecords(Protocol):
    """The records of snapshots and erasures that all hosts share."""

    def note_kept(self, identity: SnapshotIdentity) -> None:
        """Record that a snapshot was completely written on a host."""
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
        """Return the erasures, oldest first."""
        ...


class SnapshotArchive:
    """The snapshots of ratings in a folder of this host.

    One process at a time changes the folder; the lock ends with its process, so the next one deletes its leftovers.
    So its unfinished files need no locks of their own, as those of ``runtime.unfinished`` do, and have fixed names.
    """

    def __init__(
        self, folder: Path, records: SnapshotRecords, n_kept: int, read_in_production: Callable[[], str | None]
    ) -> None:
        """Keep the ``n_kept`` newest in ``folder``, and the one whose hash ``read_in_production`` returns.

        ``read_in_production`` raises BrokenArtifact if it does not know the hash: then nothing is dropped.
        """
        self._folder = folder
        self._records = records
        self._n_kept = n_kept
        self._read_in_production = read_in_production

    def keep(self, snapshot: Snapshot) -> None:
        """Keep a snapshot under its hash, and drop the oldest ones beyond ``n_kept``.

        Raises:
            StorageUnavailable: the folder cannot be written, or PostgreSQL does not answer.
        """
        if self._n_kept:
            with self._alone():
                try:
                    self._write(snapshot)
                except OSError as error:
                    message = (
                        f"the snapshot of the ratings cannot be written ({error.strerror or type(error).__name__}): "
                        "free disk space, or set CINECLUB_SNAPSHOTS_KEPT=0 to keep none"
                    )
                    raise StorageUnavailable(message, str(error)) from error
                self._records.note_kept(snapshot.identity)
                self._drop_oldest()

    def load(self, content_sha256: str) -> Snapshot:
        """Return a snapshot, checked against its hash.

        Raises:
            SnapshotGone: it was not kept, was dropped or rewritten, or is not on this machine.
            BrokenArtifact: its file is damaged.
        """
        folder = self._folder / content_sha256
        self._refuse_gone(content_sha256, folder)
        snapshot = read_snapshot(folder)
        actual = snapshot.identity.content_sha256
        if actual != content_sha256:
            fault = f"its ratings have the hash {actual[:SHORT_HASH]}…"
            message = f"the snapshot {folder} is damaged ({fault}): models of it cannot be fitted again"
            raise BrokenArtifact(message)
        return snapshot

    def apply_erasures(self) -> list[str]:
        """Rewrite every snapshot here that still holds an erased user, and return their hashes.

        Each is recorded as rewritten first, and lists the erasures afterwards: interrupted rewrites are repeated.
        A damaged one is deleted: it may hold an erased user, and nothing can be fitted from it.
        """
        erasures = self._records.erasures()
        if not erasures or not self._folder.is_dir():
            return []
        with self._alone():
            return [folder.name for folder in self._folders() if self._forget(folder, erasures)]

    def _write(self, snapshot: Snapshot) -> None:
        """Write a snapshot atomically under its hash, unless it exists."""
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
        """Delete snapshots that are neither among the newest nor production's, and those recorded as dropped."""
        records = self._records.all()
        complete = [record.content_sha256 for record in records if record.dropped_at is None]
        if surplus := complete[self._n_kept :]:
            try:
                in_production = self._read_in_production()
            except BrokenArtifact:
                return
            surplus = [content_sha256 for content_sha256 in surplus if content_sha256 != in_production]
            self._records.note_dropped(surplus)
        dropped = {record.content_sha256 for record in records if record.dropped_at is not None} | set(surplus)
        for folder in self._folders():
            if folder.name in dropped:
                shutil.rmtree(folder, ignore_errors=True)

    def _refuse_gone(self, content_sha256: str, folder: Path) -> None:
        """Raise SnapshotGone, with the reason, for a snapshot that is missing or was rewritten."""
        known = {record.content_sha256: record for record in self._records.all()}
        record = known.get(content_sha256)
        name = f"snapshot {content_sha256[:SHORT_HASH] or 'without a hash'}"
        if record is None:
            message = f"{name} was not kept: CINECLUB_SNAPSHOTS_KEPT sets how many are"
        elif record.erased_at is not None:
            message = f"{name} was rewritten on {record.erased_at:%Y-%m-%d}, because a user in it was erased"
        elif record.dropped_at is not None:
            message = f"{name} was dropped on {record.dropped_at:%Y-%m-%d}: CINECLUB_SNAPSHOTS_KEPT sets how many stay"
        elif not folder.is_dir():
            message = f"{name} is not in {self._folder}: use the machine that trained"
        elif is_rewritten(folder / RATINGS):
            message = f"{name} was rewritten, because a user in it was erased"
        else:
            return
        raise SnapshotGone(message)

    def _forget(self, folder: Path, erasures: Sequence[Erasure]) -> bool:
        """Remove newly erased users from a snapshot, and return whether it held any."""
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

    def _folders(self) -> list[Path]:
        """Return the folders of the snapshots on this host."""
        return sorted(path for path in self._folder.iterdir() if path.is_dir() and not path.name.startswith("."))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Exclude other processes from the folder, after deleting the leftovers of killed ones."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in self._folder.glob(".*/"):
                shutil.rmtree(leftover, ignore_errors=True)
            for leftover in self._folder.glob("*/.*.unfinished"):
                leftover.unlink(missing_ok=True)
            yield


def _applied_to(folder: Path) -> set[str]:
    """Return the ids of the erasures applied to a snapshot; none if the list is damaged."""
    try:
        return set(json.loads((folder / APPLIED).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


def _note_applied(folder: Path, erasure_ids: Sequence[str]) -> None:
    """Write the list of erasures applied to a snapshot, through to the disk."""
    unfinished = folder / f".{APPLIED}.unfinished"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(sorted(erasure_ids), file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / APPLIED)
    directory_to_disk(folder)

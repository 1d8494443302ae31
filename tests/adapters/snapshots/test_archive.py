"""Snapshots: atomic writes, retention, and the removal of erased users."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cineclub.adapters.postgres.snapshots import PostgresSnapshotRecords
from cineclub.adapters.snapshots import SnapshotArchive, archive, parquet
from cineclub.domain.errors import BrokenArtifact, SnapshotGone, StorageUnavailable
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale, Snapshot, SnapshotIdentity

Opener = Callable[..., SnapshotArchive]


def snapshot_of(seed: int, n_users: int = 30) -> Snapshot:
    """Return a snapshot of random ratings; user 7 is in each of them."""
    rng = np.random.default_rng(seed)
    movies = np.concatenate([rng.choice(50, 10, replace=False) for _ in range(n_users)]).astype(np.int64)
    log = RatingLog.from_columns(
        np.repeat(np.arange(n_users, dtype=np.int64), 10),
        movies,
        rng.choice(np.array([1.5, 3, 4.5], np.float32), len(movies)),
        rng.integers(0, 10**15, len(movies)),
        RatingScale(0.5, 5.0),
    )
    movies = tuple(Movie(nth, f"x{nth}", f"Amélie {nth}", None, ("Drama", "War"), None, "7") for nth in range(50))
    return Snapshot(log, movies, SnapshotIdentity.of(log))


@pytest.fixture
def opened(database_url: str, home: Path) -> Opener:
    """Open the folder of snapshots, with the number to keep and the version in production."""

    def open_archive(n_kept: int = 3, in_production: str | None = None) -> SnapshotArchive:
        return SnapshotArchive(home / "snapshots", PostgresSnapshotRecords(database_url), n_kept, lambda: in_production)

    return open_archive


def erase(database_url: str, user_id: int) -> None:
    """Record an erasure."""
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO cineclub.erasures (user_id) VALUES (%s)", (user_id,))


def users_of(folder: Path) -> set[int]:
    """Return the users in a snapshot's file."""
    return set(pq.read_table(folder / parquet.RATINGS)["user_id"].to_pylist())


def test_a_snapshot_comes_back_as_it_was(opened: Opener, home: Path) -> None:
    """Ratings, films, scale and identity are equal, and writing the snapshot again changes nothing."""
    snapshot = snapshot_of(0)
    opened().keep(snapshot)
    file = home / "snapshots" / snapshot.identity.content_sha256 / parquet.RATINGS
    written_at = file.stat().st_mtime_ns
    opened().keep(snapshot)
    loaded = opened().load(snapshot.identity.content_sha256)
    assert loaded.identity == snapshot.identity
    assert loaded.movies == snapshot.movies
    assert loaded.log.scale == snapshot.log.scale
    for name in ("user_ids", "movie_ids", "ratings", "rated_at"):
        np.testing.assert_array_equal(getattr(loaded.log, name), getattr(snapshot.log, name))
    assert file.stat().st_mtime_ns == written_at


def test_several_row_groups_hold_everything(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log longer than a row group is read back completely and in order."""
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 64)
    snapshot = snapshot_of(0)
    opened().keep(snapshot)
    loaded = opened().load(snapshot.identity.content_sha256)
    assert loaded.identity == snapshot.identity


def test_others_can_read_the_file(opened: Opener, home: Path) -> None:
    """Other Parquet readers see four columns, with timestamps."""
    snapshot = snapshot_of(0)
    opened().keep(snapshot)
    schema = pq.read_schema(home / "snapshots" / snapshot.identity.content_sha256 / parquet.RATINGS)
    assert schema.names == ["user_id", "movie_id", "rating", "rated_at"]
    assert schema.field("rated_at").type == pa.timestamp("us", tz="UTC")


def test_the_newest_stay_and_productions_own(opened: Opener, home: Path) -> None:
    """Older snapshots are deleted and recorded as dropped; a dropped one can be written again."""
    snapshots = [snapshot_of(seed) for seed in range(5)]
    hashes = [snapshot.identity.content_sha256 for snapshot in snapshots]
    store = opened(n_kept=2, in_production=hashes[0])
    for snapshot in snapshots:
        store.keep(snapshot)
    assert {path.name for path in (home / "snapshots").glob("[!.]*")} == {hashes[0], *hashes[3:]}
    with pytest.raises(SnapshotGone, match="dropped on"):
        store.load(hashes[1])
    store.keep(snapshots[1])
    assert store.load(hashes[1]).identity == snapshots[1].identity


def test_nothing_is_dropped_while_production_cannot_be_told(database_url: str, home: Path) -> None:
    """Without knowledge of production nothing is deleted."""

    def unknown() -> str | None:
        message = "no copy here"
        raise BrokenArtifact(message)

    store = SnapshotArchive(home / "snapshots", PostgresSnapshotRecords(database_url), 1, unknown)
    for seed in range(3):
        store.keep(snapshot_of(seed))
    assert len(list((home / "snapshots").glob("[!.]*"))) == 3


def test_keeping_none_writes_nothing_and_says_so(opened: Opener, home: Path) -> None:
    """With 0 nothing is written, and loading names the setting."""
    snapshot = snapshot_of(0)
    opened(n_kept=0).keep(snapshot)
    assert not (home / "snapshots").exists()
    with pytest.raises(SnapshotGone, match="CINECLUB_SNAPSHOTS_KEPT"):
        opened(n_kept=0).load(snapshot.identity.content_sha256)


@pytest.mark.parametrize("damage", ["cut short", "another", "flipped", "no films"])
def test_a_damaged_snapshot_is_refused(damage: str, opened: Opener, home: Path) -> None:
    """A damaged snapshot is never loaded."""
    snapshot, other = snapshot_of(0), snapshot_of(1)
    opened().keep(snapshot)
    opened().keep(other)
    folder = home / "snapshots" / snapshot.identity.content_sha256
    content = bytearray((folder / parquet.RATINGS).read_bytes())
    if damage == "cut short":
        (folder / parquet.RATINGS).write_bytes(content[:-9])
    elif damage == "another":
        source = home / "snapshots" / other.identity.content_sha256 / parquet.RATINGS
        (folder / parquet.RATINGS).write_bytes(source.read_bytes())
    elif damage == "flipped":
        content[len(content) // 3] ^= 255
        (folder / parquet.RATINGS).write_bytes(content)
    else:
        (folder / parquet.MOVIES).unlink()
    with pytest.raises(BrokenArtifact, match="damaged"):
        opened().load(snapshot.identity.content_sha256)


def test_a_snapshot_of_another_machine_is_named_as_such(opened: Opener, tmp_path: Path, database_url: str) -> None:
    """A snapshot of another host is named as such, since hosts share the table and not the folder."""
    snapshot = snapshot_of(0)
    opened().keep(snapshot)
    elsewhere = SnapshotArchive(tmp_path, PostgresSnapshotRecords(database_url), 3, lambda: None)
    with pytest.raises(SnapshotGone, match="machine that trained"):
        elsewhere.load(snapshot.identity.content_sha256)


def test_a_full_disk_is_one_sentence(opened: Opener, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """On a full disk the training fails with the next step, and no partial file stays."""

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device", str(home))

    monkeypatch.setattr(archive, "write_ratings", full)
    with pytest.raises(StorageUnavailable, match="CINECLUB_SNAPSHOTS_KEPT") as caught:
        opened().keep(snapshot_of(0))
    assert str(home) not in str(caught.value)  # which is in the answers about a training
    assert str(home) in caught.value.detail
    assert [path.name for path in (home / "snapshots").iterdir()] == [".lock"]


def test_a_full_disk_while_an_erased_user_is_removed_keeps_the_snapshot(
    opened: Opener, database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rewrite is tried again when there is room: a sound snapshot is not taken for a damaged one and deleted."""
    snapshot, store = snapshot_of(0), opened()
    store.keep(snapshot)
    erase(database_url, 7)

    def full(_: object) -> None:
        raise OSError(28, "No space left on device", str(home))

    with monkeypatch.context() as patched:
        patched.setattr(parquet, "_to_disk", full)
        with pytest.raises(OSError, match="No space left"):
            store.apply_erasures()
    assert store.apply_erasures() == [snapshot.identity.content_sha256]
    assert users_of(home / "snapshots" / snapshot.identity.content_sha256) == set(range(30)) - {7}


def test_whoever_was_erased_leaves_every_snapshot(opened: Opener, database_url: str, home: Path) -> None:
    """The user's rows are removed, the others stay, the rewrite is recorded, and a second call does nothing."""
    holding, without = snapshot_of(0), snapshot_of(1, n_users=5)
    store = opened()
    for snapshot in (holding, without):
        store.keep(snapshot)
    erase(database_url, 7)
    assert store.apply_erasures() == [holding.identity.content_sha256]
    assert store.apply_erasures() == []
    rewritten = home / "snapshots" / holding.identity.content_sha256
    assert users_of(rewritten) == set(range(30)) - {7}
    assert pq.read_metadata(rewritten / parquet.RATINGS).num_rows == 290
    with pytest.raises(SnapshotGone, match="because a user in it was erased"):
        store.load(holding.identity.content_sha256)
    assert store.load(without.identity.content_sha256).identity == without.identity
    erase(database_url, 8)
    assert store.apply_erasures() == [holding.identity.content_sha256]
    assert users_of(rewritten) == set(range(30)) - {7, 8}


def test_a_snapshot_kept_after_an_erasure_that_it_does_not_know_is_rewritten(opened: Opener, database_url: str) -> None:
    """A snapshot written by a training that began before an erasure is rewritten."""
    erase(database_url, 7)
    snapshot = snapshot_of(0)
    opened().keep(snapshot)
    assert opened().apply_erasures() == [snapshot.identity.content_sha256]


def test_a_damaged_snapshot_is_deleted_by_an_erasure(opened: Opener, database_url: str, home: Path) -> None:
    """A damaged snapshot is deleted, and the others are rewritten all the same."""
    first, second = sorted((snapshot_of(0), snapshot_of(1)), key=lambda snapshot: snapshot.identity.content_sha256)
    store = opened()
    store.keep(first)
    store.keep(second)
    damaged = home / "snapshots" / first.identity.content_sha256
    (damaged / parquet.RATINGS).write_bytes(b"PAR1")
    erase(database_url, 7)
    assert store.apply_erasures() == [first.identity.content_sha256, second.identity.content_sha256]
    assert not damaged.exists()
    assert 7 not in users_of(home / "snapshots" / second.identity.content_sha256)


KILLED_WHILE_REWRITING = """
import os, signal, sys, time
from pathlib import Path
from cineclub.adapters.postgres.snapshots import PostgresSnapshotRecords
from cineclub.adapters.snapshots import SnapshotArchive, archive, parquet

def hang(*_arguments):
    Path(sys.argv[3]).touch()
    time.sleep(600)

place = sys.argv[4]
if place == "in the middle":
    masks = parquet._masks
    calls = []
    def slow(file, user_ids):
        calls.append(1)
        for nth, mask in enumerate(masks(file, user_ids)):
            if nth == 2 and len(calls) == 2:
                hang()
            yield mask
    parquet._masks = slow
elif place == "before the swap":
    parquet.Path.replace = hang
else:
    archive._note_applied = hang
SnapshotArchive(Path(sys.argv[2]), PostgresSnapshotRecords(sys.argv[1]), 3, lambda: None).apply_erasures()
"""


@pytest.mark.parametrize("place", ["in the middle", "before the swap", "after the swap"])
def test_an_erasure_killed_at_any_moment_is_finished_by_the_next(
    place: str, opened: Opener, database_url: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 the file is the old or the new one, and the next process finishes the erasure."""
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 64)
    snapshot = snapshot_of(0)
    opened().keep(snapshot)
    erase(database_url, 7)
    reached = tmp_path / "reached"
    arguments = [database_url, str(home / "snapshots"), str(reached), place]
    process = subprocess.Popen([sys.executable, "-c", KILLED_WHILE_REWRITING, *arguments], env=os.environ)
    deadline = time.monotonic() + 60
    while not reached.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder = home / "snapshots" / snapshot.identity.content_sha256
    assert len(users_of(folder)) in {29, 30}
    with pytest.raises(SnapshotGone, match="erased"):
        opened().load(snapshot.identity.content_sha256)
    opened().apply_erasures()
    assert users_of(folder) == set(range(30)) - {7}
    assert sorted(path.name for path in folder.iterdir()) == [archive.APPLIED, parquet.MOVIES, parquet.RATINGS]
    assert opened().apply_erasures() == []


def test_what_a_killed_training_left_half_written_goes(opened: Opener, home: Path) -> None:
    """Temporary files of a killed training are removed."""
    left = home / "snapshots" / ".half"
    left.mkdir(parents=True)
    (left / parquet.RATINGS).write_bytes(b"ratings")
    opened().keep(snapshot_of(0))
    assert not left.exists()

"""A restore that fails or is killed anywhere leaves the former state whole, or the new one."""

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.mlflow.tables import migrate_tables
from cineclub.adapters.postgres import dumped_rows
from cineclub.adapters.postgres.backup import backup
from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, WorkerPresence
from cineclub.adapters.postgres.restore import restore, settle_killed_restore
from cineclub.adapters.postgres.restored_folders import exchange_of
from cineclub.domain.errors import Conflict, InvalidInput, StorageUnavailable
from waiting import eventually
from whole_state import change, fill, restored, state_of

FOLDER_NAMES = ("artifacts", "models", "snapshots")


@pytest.fixture
def backed_up(bench_database: str, home: Path, tmp_path: Path) -> Path:
    """A backup of a state that was changed afterwards."""
    fill(bench_database, home)
    target = tmp_path / "cineclub.backup"
    backup(bench_database, home, target)
    change(bench_database, home)
    return target


def full_disk(*_: object, **__: object) -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


def killed(*_: object, **__: object) -> None:
    """End this process as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_the_nth_rename(nth: int, fault: Callable[..., None]) -> Callable[[Path, Path], Path]:
    """Return a rename of paths that fails at its nth call."""
    rename, counted = Path.rename, iter(range(1000))

    def faulty(path: Path, target: Path) -> Path:
        if next(counted) == nth:
            fault()
        return rename(path, target)

    return faulty


@pytest.mark.parametrize("nth", [0, 1, 4, 6])
def test_a_disk_that_is_full_at_a_rename_changes_nothing(
    bench_database: str, home: Path, backed_up: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """The journal, three folders away and three into their places: whichever fails, rows and files are as before."""
    before = state_of(bench_database, home)
    monkeypatch.setattr(Path, "rename", at_the_nth_rename(nth, full_disk))
    with pytest.raises(StorageUnavailable, match="free disk space"):
        restored(backed_up, bench_database, home)
    assert state_of(bench_database, home) == before
    assert not (home / ".restore").exists()


@pytest.mark.parametrize("step", ["fsync", "commit"])
def test_a_disk_that_is_full_at_another_step_changes_nothing(
    bench_database: str, home: Path, backed_up: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """While the backup is unpacked, and when the database is about to commit after the folders were exchanged."""
    before = state_of(bench_database, home)
    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full_disk)
    else:
        with psycopg.connect(bench_database) as connection:
            connection.execute(
                "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE disk_full; END'"
            )
        on_commit = "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {} DEFERRABLE INITIALLY DEFERRED"
        prepare = dumped_rows._finish  # the moment after the rows and before the commit

        def finish(
            connection: psycopg.Connection[dict[str, object]], loading: dumped_rows.Loading, *rest: object
        ) -> None:
            prepare(connection, loading, *rest)  # type: ignore[arg-type]
            if loading.schema == "cineclub":
                trigger = f"{on_commit.format('cineclub.users')} FOR EACH ROW EXECUTE FUNCTION public.refuse()"
                connection.execute(trigger.encode())
                connection.execute("INSERT INTO cineclub.users (external_id) VALUES ('late')")

        monkeypatch.setattr(dumped_rows, "_finish", finish)
    with pytest.raises(StorageUnavailable, match=r"free disk space|disk_full"):
        restored(backed_up, bench_database, home)
    assert state_of(bench_database, home) == before
    assert not (home / ".restore").exists()


@pytest.mark.parametrize("nth", [0, 1, 4, 6])
def test_a_restore_that_is_killed_is_undone_by_the_next_command(
    bench_database: str, home: Path, backed_up: Path, nth: int
) -> None:
    """Killed at any of its renames: the former state is back, and nothing of the restore is left."""
    before = state_of(bench_database, home)
    assert exit_code_of(backed_up, bench_database, home, nth) == -signal.SIGKILL
    assert (home / ".restore").is_dir()
    settle_killed_restore(home, bench_database)
    assert state_of(bench_database, home) == before
    assert not (home / ".restore").exists()


def exit_code_of(source: Path, url: str, home: Path, nth: int) -> int | None:
    """Return the exit code of a process that restores and is killed at its nth rename."""

    def run() -> None:
        Path.rename = at_the_nth_rename(nth, killed)  # type: ignore[method-assign,assignment]
        restored(source, url, home)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return process.exitcode


def test_a_restore_that_is_killed_after_the_commit_is_complete(
    bench_database: str, home: Path, backed_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark on the schema tells that database and folders are those of the backup."""
    restored(backed_up, bench_database, home)
    expected = state_of(bench_database, home)
    change(bench_database, home)
    with monkeypatch.context() as patch:
        patch.setattr("cineclub.adapters.postgres.restored_folders._mark", full_disk)  # as if it died here
        with pytest.raises(StorageUnavailable):
            restored(backed_up, bench_database, home)
    assert (home / ".restore" / "journal.json").is_file()
    settle_killed_restore(home, bench_database)
    assert state_of(bench_database, home) == expected
    assert not (home / ".restore").exists()
    restored(backed_up, bench_database, home)
    assert list(tmp_path.iterdir()) == [backed_up]


def test_one_restore_at_a_time(bench_database: str, home: Path, backed_up: Path) -> None:
    """A second one is refused, and another command leaves the first one alone."""
    with exchange_of(home, bench_database, FOLDER_NAMES) as exchange:
        settle_killed_restore(home, bench_database)
        assert exchange.new.is_dir()
        with pytest.raises(Conflict, match="another restore"):
            restored(backed_up, bench_database, home)


def test_a_restore_keeps_others_out_of_its_database(
    bench_database: str, home: Path, backed_up: Path, tmp_path: Path
) -> None:
    """Meanwhile a restore in another home is refused, and a worker that starts waits; afterwards both go on."""
    presence, jobs = WorkerPresence(bench_database), PostgresTrainingJobs(bench_database)
    seen: list[bool] = []
    with ThreadPoolExecutor(1) as threads:

        def migrate(url: str, schema: str, revision: str) -> None:
            if not seen:
                with pytest.raises(Conflict, match="another restore"):
                    restored(backed_up, url, tmp_path / "elsewhere")
                start = threads.submit(presence.wait_for_work, 0)
                time.sleep(0.5)
                seen.extend([start.done(), jobs.is_worker_alive()])
            migrate_tables(url, schema, revision)

        restore(backed_up, bench_database, home, migrate, replace=True)
    assert seen == [False, False]
    assert jobs.is_worker_alive()
    with pytest.raises(Conflict, match="every worker"):
        restored(backed_up, bench_database, tmp_path / "elsewhere")
    presence.close()
    eventually(lambda: not jobs.is_worker_alive())
    restored(backed_up, bench_database, tmp_path / "elsewhere")


@pytest.mark.parametrize("kind", [psycopg.errors.DatatypeMismatch, psycopg.errors.InsufficientPrivilege])
def test_rows_that_are_refused_are_a_fault_of_the_backup(
    bench_database: str, home: Path, backed_up: Path, monkeypatch: pytest.MonkeyPatch, kind: type[psycopg.Error]
) -> None:
    """Also with an error that elsewhere means that the database is not as it should be."""

    def refuse(*_: object) -> None:
        raise kind

    before = state_of(bench_database, home)
    monkeypatch.setattr(dumped_rows, "_copy", refuse)
    with pytest.raises(InvalidInput, match="refuses its rows"):
        restored(backed_up, bench_database, home)
    assert state_of(bench_database, home) == before

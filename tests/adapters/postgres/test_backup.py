"""A backup restores everything, also into another home, and overwrites nothing unasked."""

import errno
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from cineclub.adapters.postgres.backup import backup
from cineclub.adapters.postgres.programs import run_on_database
from cineclub.domain.errors import InvalidInput, StorageUnavailable
from whole_state import change, files_of, fill, restored, rows_of, state_of


@pytest.fixture
def wide_umask() -> Iterator[None]:
    """A umask that takes no permission away."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_backup_is_restored_into_another_home(
    bench_database: str, empty_database_url: str, home: Path, tmp_path: Path
) -> None:
    """Data, history, registry, files and the next ids are restored, and the registry names the new paths."""
    old_home, new_home = home / "old home", home / "new"
    old_home.mkdir()
    fill(bench_database, old_home)
    target = tmp_path / "cineclub.backup"
    assert backup(bench_database, old_home, target) == target.stat().st_size
    assert restored(target, empty_database_url, new_home, replace=False) == []
    before, after = rows_of(bench_database), rows_of(empty_database_url)
    assert after.pop("mlflow.experiments") == [
        row.replace(str(old_home), str(new_home)) for row in before.pop("mlflow.experiments")
    ]
    assert after == before
    assert files_of(new_home) == files_of(old_home)
    with psycopg.connect(empty_database_url) as connection:
        insert = "INSERT INTO cineclub.users (external_id) VALUES ('8') RETURNING id"
        assert connection.execute(insert).fetchall() == [(2,)]
        notices = "SELECT count(*) FROM pg_trigger WHERE tgenabled = 'O' AND tgname LIKE 'ratings_announce%'"
        assert connection.execute(notices).fetchall() == [(5,)]
        is_noted = "SELECT bool_or(is_erasure) FROM cineclub.older_rating_changes"  # a service that runs counts anew
        assert connection.execute(is_noted).fetchall() == [(True,)]
    assert [path.name for path in new_home.glob(".restore*")] == [".restore.lock"]


def test_ratings_are_replaced_only_on_request(bench_database: str, home: Path, tmp_path: Path) -> None:
    """A restore over existing ratings is refused; --replace replaces rows and folders."""
    fill(bench_database, home)
    target = tmp_path / "cineclub.backup"
    backup(bench_database, home, target)
    before = state_of(bench_database, home)
    change(bench_database, home)
    changed = state_of(bench_database, home)
    with pytest.raises(InvalidInput, match="--replace"):
        restored(target, bench_database, home, replace=False)
    with pytest.raises(InvalidInput, match="it does not exist"):
        restored(tmp_path / "another.backup", bench_database, home, replace=False)
    assert state_of(bench_database, home) == changed
    restored(target, bench_database, home)
    assert state_of(bench_database, home) == before


def test_an_existing_file_is_not_overwritten(database_url: str, home: Path, tmp_path: Path) -> None:
    """A second backup of the same name is refused and the first one stays; a link that leads nowhere stays too."""
    target = tmp_path / "cineclub.backup"
    target.write_text("precious")
    with pytest.raises(InvalidInput, match="another name"):
        backup(database_url, home, target)
    assert target.read_text() == "precious"
    link = tmp_path / "link.backup"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="another name"):
        backup(database_url, home, link)


@pytest.mark.usefixtures("wide_umask")
def test_a_backup_is_readable_by_its_owner_alone(database_url: str, home: Path, tmp_path: Path) -> None:
    """It has mode 0600 under every umask, and nothing unfinished stays beside it; tar reads it."""
    target = tmp_path / "cineclub.backup"
    backup(database_url, home, target)
    assert oct(target.stat().st_mode) == oct(0o100600)
    assert list(tmp_path.iterdir()) == [target]
    with tarfile.open(target) as archive:
        assert archive.getnames() == ["backup.json", "database.dump", "members.json"]


def damaged(content: bytes, damage: str) -> bytes:
    """Return a backup with a damage."""
    half = len(content) // 2
    flipped = {"flipped in the middle": half, "flipped in the head": 5, "flipped at the end": len(content) - 1}
    if damage in flipped:
        at = flipped[damage]
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    return {
        "half": content[:half],
        "without its last byte": content[:-1],
        "without its trailer": content[:-8],
        "with bytes behind": content + b"\x00",
        "no archive": b"hello",
        "empty": b"",
    }[damage]


@pytest.mark.parametrize(
    "damage",
    [
        *("half", "without its last byte", "without its trailer", "with bytes behind", "no archive", "empty"),
        *("flipped in the middle", "flipped in the head", "flipped at the end"),
    ],
)
def test_a_damaged_backup_changes_nothing(bench_database: str, home: Path, tmp_path: Path, damage: str) -> None:
    """Every byte is checked before database and folders are touched."""
    fill(bench_database, home)
    target = tmp_path / "cineclub.backup"
    backup(bench_database, home, target)
    change(bench_database, home)
    before = state_of(bench_database, home)
    target.write_bytes(damaged(target.read_bytes(), damage))
    with pytest.raises(InvalidInput, match="not a backup"):
        restored(target, bench_database, home)
    assert state_of(bench_database, home) == before
    assert not (home / ".restore").exists()


def test_a_link_in_the_home_is_reported_rather_than_left_out(database_url: str, home: Path, tmp_path: Path) -> None:
    """What a backup cannot hold ends it with the path, and no file is left."""
    (home / "artifacts").mkdir()
    (home / "artifacts" / "link").symlink_to(tmp_path)
    with pytest.raises(InvalidInput, match="neither a regular file nor a folder"):
        backup(database_url, home, tmp_path / "cineclub.backup")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_ends_a_backup(
    database_url: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left out in silence, and no file is left."""
    (home / "artifacts").mkdir()
    (home / "artifacts" / "manifest.json").write_text("{}")
    path_open = Path.open

    def opened(path: Path, mode: str = "r", **options: Any) -> IO[Any]:
        if path.name == "manifest.json":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return path_open(path, mode, **options)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(InvalidInput, match=r"manifest\.json: this user may not use it"):
        backup(database_url, home, tmp_path / "cineclub.backup")
    assert list(tmp_path.iterdir()) == []


def schema_of(url: str) -> list[str]:
    """Return the definitions of everything in both schemas."""
    with tempfile.TemporaryFile() as output:
        options = ("--schema-only", "--no-comments", "--schema=cineclub", "--schema=mlflow")
        run_on_database(url, output, "pg_dump", *options)
        output.seek(0)
        return [line for line in output.read().decode().splitlines() if not line.startswith("\\")]


def test_a_restored_database_is_defined_as_a_migrated_one(bench_database: str, home: Path, tmp_path: Path) -> None:
    """Keys, indexes and triggers that were out of action while rows were loaded are there again."""
    fill(bench_database, home)
    before = schema_of(bench_database)
    backup(bench_database, home, tmp_path / "cineclub.backup")
    restored(tmp_path / "cineclub.backup", bench_database, home)
    assert schema_of(bench_database) == before


def test_a_table_of_somebody_else_is_reported(bench_database: str, home: Path, tmp_path: Path) -> None:
    """A table that no migration makes is not restored, and is named."""
    fill(bench_database, home)
    with psycopg.connect(bench_database) as connection:
        connection.execute("CREATE TABLE cineclub.notes (text text)")
    backup(bench_database, home, tmp_path / "cineclub.backup")
    assert restored(tmp_path / "cineclub.backup", bench_database, home) == ["cineclub.notes"]


def test_every_parameter_of_the_address_holds_for_a_backup(database_url: str, home: Path, tmp_path: Path) -> None:
    """Parameters such as those of TLS are passed on, the password in the environment."""
    taken, refused = (f"{database_url}&target_session_attrs={kind}" for kind in ("read-write", "read-only"))
    assert backup(taken, home, tmp_path / "taken") > 0
    with pytest.raises(StorageUnavailable, match="session is not read-only"):
        backup(refused, home, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_the_command_line_of_a_program_has_no_secret(
    database_url: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other users of the machine can read it."""
    commands: list[list[str]] = []
    popen = subprocess.Popen

    def noted(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        commands.append(command)
        return popen(command, **options)

    monkeypatch.setattr(subprocess, "Popen", noted)
    backup(f"{database_url}&sslpassword=hidden", home, tmp_path / "cineclub.backup")
    password = conninfo_to_dict(database_url)["password"]
    assert commands[-1][0].endswith("pg_dump")
    assert not any(str(secret) in argument for argument in commands[-1] for secret in (password, "hidden"))

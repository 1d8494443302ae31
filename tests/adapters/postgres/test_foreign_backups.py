"""A backup of a stranger writes nothing outside of the home and runs nothing, neither here nor in PostgreSQL.

The backups here have the form of earlier releases, which anybody can make with tar and pg_dump.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.postgres.backup_file import unpack
from cineclub.adapters.postgres.dumped_rows import Rows, dumped
from cineclub.adapters.postgres.migrate import migrations
from cineclub.adapters.postgres.programs import run_on_database
from cineclub.domain.errors import InvalidInput
from whole_state import fill, restored, state_of

LONG = "d" * 247


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member of a tar."""
    header = tarfile.TarInfo(name)
    header.type, header.linkname, header.size = kind, link, len(content)
    return header, content


def packed(path: Path, *members: tuple[tarfile.TarInfo, bytes], dump: bytes = b"") -> Path:
    """Write a backup of the former format with these members before the usual ones."""
    facts = {
        "format": 1,
        "migration": migrations()[-1].version,
        "homes": ["/home"],
        "dump_sha256": hashlib.sha256(dump).hexdigest(),
    }
    usual = [member("backup.json", content=json.dumps(facts).encode()), member("database.dump", content=dump)]
    with tarfile.open(path, "w:gz") as archive:
        for header, content in [*members, *usual]:
            archive.addfile(header, io.BytesIO(content))
    return path


def beyond_the_longest_path() -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return members as of CVE-2025-4517: links whose resolved path is longer than the system resolves."""
    members, folder = [], "artifacts"
    for letter in "abcdefghijklmnop":
        members += [member(f"{folder}/{LONG}", tarfile.DIRTYPE), member(f"{folder}/{letter}", tarfile.SYMTYPE, LONG)]
        folder = f"{folder}/{LONG}"
    links = "artifacts/" + "/".join("abcdefghijklmnop")
    members += [
        member(f"{links}/{'l' * 254}", tarfile.SYMTYPE, "../" * 16),
        member("artifacts/escape", tarfile.SYMTYPE, f"{links}/{'l' * 254}/../../planted"),
        member("artifacts/newfile", tarfile.LNKTYPE, "artifacts/escape"),
        member("artifacts/newfile", content=b"planted"),
    ]
    return members


HOSTILE: dict[str, Callable[[Path], list[tuple[tarfile.TarInfo, bytes]]]] = {
    "absolute": lambda outside: [member(str(outside / "planted"), content=b"x")],
    "upwards": lambda _outside: [member("artifacts/../../planted", content=b"x")],
    "dot": lambda _outside: [member("./artifacts/planted", content=b"x")],
    "symbolic link": lambda outside: [
        member("artifacts/link", tarfile.SYMTYPE, str(outside)),
        member("artifacts/link/planted", content=b"x"),
    ],
    "hard link": lambda outside: [member("artifacts/link", tarfile.LNKTYPE, str(outside / "secret"))],
    "device": lambda _outside: [member("artifacts/null", tarfile.CHRTYPE)],
    "fifo": lambda _outside: [member("artifacts/fifo", tarfile.FIFOTYPE)],
    "twice": lambda _outside: [member("artifacts/a", content=b"x"), member("artifacts/a", content=b"y")],
    "file as folder": lambda _outside: [member("artifacts/a", content=b"x"), member("artifacts/a/b", content=b"y")],
    "line break": lambda _outside: [member("artifacts/a\nb", content=b"x")],
    "deep": lambda _outside: [member("artifacts/" + "a/" * 200 + "b", content=b"x")],
    "long": lambda _outside: [member("artifacts/" + "a" * 300, content=b"x")],
    "beyond the longest path": lambda _outside: beyond_the_longest_path(),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_only_files_and_folders_with_plain_names_are_extracted(tmp_path: Path, kind: str) -> None:
    """Links, devices and names that lead elsewhere are refused, and nothing outside of the new folder is written."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret").write_text("secret")
    source = packed(tmp_path / "foreign.backup", *HOSTILE[kind](outside))
    with pytest.raises(InvalidInput, match="not a backup"):
        unpack(source, inside)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file() and inside not in path.parents) == [
        "foreign.backup",
        "secret",
    ]
    assert not [path for path in inside.rglob("*") if path.is_symlink()]


def test_a_header_of_enormous_length_is_not_read(tmp_path: Path) -> None:
    """A long name of gigabytes would fill the memory."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    (tmp_path / "inside").mkdir()
    source = packed(tmp_path / "foreign.backup")
    with tarfile.open(source, "w:gz") as archive:
        assert archive.fileobj is not None
        archive.fileobj.write(header.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(InvalidInput, match="neither a regular file nor a folder"):
        unpack(source, tmp_path / "inside")


ATTACKS = """
CREATE FUNCTION cineclub.attack() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE $c$COPY (SELECT 1) TO PROGRAM 'touch {planted}'$c$;
    RETURN 1;
END $$;
CREATE OR REPLACE FUNCTION cineclub.announce_ratings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cineclub.attack();
    RETURN NULL;
END $$;
CREATE TABLE cineclub.bait (value integer);
CREATE MATERIALIZED VIEW cineclub.attack_at_restore AS SELECT cineclub.attack() AS value;
CREATE INDEX ON cineclub.bait ((value + 1));
ALTER TABLE cineclub.movies ADD CONSTRAINT attack_at_write CHECK (cineclub.attack() = 1) NOT VALID;
"""


def test_no_statement_of_a_dump_is_executed(bench_database: str, home: Path, tmp_path: Path) -> None:
    """Functions, triggers, constraints and views of the dump are not there afterwards, and no program was run."""
    fill(bench_database, home)
    planted = home / "planted"
    home.chmod(0o777)
    with psycopg.connect(bench_database) as connection:
        connection.execute(ATTACKS.format(planted=planted).encode())
    dump = tmp_path / "database.dump"
    with dump.open("w+b") as file:
        run_on_database(bench_database, file, "pg_dump", "--format=custom", "--schema=cineclub", "--schema=mlflow")
    planted.unlink()  # of the view, which was filled when it was made, and would be when it is restored
    source = packed(tmp_path / "foreign.backup", dump=dump.read_bytes())
    assert restored(source, bench_database, home) == ["cineclub.bait"]
    with psycopg.connect(bench_database) as connection:
        connection.execute("INSERT INTO cineclub.movies (external_id, title) VALUES ('11', 'Alien')")
        connection.execute("INSERT INTO cineclub.ratings VALUES (1, 2, 4, now())")
        names = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'cineclub'::regnamespace AND prosrc LIKE '%PROGRAM%'"
        assert connection.execute(names).fetchall() == [(0,)]
        attack = "SELECT to_regproc('cineclub.attack'), to_regclass('cineclub.attack_at_restore')"
        assert connection.execute(attack).fetchall() == [(None, None)]
    assert not planted.exists()


def read_to_the_end(script: bytes) -> None:
    """Read the rows of a text."""
    for part in dumped(io.BytesIO(script), "cineclub"):
        if isinstance(part, Rows):
            b"".join(part.blocks)


@pytest.mark.parametrize(
    "line",
    [
        "\\! touch /tmp/planted",
        "\\copy cineclub.users to program 'id'",
        "\\i /etc/passwd",
        "\\restrict a\\! id",
        "COPY cineclub.users (external_id) FROM PROGRAM 'id';",
        "COPY cineclub.users (external_id) FROM '/etc/passwd';",
        "COPY cineclub.users (external_id) FROM stdin; DROP TABLE cineclub.users;",
        "COPY pg_catalog.pg_proc (prosrc) FROM stdin;",
        "CREATE FUNCTION f() RETURNS integer LANGUAGE c AS '/tmp/planted.so';",
        "CREATE EVENT TRIGGER attack ON ddl_command_end EXECUTE FUNCTION f();",
        "DO $$ BEGIN PERFORM 1; END $$;",
        "SET ROLE postgres; SELECT 1;",
        "SELECT pg_catalog.lo_import('/etc/passwd');",
        "SELECT pg_catalog.set_config('session_preload_libraries', 'planted', false);",
        "SELECT pg_catalog.setval('cineclub.users_id_seq', 1, true); SELECT 1;",
        "SELECT pg_catalog.setval('pg_catalog.x', 1, true);",
        "ALTER SYSTEM SET archive_command = 'id';",
    ],
)
def test_a_line_that_is_no_data_refuses_the_dump(line: str) -> None:
    """Commands of psql and statements of any kind are refused, also behind rows that end early."""
    rows = "COPY cineclub.users (id, external_id) FROM stdin;\n1\t7\n\\.\n"
    with pytest.raises(InvalidInput, match="something else than data"):
        read_to_the_end(f"SET row_security = off;\n{rows}{line}\n".encode())


def test_rows_without_an_end_are_refused() -> None:
    """A text that is cut in the midst of a table is no data."""
    with pytest.raises(InvalidInput, match="in the midst"):
        read_to_the_end(b"COPY cineclub.users (id) FROM stdin;\n1\n")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("ALTER TABLE cineclub.ratings ADD COLUMN more integer", "column ratings.more"),
        ("DROP TABLE cineclub.refusals", "no table cineclub.refusals"),
        (
            "ALTER TABLE cineclub.ratings DROP CONSTRAINT ratings_user_id_fkey; DELETE FROM cineclub.users",
            "refuses its rows",
        ),
        ("UPDATE mlflow.alembic_version SET version_num = 'ffffffffffff'", "another MLflow"),
        ("UPDATE mlflow.alembic_version SET version_num = '../../planted'", "no revision"),
    ],
)
def test_rows_that_do_not_fit_change_nothing(
    bench_database: str, home: Path, tmp_path: Path, change: str, sentence: str
) -> None:
    """The transaction ends without effect, and the folders are those of before."""
    fill(bench_database, home)
    dump = tmp_path / "database.dump"
    with psycopg.connect(bench_database) as connection, dump.open("w+b") as file:
        connection.execute(change.encode())
        connection.commit()
        run_on_database(bench_database, file, "pg_dump", "--format=custom", "--schema=cineclub", "--schema=mlflow")
    before = state_of(bench_database, home)
    with pytest.raises(InvalidInput, match=sentence):
        restored(packed(tmp_path / "foreign.backup", dump=dump.read_bytes()), bench_database, home)
    assert state_of(bench_database, home) == before


@pytest.mark.parametrize("dump", [b"no dump", b"PGDMP\x01\xff\x00 of a newer PostgreSQL"], ids=["garbage", "newer"])
def test_a_dump_that_cannot_be_read_is_a_fault_of_the_backup(
    bench_database: str, home: Path, tmp_path: Path, dump: bytes
) -> None:
    """The message asks for another backup: the database has nothing to do with it."""
    with pytest.raises(InvalidInput, match="use another backup"):
        restored(packed(tmp_path / "foreign.backup", dump=dump), bench_database, home)

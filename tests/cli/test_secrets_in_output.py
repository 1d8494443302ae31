"""What commands and processes print and write: no password of an address, and no file that others can read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CINECLUB, cineclub
from pydantic import ValidationError

from cineclub.bootstrap import storage
from cineclub.cli.inspecting import explain_invalid_settings
from cineclub.runtime.process_start import close_to_others
from cineclub.settings import Settings

SECRET = "S3cret"  # noqa: S105 - planted
MALFORMED = ("postgresql://u:S3cret%zz@h/db", "postgresql://u:S3cret x@h/db", "postgresql://u:S3cret@[::1")


@pytest.mark.parametrize("address", MALFORMED)
@pytest.mark.parametrize("entry", ["doctor", "-m cineclub.processes.worker", "-m cineclub.processes.api"])
def test_a_malformed_address_stops_every_process_without_being_repeated(
    tmp_path: Path, address: str, entry: str
) -> None:
    """The command line gives a sentence that names the variable; a process of the service shows no password either."""
    program = [sys.executable] if entry.startswith("-m") else [CINECLUB]
    environment = {**os.environ, "CINECLUB_HOME": str(tmp_path), "CINECLUB_DATABASE_URL": address}
    shown = subprocess.run(
        [*program, *entry.split()], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert shown.returncode == 1
    assert SECRET not in shown.stdout + shown.stderr
    assert "postgresql://user:password@host/name" in " ".join(shown.stderr.split())


def test_doctor_names_the_server_of_mlflow_without_its_password(connected: Settings) -> None:
    """The owner reads which server does not answer, without the password of its address."""
    shown = cineclub(
        connected.home,
        "doctor",
        MLFLOW_TRACKING_URI=f"http://ann:{SECRET}@127.0.0.1:9",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )
    text = "".join(shown.stdout.split())
    assert SECRET not in shown.stdout + shown.stderr
    assert "theMLflowstoredoesnotanswer" in text or "theMLflowstorerefused" in text
    assert "127.0.0.1" in text


def test_what_a_process_writes_is_for_its_owner_alone(home: Path) -> None:
    """Whatever the umask, the files in the state folder are closed to other users."""
    environment = {**os.environ, "CINECLUB_HOME": str(home)}
    subprocess.run([CINECLUB, "train"], env=environment, capture_output=True, timeout=120, check=False, umask=0)
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {"worker.log", "postgres.log", "password"} <= {path.name for path in files}
    is_open = [str(path) for path in files if path.stat().st_mode & 0o077 and "programs" not in path.parts]
    assert is_open == []


def test_folders_that_an_earlier_release_left_open_are_closed(home: Path) -> None:
    """The folders in the state folder are closed at the next start, and a link is not followed."""
    outside = home / "outside"
    state = home / "state"
    for folder in (outside, state, state / "logs", state / "snapshots"):
        folder.mkdir()
        folder.chmod(0o755)
    (state / "elsewhere").symlink_to(outside)
    close_to_others(state)
    assert [(state / name).stat().st_mode & 0o777 for name in ("logs", "snapshots")] == [0o700, 0o700]
    assert outside.stat().st_mode & 0o777 == 0o755
    with storage.database(Settings(home=state)):
        assert (state / "logs").stat().st_mode & 0o777 == 0o700


def test_a_file_that_vanishes_meanwhile_is_no_obstacle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may delete its unfinished files while the folders are closed."""
    (home / "logs").mkdir(mode=0o755)
    (home / "logs").chmod(0o755)
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter([folder / ".gone", folder / "logs"]))
    close_to_others(home)
    assert (home / "logs").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name != "home"])
def test_an_address_in_the_wrong_setting_is_not_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever mixes up the variables does not find the password in the message, also not in that of a library."""
    monkeypatch.setenv(Settings.variable_of(name), "postgresql://ann:pl4nted-p%40ss@db.example/films")
    try:
        Settings()
    except ValidationError as error:
        message = explain_invalid_settings(error)
        assert Settings.variable_of(name) in message
        assert "pl4nted" not in message

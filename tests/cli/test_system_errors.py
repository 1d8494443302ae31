"""Faults of the machine are messages that say what to do, with status 1, whatever the command."""

import errno
from pathlib import Path

import pytest
from command_line import cineclub

from cineclub.cli import main
from cineclub.cli.diagnosis import environment_findings
from cineclub.runtime.file_errors import FIXES
from cineclub.settings import Settings

COMMANDS = ["serve", "demo", "doctor", "train"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_home_that_cannot_be_used_is_named(command: str, tmp_path: Path) -> None:
    """A file in the place of the folder: the path and the fix, no traceback, no file with details."""
    (tmp_path / "home").write_text("in the way")
    done = cineclub(tmp_path / "home", command)
    shown = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1
    assert "a file is in the way: remove it" in shown
    assert "unexpected error" not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("code", sorted(FIXES), ids=lambda code: errno.errorcode[code])
def test_errors_of_the_system_have_a_fix(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full or read-only disk, foreign files, too many of them: one sentence and status 1 from every command."""

    def fail() -> None:
        raise OSError(code, "the system's words", "/some/file")

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as end:
        main.main()
    shown = " ".join(capsys.readouterr().err.split())
    assert end.value.code == 1
    assert shown.startswith("error: /some/file: ")
    assert "unexpected error" not in shown


def test_a_check_of_doctor_that_fails_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home inside of a closed folder is one finding among others."""

    def refuse(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/closed")

    monkeypatch.setattr("cineclub.cli.diagnosis.shutil.disk_usage", refuse)
    findings = list(environment_findings(Settings(home=tmp_path)))
    assert [finding.status for finding in findings] == ["OK", "OK", "OK", "FAIL"]
    assert "run cineclub as its owner" in findings[-1].what

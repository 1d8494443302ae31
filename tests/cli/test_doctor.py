"""What `cineclub doctor` finds, and how it says to mend it."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import COLUMNS, cineclub

from cineclub.cli import diagnosis
from cineclub.ports import PastCheck
from cineclub.settings import Settings


def test_a_home_without_ratings_has_warnings_and_no_failure(connected: Settings) -> None:
    """Nothing is broken before the first import: what is missing is named with the command that brings it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    shown = cineclub(connected.home, "doctor", CINECLUB_PORT=str(port))
    assert shown.returncode == 0, shown.stdout
    assert "FAIL" not in shown.stdout
    for mend in ("cineclub import PATH", "cineclub serve", "cineclub train"):
        assert mend in shown.stdout
    assert "MLflow answers" in shown.stdout
    assert max(len(line) for line in shown.stdout.splitlines()) <= COLUMNS


def test_a_database_that_does_not_answer_fails(tmp_path: Path) -> None:
    """The exit status is 1, the cause and the setting are named, and the password is not."""
    url = "postgresql://ann:opensesame@127.0.0.1:1/films"
    shown = cineclub(tmp_path, "doctor", CINECLUB_DATABASE_URL=url)
    assert shown.returncode == 1
    assert "FAIL PostgreSQL" in shown.stdout
    assert "CINECLUB_DATABASE_URL" in shown.stdout
    assert "opensesame" not in shown.stdout + shown.stderr


def test_a_port_that_somebody_else_uses_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A foreign server on our port is not taken for ours."""
    monkeypatch.setattr("cineclub.supervisor.LOOK_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(home=tmp_path, port=taken.getsockname()[1])
        finding = diagnosis.port_finding(settings)
    assert finding.status == "FAIL"
    assert "CINECLUB_PORT" in finding.what


def test_a_misspelled_variable_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It works without the setting that was meant, and says so."""
    monkeypatch.setenv("CINECLUB_POORT", "8001")
    statuses = {finding.what: finding.status for finding in diagnosis.environment_findings(Settings(home=tmp_path))}
    assert statuses["no setting of cineclub: CINECLUB_POORT"] == "WARN"


@pytest.mark.parametrize(("hours", "status"), [(24.0, "WARN"), (48.0, "OK")])
def test_a_check_of_drift_that_is_long_ago_is_no_ok(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hours: float, status: str
) -> None:
    """Three days without a check are too many where one is due each day, and not where one is due every other day."""
    checked_at = datetime.now(UTC) - timedelta(days=3)
    last = PastCheck(1, checked_at, "watch", is_usual=True, verdict="OK", summary="as usual", distances={}, **NOTHING)
    monkeypatch.setattr("cineclub.bootstrap.last_drift_check", lambda _: last)
    found = diagnosis._drift(Settings(home=tmp_path, drift_check_hours=hours))
    assert found.status == status, found


NOTHING: dict[str, Any] = {"training_id": None, "notified_at": None, "changes": {}, "segments": ()}

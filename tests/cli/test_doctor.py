"""Findings of `cineclub doctor`, with their fixes."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from command_line import COLUMNS, cineclub

from cineclub.bootstrap import storage
from cineclub.cli import diagnosis
from cineclub.domain.drift.records import PastCheck
from cineclub.settings import Settings


def test_a_home_without_ratings_has_warnings_and_no_failure(connected: Settings) -> None:
    """Before the first import missing parts are warnings, each with the command that creates it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    shown = cineclub(connected.home, "doctor", CINECLUB_PORT=str(port))
    assert shown.returncode == 0, shown.stdout
    assert "FAIL" not in shown.stdout
    for fix in ("cineclub import PATH", "cineclub serve", "cineclub train"):
        assert fix in shown.stdout
    assert "MLflow answers" in shown.stdout
    assert max(len(line) for line in shown.stdout.splitlines()) <= COLUMNS


def test_ratings_dated_after_now_are_a_warning(connected: Settings) -> None:
    """Their number and the newest time are reported, also where that is beyond the calendar; a minute is none."""
    with psycopg.connect(storage.database_url(connected), autocommit=True) as connection:
        connection.execute("INSERT INTO cineclub.users (external_id) VALUES ('u')")
        connection.execute("INSERT INTO cineclub.movies (external_id, title) SELECT i, '' FROM generate_series(1, 4) i")
        connection.execute("INSERT INTO cineclub.ratings VALUES (1, 1, 5, now() + interval '1 minute')")
        assert _future(connected) == ("OK", "no rating is dated after now")
        connection.execute(
            "INSERT INTO cineclub.ratings VALUES (1, 2, 5, '2098-01-01Z'), (1, 3, 5, '2099-05-01 12:00Z')"
        )
        assert _future(connected) == ("WARN", "2 ratings are dated after now, the newest 2099-05-01 12:00 UTC")
        connection.execute("INSERT INTO cineclub.ratings VALUES (1, 4, 5, 'infinity')")
        assert _future(connected) == ("WARN", "3 ratings are dated after now, the newest 9999-12-31 00:00 UTC")


def _future(settings: Settings) -> tuple[str, str]:
    """Return status and message of the finding about ratings that are dated after now."""
    with storage.database(settings) as connected:
        finding = diagnosis._future_ratings(connected)
    return finding.status, finding.what


def test_a_database_that_does_not_answer_fails(tmp_path: Path) -> None:
    """The exit status is 1; cause and setting are named, and the password is not."""
    url = "postgresql://ann:opensesame@127.0.0.1:1/films"
    shown = cineclub(tmp_path, "doctor", CINECLUB_DATABASE_URL=url)
    assert shown.returncode == 1
    assert "FAIL PostgreSQL" in shown.stdout
    assert "CINECLUB_DATABASE_URL" in shown.stdout
    assert "opensesame" not in shown.stdout + shown.stderr


def test_a_port_that_somebody_else_uses_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another server on our port is a failure."""
    monkeypatch.setattr("cineclub.processes.supervisor.REQUEST_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(home=tmp_path, port=taken.getsockname()[1])
        finding = diagnosis.port_finding(settings)
    assert finding.status == "FAIL"
    assert "CINECLUB_PORT" in finding.what


def test_a_misspelled_variable_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A misspelled variable has no effect and is reported."""
    monkeypatch.setenv("CINECLUB_POORT", "8001")
    statuses = {finding.what: finding.status for finding in diagnosis.environment_findings(Settings(home=tmp_path))}
    assert statuses["no setting of cineclub: CINECLUB_POORT"] == "WARN"


@pytest.mark.parametrize(("hours", "status"), [(24.0, "WARN"), (48.0, "OK")])
def test_a_check_of_drift_that_is_long_ago_is_no_ok(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hours: float, status: str
) -> None:
    """Three days without a check are too long for a daily interval, and not for one of two days."""
    checked_at = datetime.now(UTC) - timedelta(days=3)
    last = PastCheck(1, checked_at, "watch", is_usual=True, verdict="OK", summary="as usual", distances={}, **NOTHING)
    monkeypatch.setattr("cineclub.bootstrap.drift.last_drift_check", lambda _: last)
    finding = diagnosis._drift(Settings(home=tmp_path, drift_check_hours=hours))
    assert finding.status == status, finding


NOTHING: dict[str, Any] = {"training_id": None, "notified_at": None, "changes": {}, "segments": ()}


def test_a_version_that_learned_from_an_erased_user_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The finding says when the user was erased, and until when the version serves."""
    settings = Settings(home=tmp_path)
    monkeypatch.setattr(storage, "erased_after_learning", lambda _: None)
    assert diagnosis._erasures(settings).status == "OK"
    monkeypatch.setattr(storage, "erased_after_learning", lambda _: datetime(2026, 3, 1, tzinfo=UTC))
    finding = diagnosis._erasures(settings)
    assert (finding.status, "2026-03-01, until the version of a later training serves" in finding.what) == (
        "WARN",
        True,
    )
    assert "cineclub train" in finding.fix

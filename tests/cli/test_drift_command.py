"""The command `cineclub drift`: exit statuses, tables of 80 columns, JSON, the pinned baseline."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from command_line import COLUMNS, cineclub
from drifting_ratings import fill_weeks, promote_with_baseline

from cineclub.bootstrap import storage
from cineclub.settings import Settings

HATE_HORROR = """
UPDATE cineclub.ratings r SET rating = 0.5 FROM cineclub.movies m
WHERE m.id = r.movie_id AND m.genres = '{Horror}' AND r.rated_at > now() - interval '7 days'
"""


@pytest.fixture(scope="module")
def weeks(connected: Settings) -> Settings:
    """A home with ratings of the last half year, and a version with its baseline."""
    url = storage.database_url(connected)
    promote_with_baseline(url, fill_weeks(url, datetime.now(UTC)))
    return connected


def test_a_usual_week_an_alert_and_an_empty_window_have_exit_statuses_of_their_own(weeks: Settings) -> None:
    """The exit statuses are 0, 3 and 4; the output fits 80 columns; history and doctor show the alert."""
    usual = cineclub(weeks.home, "drift")
    assert usual.returncode == 0, usual.stdout + usual.stderr
    with psycopg.connect(storage.database_url(weeks)) as connection:
        connection.execute(HATE_HORROR)
    alert = cineclub(weeks.home, "drift", "--threshold-pct", "10")
    assert alert.returncode == 3, alert.stdout + alert.stderr
    long_ago = (datetime.now(UTC) - timedelta(days=3000)).isoformat()
    empty = cineclub(weeks.home, "drift", "--until", long_ago, "--json")
    assert (empty.returncode, json.loads(empty.stdout)["verdict"]) == (4, "NOT_ENOUGH_DATA")
    assert usual.stdout.startswith("OK: ")
    assert alert.stdout.startswith("ALERT: ")
    assert "Horror" in alert.stdout
    assert "taste_by_genre" in alert.stdout
    history = cineclub(weeks.home, "drift", "history")
    assert (history.returncode, history.stdout.count("ALERT")) == (0, 1)
    for shown in (usual, alert, history):
        assert max(len(line) for line in shown.stdout.splitlines()) <= COLUMNS, shown.stdout
    doctor = cineclub(weeks.home, "doctor")
    assert "WARN drift, checked" in doctor.stdout


def test_a_pinned_baseline_comes_and_goes(weeks: Settings) -> None:
    """The output names the pinned baseline, and a missing one."""
    pinned = cineclub(weeks.home, "drift", "pin", "7")
    check = json.loads(cineclub(weeks.home, "drift", "--json").stdout)
    unknown = cineclub(weeks.home, "drift", "pin", "8")
    unpinned = cineclub(weeks.home, "drift", "unpin")
    assert (pinned.returncode, unpinned.returncode, unknown.returncode) == (0, 0, 1)
    assert "version 8 has no baseline" in unknown.stderr
    assert [comparison["baseline"] for comparison in check["comparisons"]] == ["model", "pinned"]


@pytest.mark.parametrize(
    "arguments", [("--window", "seven"), ("--threshold-pct", "0"), ("--until", "2999-01-01T00:00:00Z")]
)
def test_what_cannot_be_checked_is_one_sentence(weeks: Settings, arguments: tuple[str, str]) -> None:
    """An invalid request exits with 1 and lists the allowed values."""
    refused = cineclub(weeks.home, "drift", *arguments)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "error: " in refused.stderr
    assert "must be" in refused.stderr


def test_a_database_that_does_not_answer_is_an_error_and_never_ok(weeks: Settings) -> None:
    """A failure has the exit status of errors, never that of OK."""
    failed = cineclub(weeks.home, "drift", CINECLUB_DATABASE_URL="postgresql://ann@127.0.0.1:1/films")
    assert (failed.returncode, failed.stdout) == (1, "")


def test_the_webhook_is_a_secret(weeks: Settings) -> None:
    """`cineclub settings` shows only its host, and an invalid one is refused without being shown."""
    shown = cineclub(weeks.home, "settings", CINECLUB_ALERT_WEBHOOK="https://hooks.test/opensesame?k=sesame")
    assert "CINECLUB_ALERT_WEBHOOK=https://hooks.test/********" in shown.stdout
    refused = cineclub(weeks.home, "settings", CINECLUB_ALERT_WEBHOOK="file:///opensesame")
    assert refused.returncode == 1
    assert "CINECLUB_ALERT_WEBHOOK" in refused.stderr
    assert "sesame" not in shown.stdout + shown.stderr + refused.stdout + refused.stderr

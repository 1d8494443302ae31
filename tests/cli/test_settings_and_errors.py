"""The command line without a database: help, settings, and errors in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import COLUMNS, cineclub

from cineclub.cli.main import COMMANDS
from cineclub.settings import Settings


def test_help_lists_every_command_in_80_columns(tmp_path: Path) -> None:
    """Help lists all commands with a whole sentence each, whatever the width of the terminal."""
    shown = cineclub(tmp_path, "--help")
    assert shown.returncode == 0
    assert all(f"  {name} " in shown.stdout for name in COMMANDS)
    assert "..." not in shown.stdout.partition("Commands:")[2]
    assert max(len(line) for line in shown.stdout.splitlines()) <= COLUMNS


def test_help_imports_nothing_heavy() -> None:
    """Help imports neither numpy nor pydantic nor rich."""
    heavy = ("numpy", "pydantic", "rich", "psycopg")
    code = f"import sys, cineclub.cli.main; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    """Each command's help begins with a sentence of at most 60 characters."""
    documentation = COMMANDS[name].__doc__ or ""
    first = documentation.splitlines()[0]
    assert first.endswith(".")
    assert len(first) <= 60


def test_settings_lists_every_variable_and_no_secret(tmp_path: Path) -> None:
    """Passwords are masked wherever a URL holds them."""
    url = "postgresql://ann:opensesame@db.example/films?password=opensesame"
    shown = cineclub(tmp_path, "settings", CINECLUB_DATABASE_URL=url, MLFLOW_TRACKING_URI="http://b:opensesame@ml:5000")
    assert shown.returncode == 0
    assert all(f"{Settings.variable_of(name)}=" in shown.stdout for name in Settings.model_fields)
    assert "opensesame" not in shown.stdout
    assert "postgresql://ann:********@db.example/films" in shown.stdout


def test_a_misspelled_setting_is_named(tmp_path: Path) -> None:
    """An unknown variable with our prefix is named."""
    shown = cineclub(tmp_path, "settings", CINECLUB_POORT="8001")
    assert "CINECLUB_POORT is no setting" in shown.stderr


@pytest.mark.parametrize("command", ["settings", "serve", "train", "doctor"])
def test_an_invalid_setting_is_one_sentence(tmp_path: Path, command: str) -> None:
    """The message names variable, value and allowed values, without a traceback."""
    shown = cineclub(tmp_path, command, CINECLUB_PORT="99999")
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert "CINECLUB_PORT is '99999'" in shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("line", ["nightly", "0 4 * *", "61 4 * * *", "0 0 31 2 *"])
def test_a_schedule_that_is_none_is_refused_at_once(tmp_path: Path, line: str) -> None:
    """The message names the variable and shows a valid schedule."""
    shown = cineclub(tmp_path, "settings", CINECLUB_TRAINING_SCHEDULE=line)
    assert shown.returncode == 1
    assert "CINECLUB_TRAINING_SCHEDULE" in shown.stderr
    assert "0 4 * * *" in " ".join(shown.stderr.split())
    assert "Traceback" not in shown.stderr


def test_an_unexpected_error_leaves_its_details_in_a_log(tmp_path: Path) -> None:
    """The traceback is written to a log and not shown."""
    code = (
        "from cineclub.cli import main as cli; import cineclub\n"
        "del cineclub.__version__\n"
        "import sys; sys.argv = ['cineclub', 'version']; cli.main()"
    )
    environment = {**os.environ, "CINECLUB_HOME": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.returncode == 1
    assert "unexpected error, details in" in shown.stderr
    assert "Traceback" not in shown.stderr
    [details] = (tmp_path / "logs").iterdir()
    assert "AttributeError" in details.read_text()


def test_a_log_shorter_than_the_outcome_window_is_refused(tmp_path: Path) -> None:
    """The message names both settings, also where the window is the default."""
    shown = cineclub(tmp_path, "settings", CINECLUB_PREDICTION_LOG_DAYS="3")
    assert shown.returncode != 0
    assert "CINECLUB_OUTCOME_WINDOW_DAYS is 7.0, but: " in shown.stderr
    assert "CINECLUB_PREDICTION_LOG_DAYS" in shown.stderr


def test_an_address_for_alerts_with_a_password_is_refused_and_not_shown(tmp_path: Path) -> None:
    """An address with a password is refused; the message names the setting and not the address."""
    shown = cineclub(tmp_path, "settings", CINECLUB_ALERT_WEBHOOK="https://user:opensesame@example.org/hook")
    assert shown.returncode != 0
    assert "no user and password" in " ".join((shown.stdout + shown.stderr).split())
    assert "opensesame" not in shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr


def test_settings_apart_know_nothing_of_the_environment_and_reach_another_process_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Separate settings ignore the environment and reach child processes whole, so a simulated month is isolated."""
    monkeypatch.setenv("CINECLUB_DATABASE_URL", "postgresql://somebody@elsewhere/real")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere:5000")
    monkeypatch.setenv("CINECLUB_PORT", "9999")
    settings = Settings.apart(home=tmp_path, outcome_window_days=0.25)
    assert settings.database_url is None
    assert settings.mlflow_tracking_uri is None
    assert settings.port == 8000
    for name in ("CINECLUB_DATABASE_URL", "MLFLOW_TRACKING_URI", "CINECLUB_PORT"):
        monkeypatch.delenv(name)
    for name, value in settings.variables.items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings

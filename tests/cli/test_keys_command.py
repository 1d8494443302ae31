"""The command `cineclub keys`, and the start of a public service without keys."""

import os
import subprocess
import sys

from command_line import COLUMNS, cineclub

from cineclub.settings import Settings


def test_a_key_is_made_listed_and_revoked(connected: Settings) -> None:
    """The key is printed once, alone on stdout; wrong scopes and unknown keys get a sentence."""
    assert "there are no keys" in cineclub(connected.home, "keys", "list").stdout
    made = cineclub(connected.home, "keys", "create", "newsletter", "--scopes", "read,write", "--expires-days", "30")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert secret.startswith("cineclub_")
    table = cineclub(connected.home, "keys", "list").stdout
    assert secret not in table
    assert all(word in table for word in ("newsletter", "read, write", "never", "valid"))
    assert max(len(line) for line in table.splitlines()) <= COLUMNS
    assert "is revoked" in cineclub(connected.home, "keys", "revoke", "1").stdout
    assert "revoked" in cineclub(connected.home, "keys", "list").stdout
    wrong = cineclub(connected.home, "keys", "create", "x", "--scopes", "all")
    assert (wrong.returncode, "scopes must be some of read, write" in wrong.stderr) == (1, True)
    unknown = cineclub(connected.home, "keys", "revoke", "9")
    assert (unknown.returncode, "there is no key 9" in unknown.stderr) == (1, True)


def test_a_service_that_others_reach_does_not_start_without_a_key(connected: Settings) -> None:
    """`serve` and the API alone exit with the next step, also where keys are declared unnecessary."""
    assert connected.database_url is not None
    ours = {"CINECLUB_HOME": str(connected.home), "CINECLUB_DATABASE_URL": connected.database_url.get_secret_value()}
    environment = {**os.environ, **ours, "CINECLUB_HOST": "192.0.2.1"}
    for more, sentence in (({}, "cineclub keys create"), ({"CINECLUB_REQUIRE_KEYS": "false"}, "anybody could train")):
        command = [sys.executable, "-m", "cineclub.processes.api"]
        ended = subprocess.run(
            command, env={**environment, **more}, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 1
        assert sentence in ended.stderr

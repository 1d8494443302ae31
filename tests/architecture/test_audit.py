"""The check for known vulnerabilities never passes silently."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOUND = {"name": "sound", "version": "1.0", "vulns": []}
BAD = {
    "name": "bad",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"]}],
}
UNKNOWN = {"name": "unknown", "skip_reason": "could not be audited"}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    """The script that continuous integration runs."""
    specification = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("dependencies", "status", "words"),
    [
        ([SOUND], 0, "1 packages, none known"),
        ([SOUND, BAD, UNKNOWN], 1, "bad 1.0: PYSEC-1 (CVE-2026-1), fixed in 1.1"),
        ([SOUND, UNKNOWN], 2, "NOT AUDITED: 1 of 2 packages could not be looked up: unknown"),
        ([], 2, "NOT AUDITED"),
    ],
)
def test_a_vulnerability_fails_and_an_unknown_package_is_no_pass(
    audit: ModuleType, dependencies: list[dict[str, Any]], status: int, words: str
) -> None:
    """A vulnerable package is named with its fixed version; unknown packages have their own status."""
    exit_status, sentence = audit.verdict(dependencies)
    assert (exit_status, words in sentence) == (status, True), sentence


def test_an_advisory_service_that_is_away_is_reported(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unavailable advisory service gives status 2, or 0 with a message where that is allowed."""
    gone = subprocess.CompletedProcess([sys.executable], 1, stdout="", stderr="Traceback\nConnectionError: no route")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_args, **_options: gone)
    assert audit.main([]) == 2
    assert "NOT AUDITED: the advisory service did not answer (ConnectionError: no route)" in capsys.readouterr().err
    assert audit.main(["--may-be-away"]) == 0
    assert "audit SKIPPED" in capsys.readouterr().out

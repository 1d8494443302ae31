"""Audit of every package in requirements.lock for known vulnerabilities.

Exit status 0: every package was looked up and none is known to be vulnerable. 1: one is. 2: some could not be looked
up, because the advisory service does not respond or does not know them; with ``--may-be-away`` that passes with a
message.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes", "--disable-pip"),
    *("--format", "json", "--desc", "off", "--aliases", "on", "--progress-spinner", "off", "--timeout", "10"),
]
CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 2
MAX_NAMED = 5


def main(arguments: Sequence[str]) -> int:
    """Print the result, and return the exit status."""
    process = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    try:
        dependencies = json.loads(process.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last_line = (process.stderr.strip().splitlines() or ["no output"])[-1]
        status, sentence = NOT_AUDITED, f"NOT AUDITED: the advisory service did not answer ({last_line[:200]})"
    else:
        status, sentence = verdict(dependencies)
    if status == NOT_AUDITED and "--may-be-away" in arguments:
        status, sentence = CLEAN, f"audit SKIPPED, vulnerabilities are unknown. {sentence}"
    print(sentence, file=sys.stderr if status else sys.stdout)
    return status


def verdict(dependencies: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
    """Return exit status and message for pip-audit's list; a known vulnerability outranks a failed look-up."""
    vulnerabilities = [
        f"{package['name']} {package['version']}: {vulnerability['id']} "
        f"({', '.join(vulnerability.get('aliases', ())) or 'no other name'}), "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for package in dependencies
        for vulnerability in package.get("vulns", ())
    ]
    if vulnerabilities:
        return VULNERABLE, "\n".join(["known to be vulnerable:", *vulnerabilities])
    unknown = [dependency["name"] for dependency in dependencies if "skip_reason" in dependency]
    if unknown or not dependencies:
        named = ", ".join(unknown[:MAX_NAMED]) + (", …" if len(unknown) > MAX_NAMED else "")
        n_packages = len(dependencies)
        return NOT_AUDITED, f"NOT AUDITED: {len(unknown)} of {n_packages} packages could not be looked up: {named}"
    return CLEAN, f"{len(dependencies)} packages, none known to be vulnerable"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

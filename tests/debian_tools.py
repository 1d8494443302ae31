"""Programs of Debian's packages that tests run."""

import shutil
import subprocess

PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "systemd-analyze": "systemd"}


def tool(name: str) -> str:
    """Return where a program is; the test fails with what to install where it is missing."""
    found = shutil.which(name)
    assert found, f"{name} is not installed: apt-get install {PACKAGES[name]} (on Debian and its kin)"
    return found


def run_tool(name: str, *arguments: str) -> str:
    """Run a program to its end, and return what it printed; the test fails with that where it does."""
    done = subprocess.run([tool(name), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

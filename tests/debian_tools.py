"""Programs of Debian packages that tests run."""

import shutil
import subprocess

PACKAGES = {
    "openssl": "openssl",
    "pgbouncer": "pgbouncer",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
}


def tool(name: str) -> str:
    """Return the path of a program; without it the test fails and names the package."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert path, f"{name} is not installed: apt-get install {PACKAGES[name]} (on Debian and its kin)"
    return path


def run_tool(name: str, *arguments: str) -> str:
    """Run a program and return its output; the test fails with the output of a failed program."""
    done = subprocess.run([tool(name), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

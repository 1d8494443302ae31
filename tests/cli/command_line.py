"""The command line as a process, with 80 columns and its own state folder."""

import os
import subprocess
import sys
from pathlib import Path

CINECLUB = str(Path(sys.executable).with_name("cineclub"))
COLUMNS = 80


def cineclub(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CINECLUB_", "MLFLOW_"))}
    environment = {**ours, "COLUMNS": str(COLUMNS), "CINECLUB_HOME": str(home), **variables}
    command = [CINECLUB, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

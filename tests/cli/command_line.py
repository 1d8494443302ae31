"""Running the command line as a user does: a process, 80 columns, a state folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

CINECLUB = str(Path(sys.executable).with_name("cineclub"))
COLUMNS = 80


def cineclub(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CINECLUB_", "MLFLOW_"))}
    environment = {**ours, "COLUMNS": str(COLUMNS), "CINECLUB_HOME": str(home), **variables}
    command = [CINECLUB, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

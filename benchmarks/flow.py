"""Duration of the whole training flow on ml-latest-small, and of the demo until it is ready.

Writes ``docs/benchmarks/flow.json`` and ``docs/benchmarks/flow.md`` and prints the table.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from report import machine, write_report

ROOT = Path(__file__).parents[1]
CINECLUB = str(Path(sys.executable).with_name("cineclub"))
RATINGS = ROOT.parent / "shared" / "data" / "ml-latest-small"
PATIENCE_SECONDS = 300.0


def main() -> None:
    """Measure, print, write."""
    with fresh_home() as home:
        trainings = measure_trainings(home) if RATINGS.is_dir() else []
    with fresh_home() as home:
        demos = [
            ("demo, first start to ready", demo_seconds(home)),
            ("demo, second start to ready", demo_seconds(home)),
        ]
    rows = [*trainings, *demos]
    table = "\n".join(["| part | seconds |", "|---|---:|", *(f"| {name} | {seconds:.1f} |" for name, seconds in rows)])
    write_report("flow", {"machine": machine(), "seconds": dict(rows)}, table)


@contextmanager
def fresh_home() -> Iterator[Path]:
    """A temporary state folder; other users may enter it, as PostgreSQL needs under root."""
    folder = Path(tempfile.mkdtemp(prefix="cineclub-bench-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environment(home: Path, port: int = 8000) -> dict[str, str]:
    """Return the environment of a process of that home."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("CINECLUB_", "MLFLOW_"))}
    return {**others, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(port)}


def measure_trainings(home: Path) -> list[tuple[str, float]]:
    """Import once and train twice; the first run may compile the kernels."""
    run(home, "import", str(RATINGS))
    first, second = (json.loads(run(home, "train", "--json")) for _ in range(2))
    steps = [(f"training, warm: {name}", seconds) for name, seconds in second["step_seconds"].items()]
    return [("training, first, all steps", total(first)), ("training, warm, all steps", total(second)), *steps]


def total(report: dict[str, Any]) -> float:
    """Return the seconds from loading to promotion."""
    return float(sum(report["step_seconds"].values()))


def run(home: Path, *arguments: str) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run([CINECLUB, *arguments], env=environment(home), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"cineclub {' '.join(arguments)} failed: {done.stderr}")
    return done.stdout


def demo_seconds(home: Path) -> float:
    """Return the seconds from the start of the demo until /ready names a model."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    started = time.monotonic()
    process = subprocess.Popen([CINECLUB, "demo"], env=environment(home, port), stdout=subprocess.DEVNULL)
    while not has_model(port) and process.poll() is None and time.monotonic() < started + PATIENCE_SECONDS:
        time.sleep(0.05)
    seconds = time.monotonic() - started
    process.send_signal(signal.SIGINT)
    process.wait()
    return seconds


def has_model(port: int) -> bool:
    """Return whether the service has a model."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as response:
            return json.load(response)["model"] is not None
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    main()

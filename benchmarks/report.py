"""How every benchmark reports: printed, as JSON, and as a part of docs/benchmarks.md."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "benchmarks"
TITLES = {
    "data": "Loading and importing (`make bench-data`)",
    "gate": "How often the gate is wrong (`make bench-gate`)",
    "drift": "Drift that is there, and drift that is not (`make bench-drift`)",
    "drift-queries": "Counting for a check of drift (`make bench-drift-queries`)",
    "flow": "The training flow and the demo (`make bench-flow`)",
    "models": "Models beside Surprise and implicit (`make bench-models`)",
    "models-movietweetings-100k": "The same on MovieTweetings 100k (`make bench-models DATA=...`)",
    "scale": "At scale (`make bench-scale`)",
    "snapshots": "Snapshots and statistics (`make bench-snapshots`)",
    "serving": "Predictions over HTTP (`make bench-serve`)",
    "middleware": "What measuring every request costs (`make bench-middleware`)",
    "memory": "Several workers and long service (`make bench-memory`)",
}
PREFACE = """# Benchmarks

Written by the commands named below. A peer runs beside cineclub in the same run: read the ratios, absolute times belong
to the machine and to what else it was doing.
"""


def machine() -> str:
    """Return what the numbers belong to."""
    return f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def kept_parts(name: str, extent: str) -> dict[str, dict[str, Any]]:
    """Return the parts of a report that an earlier run measured on the same ratings, by name."""
    path = RESULTS / f"{name}.json"
    document = json.loads(path.read_text()) if path.is_file() else {}
    return dict(document.get("parts", {})) if document.get("ratings") == extent else {}


def now() -> str:
    """Return the time, for what was measured just now."""
    return datetime.now(tz=UTC).isoformat(timespec="seconds")


def write_report(name: str, figures: dict[str, Any], table: str, printed: str | None = None) -> None:
    """Print a table, or the part of it that is new, keep the figures, and join all tables into docs/benchmarks.md."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    document = {"measured_at": now(), **figures}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(f"{table}\n\nMeasured on {machine()}.\n")
    parts = [
        f"## {title}\n\n{(RESULTS / f'{part}.md').read_text()}"
        for part, title in TITLES.items()
        if (RESULTS / f"{part}.md").is_file()
    ]
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join([PREFACE, *parts]))
    print(printed or table, flush=True)

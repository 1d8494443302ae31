"""Reports of the benchmarks: printed, as JSON, and as a part of docs/benchmarks.md."""

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
    "gate": "False promotions and power of the gate (`make bench-gate`)",
    "drift": "False alarms and detected faults of drift checks (`make bench-drift`)",
    "drift-queries": "Duration of a drift check (`make bench-drift-queries`)",
    "flow": "The training flow and the demo (`make bench-flow`)",
    "time": "Recommending in time (`make bench-time`)",
    "models": "Models compared with Surprise and implicit (`make bench-models`)",
    "models-movietweetings-100k": "The same on MovieTweetings 100k (`make bench-models DATA=...`)",
    "scale": "At scale (`make bench-scale`)",
    "snapshots": "Snapshots and statistics (`make bench-snapshots`)",
    "serving": "Predictions over HTTP (`make bench-serve`)",
    "middleware": "Cost of measuring every request (`make bench-middleware`)",
    "new-films": "Films that nobody has rated (`make bench-new-films`)",
    "moving": "Lists that move (`make bench-moving`)",
    "memory": "Memory of several API processes and over time (`make bench-memory`)",
}
PREFACE = """# Benchmarks

The commands in the headings write these tables. Compared libraries run in the same run as cineclub. Read the ratios:
absolute times depend on the machine and its other load.
"""


def machine() -> str:
    """Return the description of the machine."""
    return f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def earlier_parts(name: str, extent: str) -> dict[str, dict[str, Any]]:
    """Return the parts of a report from an earlier run on the same ratings, by name."""
    path = RESULTS / f"{name}.json"
    document = json.loads(path.read_text()) if path.is_file() else {}
    return dict(document.get("parts", {})) if document.get("ratings") == extent else {}


def now() -> str:
    """Return the present time."""
    return datetime.now(tz=UTC).isoformat(timespec="seconds")


def write_report(name: str, figures: dict[str, Any], table: str, printed: str | None = None) -> None:
    """Print a table or its new part, store the figures, and join all tables into docs/benchmarks.md."""
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

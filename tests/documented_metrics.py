"""The tables of docs/metrics.md, and the metrics of a page of /metrics."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

TABLES = Path(__file__).parents[1] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.*?) \|$", re.MULTILINE)
NOT_OURS = {"le", "worker"}
"""Labels of the format itself, and of where several processes serve."""

Described = tuple[str, tuple[str, ...], str]
"""Type, labels and meaning of a metric."""


def documented() -> dict[str, Described]:
    """Return the documented type, labels and meaning by metric."""
    rows = ROW.findall(TABLES.read_text())
    metrics = {name: (kind, tuple(re.findall(r"`(\w+)`", labels)), meaning) for name, kind, labels, meaning in rows}
    assert len(metrics) == len(rows), "a metric stands in docs/metrics.md twice"
    return metrics


def exposed(page: str) -> dict[str, Described]:
    """Return the exposed type, labels and meaning by metric, as queries name it."""
    metrics = {}
    for family in text_string_to_metric_families(page):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - NOT_OURS
        metrics[name] = (family.type, tuple(sorted(labels)), family.documentation)
    return metrics

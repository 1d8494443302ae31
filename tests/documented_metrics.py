"""The tables of docs/metrics.md, and what a page of /metrics really has."""

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
    """Return what the tables say of each metric, by name."""
    rows = ROW.findall(TABLES.read_text())
    found = {name: (kind, tuple(re.findall(r"`(\w+)`", labels)), meaning) for name, kind, labels, meaning in rows}
    assert len(found) == len(rows), "a metric stands in docs/metrics.md twice"
    return found


def exposed(page: str) -> dict[str, Described]:
    """Return what a page says of each metric, by the name that queries use; labels as its samples have them."""
    found = {}
    for family in text_string_to_metric_families(page):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - NOT_OURS
        found[name] = (family.type, tuple(sorted(labels)), family.documentation)
    return found

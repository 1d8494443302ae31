"""Checks of drift as JSON documents: of the API, of the command line and in the database."""

from typing import Any

from cineclub.domain.documents import to_document
from cineclub.domain.drift.records import DriftCheck

STATISTIC_FIELDS = ("name", "of", "baseline", "current", "change_pct", "distance", "threshold", "verdict")


def check_document(check: DriftCheck) -> dict[str, Any]:
    """Return a check in JSON's terms; figures and distributions have the same fields there, some of them null."""
    document: dict[str, Any] = to_document(check)
    for comparison in document["comparisons"]:
        statistics = comparison["statistics"]
        comparison["statistics"] = [{name: fields.get(name) for name in STATISTIC_FIELDS} for fields in statistics]
    return document

"""How documents are compared: flattened to one value a path, floats to a tolerance, intended changes from a table."""

import math
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("changed_on_purpose.toml")
SURFACES = {"openapi", "help", "names", "answers", "documents", "report"}
RELATIVE_TOLERANCE = 1e-6
SIXTH_DIGIT = 1.1e-6
"""Scores are served with six digits, so that the last one may fall either way."""

HUNDREDTH = 0.0101
ROUNDED_TO_HUNDREDTHS = "predicted_stars"
ABSENT = "(absent)"
N_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Difference:
    """One path at which the frozen document and the present one differ."""

    path: str
    frozen: Any
    present: Any

    def __str__(self) -> str:
        """Return the difference as a line."""
        return f"{self.path}: frozen {self.frozen!r}, now {self.present!r}"


def differences(path: str, frozen: Any, present: Any, ignored: Collection[str] = ()) -> Iterator[Difference]:
    """Give where two JSON documents differ; fields with an ignored name are not looked at."""
    if isinstance(frozen, dict) and isinstance(present, dict):
        for name in [*frozen, *(name_now for name_now in present if name_now not in frozen)]:
            if name not in ignored:
                inner = (document.get(name, ABSENT) for document in (frozen, present))
                yield from differences(f"{path}.{name}", *inner, ignored)
    elif isinstance(frozen, list) and isinstance(present, list) and len(frozen) == len(present):
        for nth, (before, now) in enumerate(zip(frozen, present, strict=True)):
            yield from differences(f"{path}.{nth}", before, now, ignored)
    elif not _is_equal(path, frozen, present):
        yield Difference(path, frozen, present)


def _is_equal(path: str, frozen: Any, present: Any) -> bool:
    """Say whether two values count as the same; a whole number and a float of the same value do not."""
    if isinstance(frozen, float) and isinstance(present, float):
        tolerance = HUNDREDTH if path.endswith(ROUNDED_TO_HUNDREDTHS) else SIXTH_DIGIT
        return math.isclose(frozen, present, rel_tol=RELATIVE_TOLERANCE, abs_tol=tolerance)
    return type(frozen) is type(present) and bool(frozen == present)


def assert_only_changed_on_purpose(surface: str, actual: Collection[Difference], table: Path = TABLE) -> None:
    """Refuse a difference that the table does not list, and a listed one that is none any more."""
    entries = [entry for entry in listed_changes(table) if entry["surface"] == surface]
    unlisted = [
        difference for difference in actual if not any(_covers(entry["at"], difference.path) for entry in entries)
    ]
    shown = "\n".join(str(difference) for difference in unlisted[:N_SHOWN])
    assert not unlisted, f"{surface}: {len(unlisted)} differences that {table.name} does not list:\n{shown}"
    for entry in entries:
        assert any(_covers(entry["at"], difference.path) for difference in actual), (
            f"{table.name}: nothing differs at {entry['at']}"
        )


def listed_changes(table: Path = TABLE) -> list[dict[str, str]]:
    """Return the entries of the table, each checked to say where and why."""
    entries: list[dict[str, str]] = tomllib.loads(table.read_text("utf-8")).get("change", [])
    for entry in entries:
        assert set(entry) == {"surface", "at", "why"}, f"{table.name}: {entry} must have surface, at and why"
        assert entry["surface"] in SURFACES, f"{table.name}: surface must be one of {sorted(SURFACES)}, not {entry}"
    return entries


def _covers(pattern: str, path: str) -> bool:
    """Say whether a listed place is the path or something above it."""
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")

"""docs/drawings.md names a function, a test and a metric for every box, and each of them exists."""

import ast
import re
from pathlib import Path

import pytest

from documented_metrics import documented

ROOT = Path(__file__).parents[2]
PARTS = re.split(r"^## (.+)$", (ROOT / "docs" / "drawings.md").read_text(), flags=re.MULTILINE)[1:]
BOXES = {"Training": 9, "Prediction": 7, "Monitoring": 5, "Data drift": 6}
"""How many boxes each drawing has."""

ROWS = [
    (drawing, [cell.strip() for cell in line.strip("|").split("|")])
    for drawing, text in zip(PARTS[::2], PARTS[1::2], strict=True)
    for line in text.splitlines()
    if line.startswith("| ") and not line.startswith("| box ")
]


def named(cell: str) -> list[str]:
    """Return the names in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def defined(path: Path) -> set[str]:
    """Return the functions and classes of a module; methods with their class."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (member for member in node.body if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}.{method.name}" for method in methods}
    return names


def is_there(name: str) -> bool:
    """Return whether a file has a function, or exists if no function is named."""
    place, _, function = name.partition("::")
    path = ROOT / (place if place.startswith(("tests/", "ops/")) else f"src/cineclub/{place}")
    return path.is_file() and (not function or function in defined(path))


def test_every_box_has_a_row() -> None:
    """Every box of each drawing has a row."""
    assert {drawing: sum(drawing_of_row == drawing for drawing_of_row, _ in ROWS) for drawing in BOXES} == BOXES
    assert {drawing for drawing, _ in ROWS} == set(BOXES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1][0])
def test_what_a_box_names_exists(row: tuple[str, list[str]]) -> None:
    """The named functions and tests are defined in the named files, and the metrics are documented."""
    _, [_, functions, tests, metrics] = row
    assert named(functions)
    assert named(tests)
    assert named(metrics)
    assert [name for name in (*named(functions), *named(tests)) if not is_there(name)] == []
    assert all(name.startswith("tests/") for name in named(tests))
    assert set(named(metrics)) - set(documented()) == set()

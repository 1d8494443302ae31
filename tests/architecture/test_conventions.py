"""The written conventions that no linter checks."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "cineclub"
MODULES = sorted(SOURCE.rglob("*.py"))
MONTH = sorted((ROOT / "benchmarks" / "month").rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc"}
BOXES_OF_TRAINING = [
    "load_ratings",
    "filter_users_and_movies",
    "evaluate_models",
    "grid_search_svd",
    "compare_with_production",
    "register_model",
    "promote_if_better",
]
BOXES_OF_DRIFT = ["load_baseline", "compute_current", "compare", "alert_or_ok"]


def tracked_files() -> list[Path]:
    """Return every tracked text file, in the working tree."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = [ROOT / name for name in names.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix not in {".png", ".lock", ".gz", ".xz"}]


def functions_of(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a module, methods and nested ones too."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def docstring_lines(node: ast.AST) -> int:
    """Return the number of lines of a node's docstring."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return 0
    body = node.body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        return (body[0].end_lineno or 0) - body[0].lineno + 1
    return 0


@pytest.mark.parametrize("module", [*MODULES, *MONTH], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(module: Path) -> None:
    """A file has at most 400 lines with its docstrings, and a function at most 40 without its own."""
    assert len(module.read_text().splitlines()) <= MAX_FILE_LINES
    too_long = {
        function.name: length
        for function in functions_of(module)
        if (length := (function.end_lineno or 0) - function.lineno + 1 - docstring_lines(function)) > MAX_FUNCTION_LINES
    }
    assert not too_long


def test_no_file_has_a_vague_name() -> None:
    """No module has a vague name such as utils."""
    assert not [path for path in [*MODULES, *MONTH] if path.stem in VAGUE_NAMES or path.parent.name in VAGUE_NAMES]


def test_only_settings_reads_the_environment() -> None:
    """Environment variables are read in settings alone; elsewhere the environment is only passed to children."""
    reading = re.compile(r"os\.getenv|os\.environ\.get\(|os\.environ\[[^\]]+\](?! =)")
    readers = {str(path.relative_to(SOURCE)) for path in MODULES if reading.search(path.read_text())}
    assert all(map(reading.search, ('os.getenv("X")', 'os.environ.get("X")', 'one = os.environ["X"]')))
    assert not reading.search('os.environ["X"] = "handed to a child"')
    assert readers <= {"settings.py"}


def test_the_training_flow_defines_the_boxes_of_its_drawing_in_order() -> None:
    """The training flow defines the boxes of its drawing in order."""
    names = [function.name for function in functions_of(SOURCE / "flows" / "training.py")]
    positions = [names.index(box) for box in BOXES_OF_TRAINING]
    assert positions == sorted(positions)


def test_the_drift_flow_defines_and_runs_the_boxes_of_its_drawing_in_order() -> None:
    """A check calls each box once, in the order in which they are defined."""
    functions = {function.name: function for function in functions_of(SOURCE / "flows" / "drift.py")}
    names = list(functions)
    assert [name for name in names if name in BOXES_OF_DRIFT] == BOXES_OF_DRIFT
    calls = [node for node in ast.walk(functions["check"]) if isinstance(node, ast.Call)]
    called = [node.func for node in calls if isinstance(node.func, ast.Attribute) and node.func.attr in BOXES_OF_DRIFT]
    assert [attribute.attr for attribute in sorted(called, key=lambda attribute: attribute.lineno)] == BOXES_OF_DRIFT


def test_the_layers_are_exhaustive() -> None:
    """The import linter checks every module, and no import is exempt."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["type"] == "layers")
    assert layers["exhaustive"]
    assert not any("ignore_imports" in contract for contract in contracts)


def test_no_tracked_file_names_this_machine_or_a_package_index() -> None:
    """Tracked files name no absolute home, no package index and no mirror."""
    forbidden = re.compile(r"(?<![\w./])/(?:work|farm|root)/|--(?:extra-)?index-url|--find-links|pypi\.org/simple")
    this_file = Path(__file__)
    offenders = [path for path in tracked_files() if path != this_file and forbidden.search(path.read_text())]
    assert not offenders


@pytest.mark.parametrize(
    ("name", "n_packages"),
    [
        ("requirements.lock", 50),
        ("requirements-bench.lock", 5),
        ("ops/requirements.lock", 50),
        ("ops/requirements-mlflow.lock", 70),
    ],
)
def test_the_lock_files_pin_every_package_by_hash(name: str, n_packages: int) -> None:
    """Each requirement of a lock file has one version and at least one hash, and no index is named."""
    text = (ROOT / name).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert "://" not in text
    assert len(entries) > n_packages
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


def test_every_test_says_what_it_shows() -> None:
    """Each test has a one-sentence docstring, and none is skipped."""
    silent, skipped = [], []
    for module in sorted((ROOT / "tests").rglob("test_*.py")):
        silent += [
            f"{module.name}:{function.name}"
            for function in functions_of(module)
            if function.name.startswith("test_") and not ast.get_docstring(function)
        ]
        if module != Path(__file__) and re.search(r"mark\.(skip|xfail)|pytest\.skip", module.read_text()):
            skipped.append(module.name)
    assert not silent
    assert not skipped


def test_every_test_file_that_the_documentation_names_exists() -> None:
    """A sentence is held by a test that is there."""
    text = "".join(page.read_text() for page in (ROOT / "docs").rglob("*.md"))
    names = set(re.findall(r"`(tests/[a-z0-9_/]+\.py)", text))
    assert len(names) > 50
    assert sorted(name for name in names if not (ROOT / name).is_file()) == []

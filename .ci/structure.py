"""The size of the package: prints its figures beside their bounds, and fails where a bound is broken."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[1] / "src" / "cineclub"
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Figure(NamedTuple):
    """A measured number with its bound and its place in the tree."""

    name: str
    value: int
    bound: int | None
    place: str


def functions_of(tree: ast.Module) -> Iterator[Function]:
    """Yield every function, methods and nested functions included."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length_of(function: Function) -> int:
    """Return the lines of a function without its docstring."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def is_protocol(node: ast.AST) -> bool:
    """Return whether a node is the class of a Protocol."""
    return isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)


def figures() -> list[Figure]:
    """Return every figure of the package."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    functions = {
        f"{path.relative_to(SOURCE)}::{function.name}": length_of(function)
        for path, tree in trees.items()
        for function in functions_of(tree)
    }
    longest_file, longest_function = max(lines, key=lines.__getitem__), max(functions, key=functions.__getitem__)
    n_protocols = sum(is_protocol(node) for tree in trees.values() for node in ast.walk(tree))
    return [
        Figure("lines in src", sum(lines.values()), None, f"{len(lines)} files, {len(functions)} functions"),
        Figure("Protocols", n_protocols, 30, ""),
        Figure("longest function, docstring aside", functions[longest_function], 40, longest_function),
        Figure("longest file, raw", lines[longest_file], 400, str(longest_file.relative_to(SOURCE))),
    ]


def main() -> int:
    """Print the table, and return 1 where a bound is broken."""
    measured = figures()
    for figure in measured:
        bound = "" if figure.bound is None else f"at most {figure.bound}"
        print(f"{figure.name:<36}{figure.value:>8,}  {bound:<12}{figure.place}")
    return int(any(figure.bound is not None and figure.value > figure.bound for figure in measured))


if __name__ == "__main__":
    sys.exit(main())

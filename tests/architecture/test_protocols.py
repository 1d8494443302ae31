"""Protocols stand for several implementations, or for a part whose faults a test forces; nothing else has one."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "cineclub"
DOUBLES = (ROOT / "tests", ROOT / "benchmarks")
MAX_PROTOCOLS = 30


@dataclass(frozen=True)
class Method:
    """The parameters of a method without self: names of the required ones, of all, and whether it takes any others."""

    required: frozenset[str]
    accepted: frozenset[str]
    takes_any: bool

    @classmethod
    def of(cls, node: ast.FunctionDef | ast.AsyncFunctionDef) -> "Method":
        """Read a definition; a leading underscore of a name means that the parameter is not used."""
        positional = [*node.args.posonlyargs, *node.args.args][1:]
        n_required = max(len(positional) - len(node.args.defaults), 0)
        keywords = node.args.kwonlyargs
        needed = [keyword for keyword, default in zip(keywords, node.args.kw_defaults, strict=True) if default is None]
        return cls(
            frozenset(argument.arg.lstrip("_") for argument in [*positional[:n_required], *needed]),
            frozenset(argument.arg.lstrip("_") for argument in [*positional, *keywords]),
            node.args.vararg is not None,
        )

    def implements(self, declared: "Method") -> bool:
        """Say whether a call of the declared method fits this one."""
        return self.takes_any or (declared.accepted <= self.accepted and self.required <= declared.accepted)


@dataclass(frozen=True)
class Shape:
    """What a class has: its methods, and its attributes and properties."""

    path: Path
    name: str
    is_protocol: bool
    bases: tuple[str, ...]
    methods: dict[str, Method]
    attributes: frozenset[str]


def shape_of(path: Path, node: ast.ClassDef) -> Shape:
    """The shape of a class by its own body."""
    functions = [part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    properties = {function.name for function in functions if "property" in map(ast.unparse, function.decorator_list)}
    declared = {
        part.target.id for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
    assigned = {
        part.attr
        for function in functions
        for part in ast.walk(function)
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
    }
    bases = tuple(ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases)
    methods = {function.name: Method.of(function) for function in functions if function.name not in properties}
    return Shape(path, node.name, "Protocol" in bases, bases, methods, frozenset(properties | declared | assigned))


@cache
def shapes_in(folder: Path) -> tuple[Shape, ...]:
    """The shapes of all classes below a folder, each with what it inherits from classes of the package."""
    doubles = [
        shape_of(path, node)
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    by_name = {shape.name: shape for shape in (*(shapes_in(SOURCE) if folder != SOURCE else ()), *doubles)}
    return tuple(with_inherited(shape, by_name) for shape in doubles)


def with_inherited(shape: Shape, by_name: dict[str, Shape]) -> Shape:
    """The shape with the members of its bases, its own first."""
    methods, attributes = dict(shape.methods), set(shape.attributes)
    for base in ancestors_of(shape, by_name):
        methods = {**base.methods, **methods}
        attributes |= base.attributes
    return Shape(shape.path, shape.name, shape.is_protocol, shape.bases, methods, frozenset(attributes))


def ancestors_of(shape: Shape, by_name: dict[str, Shape]) -> Iterator[Shape]:
    """Every class that a class inherits from, by simple names."""
    for base in shape.bases:
        if base in by_name and base != shape.name:
            yield by_name[base]
            yield from ancestors_of(by_name[base], by_name)


def implements(shape: Shape, protocol: Shape) -> bool:
    """Say whether a class has every member of a Protocol, with parameters that fit."""
    has_methods = all(
        name in shape.methods and shape.methods[name].implements(declared)
        for name, declared in protocol.methods.items()
    )
    return not shape.is_protocol and has_methods and protocol.attributes <= shape.attributes | set(shape.methods)


PROTOCOLS = [shape for shape in shapes_in(SOURCE) if shape.is_protocol]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda shape: shape.name)
def test_a_protocol_has_several_implementations_or_a_test_stands_in(protocol: Shape) -> None:
    """A Protocol with one implementation that no test stands in for is replaced by the class, or by a Callable.

    An implementation is a class that has all members of the Protocol, its own or inherited, with parameters of the same
    names (a class with equal members by chance counts too). A stand-in is such a class in the tests or benchmarks. A
    Protocol of ``__call__`` alone is the type of functions with keyword parameters, which ``Callable`` cannot write.
    """
    if set(protocol.methods) == {"__call__"}:
        return
    implementations = [shape.name for shape in shapes_in(SOURCE) if implements(shape, protocol)]
    doubles = [shape.name for folder in DOUBLES for shape in shapes_in(folder) if implements(shape, protocol)]
    assert len(implementations) > 1 or doubles, f"{protocol.path.relative_to(SOURCE)}: {implementations}"


def test_there_are_few_protocols() -> None:
    """Each is one more name for a reader to know."""
    assert len(PROTOCOLS) <= MAX_PROTOCOLS, sorted(protocol.name for protocol in PROTOCOLS)

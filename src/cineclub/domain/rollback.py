"""Which version a rollback goes back to: the one that served before, as promotions and rollbacks stacked them."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

ROLLBACK = "ROLLBACK"


class Served(Protocol):
    """One row of the history of what served."""

    @property
    def version(self) -> int:
        """The version that served from then on."""
        ...

    @property
    def verdict(self) -> str:
        """What put it there."""
        ...

    @property
    def manifest_sha256(self) -> str:
        """The hash of what served."""
        ...


Row = TypeVar("Row", bound=Served)


def served_stack(newest_first: Sequence[Row]) -> list[Row]:
    """Return what a rollback can still go back through, the version that serves now last.

    Every promotion puts a version on top. A rollback takes off what lies above the version it went to, so that a second
    one in a row goes further back instead of forth again.
    """
    stack: list[Row] = []
    for row in reversed(newest_first):
        below = [nth for nth, other in enumerate(stack) if _key(other) == _key(row)]
        if row.verdict == ROLLBACK and below:
            del stack[below[-1] + 1 :]
        else:
            stack.append(row)
    return stack


def rollback_target(newest_first: Sequence[Row]) -> Row | None:
    """Return what served before what serves now; None where there is nothing to go back to."""
    stack = served_stack(newest_first)
    return next((row for row in reversed(stack[:-1]) if _key(row) != _key(stack[-1])), None)


def _key(row: Served) -> tuple[int, str]:
    """Return what tells two served models apart."""
    return row.version, row.manifest_sha256

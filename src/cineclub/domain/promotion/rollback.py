"""The history of promotions as a stack: the target of a rollback, and the local copies that it needs."""

from collections.abc import Sequence

from cineclub.domain.promotion.records import Promotion
from cineclub.domain.promotion.versions import RegisteredVersion

ROLLBACK = "ROLLBACK"
COPIES_KEPT = 3


def served_stack(newest_first: Sequence[Promotion]) -> list[Promotion]:
    """Return the promotions that a rollback can still return to, the one that serves now last.

    Every promotion puts a version on top. A rollback removes everything above its target, so that a second rollback in
    a row goes further back instead of forth again.
    """
    stack: list[Promotion] = []
    for promotion in reversed(newest_first):
        positions = [position for position, below in enumerate(stack) if below.key == promotion.key]
        if promotion.verdict == ROLLBACK and positions:
            del stack[positions[-1] + 1 :]
        else:
            stack.append(promotion)
    return stack


def rollback_target(newest_first: Sequence[Promotion]) -> Promotion | None:
    """Return the promotion of the version that served before the present one; None where there is none."""
    stack = served_stack(newest_first)
    return next((promotion for promotion in reversed(stack[:-1]) if promotion.key != stack[-1].key), None)


def copies_to_keep(newest_first: Sequence[Promotion], challenger: RegisteredVersion | None) -> set[str]:
    """Return the names of the local copies that may be needed soon.

    These are the last versions that served, the target of a rollback, and the challenger.
    """
    names = set(list(dict.fromkeys(promotion.artifact_folder for promotion in newest_first))[:COPIES_KEPT])
    if (target := rollback_target(newest_first)) is not None:
        names.add(target.artifact_folder)
    if challenger is not None:
        names.add(challenger.copy_name)
    return names

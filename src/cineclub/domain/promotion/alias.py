"""The alias ``production`` of the registry: it follows the promotions, and moves outside of cineclub are noticed."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

AliasAction = Literal["keep", "move", "take_over"]
OUTSIDE_VERDICT = "OUTSIDE"
MOVED_OUTSIDE = "the alias was moved outside of cineclub"


@dataclass(frozen=True, slots=True)
class AliasDecision:
    """The action that brings alias and promotions together, and the change.

    Attributes:
        action: keep the alias, move it, or serve the version that it names.
        target: the version that it names afterwards; None where it is removed.
        explanation: the change as a sentence without a full stop; empty where nothing changes.
    """

    action: AliasAction
    target: int | None = None
    explanation: str = ""


def decide_alias(recorded: AbstractSet[int | None], alias: int | None, promoted: int | None) -> AliasDecision:
    """Return the action for the alias of the registry.

    Args:
        recorded: the versions (None for no alias) that the alias names if only cineclub moved it: one, or two after a
            crash in the middle of a move.
        alias: the version that it names; None where there is no alias.
        promoted: the version of the newest promotion; None before the first.
    """
    if alias is not None and alias not in recorded:
        return AliasDecision("take_over", alias, f"version {alias} was found under the alias and is served now")
    return AliasDecision("keep", alias) if alias == promoted else follow_promotion(alias, promoted)


def follow_promotion(alias: int | None, promoted: int | None) -> AliasDecision:
    """Return the action that makes the alias name the promoted version, whatever it names now."""
    named = f"the alias named {'nothing' if alias is None else f'version {alias}'}"
    if promoted is not None:
        return AliasDecision("move", promoted, f"{named}: it names version {promoted} now, which serves")
    if alias is not None:
        return AliasDecision("move", None, f"{named}: it was taken away, nothing is in production")
    return AliasDecision("keep")


def overruled_move(recorded: AbstractSet[int | None], alias: int | None, promoted: int) -> str:
    """Return the reason to refuse a move outside that a later promotion overrules.

    The reason is empty where only cineclub moved the alias.
    """
    if alias is None or alias == promoted or alias in recorded:
        return ""
    return f"{MOVED_OUTSIDE}, but version {promoted} was promoted since: that promotion stands"

"""Rollbacks return to the previous version, repeated ones further back."""

from datetime import UTC, datetime

import pytest

from cineclub.domain.promotion.records import Promotion
from cineclub.domain.promotion.rollback import copies_to_keep, rollback_target
from cineclub.domain.promotion.versions import RegisteredVersion
from cineclub.domain.ratings.log import SnapshotIdentity
from cineclub.domain.recommend.recipe import Recipe

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def row(version: int, verdict: str = "PROMOTE") -> Promotion:
    """Return the promotion of a version with its own artifact."""
    manifest_sha256, copy = f"{version:064x}", f"copy of {version}"
    return Promotion(version, NOW, verdict, "why", "gate", Recipe("ease"), manifest_sha256, artifact_folder=copy)


def back(version: int) -> Promotion:
    """Return the promotion of a version by a rollback."""
    return row(version, "ROLLBACK")


@pytest.mark.parametrize(
    ("oldest_first", "expected"),
    [
        ([], None),
        ([row(1)], None),
        ([row(1), row(2)], 1),
        ([row(1), row(2), row(3), back(2)], 1),
        ([row(1), row(2), back(1)], None),
        ([row(1), row(2), back(1), row(4)], 1),
        ([row(1), row(2), row(3), back(2), back(1)], None),
        ([row(1), row(1)], None),
    ],
)
def test_a_rollback_goes_back_through_what_really_served(oldest_first: list[Promotion], expected: int | None) -> None:
    """A rollback skips versions that were rolled back and versions that never served."""
    target = rollback_target(oldest_first[::-1])
    assert (target.version if target else None) == expected


def test_copies_of_what_may_serve_soon_are_kept() -> None:
    """Copies of the last three versions, the rollback's target and the challenger are kept."""
    oldest_first = [row(1), row(2), row(3), back(2), row(4), back(2)]
    challenger = RegisteredVersion(9, Recipe("ease"), NOW, "ab" * 32, SnapshotIdentity(0, None, ""))
    assert copies_to_keep([], None) == set()
    assert copies_to_keep([row(version) for version in (5, 4, 3, 2, 1)], None) == {f"copy of {n}" for n in (5, 4, 3)}
    assert copies_to_keep(oldest_first[::-1], None) == {f"copy of {n}" for n in (2, 4, 3, 1)}
    assert copies_to_keep([row(1)], challenger) == {"copy of 1", "9-abababababab"}

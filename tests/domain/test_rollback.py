"""A rollback goes back to what served before, and a second one further."""

from dataclasses import dataclass

import pytest

from cineclub.domain.rollback import rollback_target


@dataclass(frozen=True)
class Row:
    """A row of the history of what served."""

    version: int
    verdict: str = "PROMOTE"

    @property
    def manifest_sha256(self) -> str:
        """Every version has an artifact of its own."""
        return f"{self.version:064x}"


def back(version: int) -> Row:
    """The row of a rollback."""
    return Row(version, "ROLLBACK")


@pytest.mark.parametrize(
    ("oldest_first", "expected"),
    [
        ([], None),
        ([Row(1)], None),
        ([Row(1), Row(2)], 1),
        ([Row(1), Row(2), Row(3), back(2)], 1),
        ([Row(1), Row(2), back(1)], None),
        ([Row(1), Row(2), back(1), Row(4)], 1),
        ([Row(1), Row(2), Row(3), back(2), back(1)], None),
        ([Row(1), Row(1)], None),
    ],
)
def test_a_rollback_goes_back_through_what_really_served(oldest_first: list[Row], expected: int | None) -> None:
    """What was rolled back from is not gone back to; what never served is not either."""
    target = rollback_target(oldest_first[::-1])
    assert (target.version if target else None) == expected

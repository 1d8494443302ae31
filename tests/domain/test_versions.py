"""Registered versions."""

from datetime import UTC, datetime, timedelta

import pytest

from cineclub.domain.promotion.versions import RegisteredVersion
from cineclub.domain.ratings.log import SnapshotIdentity
from cineclub.domain.recommend.recipe import Recipe

REGISTERED = datetime(2026, 5, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("newest", "learned_until"),
    [
        (REGISTERED - timedelta(days=1), REGISTERED - timedelta(days=1)),
        (datetime(2099, 1, 1, tzinfo=UTC), REGISTERED),
        (None, None),
    ],
)
def test_a_version_has_learned_nothing_of_later_than_its_registration(
    newest: datetime | None, learned_until: datetime | None
) -> None:
    """One rating of 2099 among its ratings does not let all later ones count as learned."""
    snapshot = SnapshotIdentity(10, newest, "0" * 64)
    version = RegisteredVersion(1, Recipe("ease", {}), REGISTERED, "0" * 64, snapshot)
    assert version.learned_until == learned_until

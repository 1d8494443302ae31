"""Scopes and rate limits of API keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.access import BURST_SECONDS, Allowance, hash_of, new_secret, scopes_of
from cineclub.domain.errors import InvalidInput


def test_secrets_differ_and_are_found_by_their_hash_alone() -> None:
    """Secrets differ, and a hash does not contain its secret."""
    first, second = new_secret(), new_secret()
    assert first != second
    assert hash_of(first) == hash_of(first) != hash_of(second)
    assert first not in hash_of(first)


def test_scopes_are_named_or_refused() -> None:
    """The message lists the scopes."""
    assert scopes_of(["write", "read"]) == {"read", "write"}
    for wrong in (["everything"], []):
        with pytest.raises(InvalidInput, match="read, write, admin, metrics"):
            scopes_of(wrong)


@given(
    st.integers(1, 10_000),
    st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=200),
)
def test_a_key_never_makes_more_requests_than_it_may(per_minute: int, gaps: list[float]) -> None:
    """Over any period a key makes at most a burst and the refilled requests; waiting as told is enough."""
    now, taken = 0.0, 0
    allowance = Allowance(per_minute, now)
    for gap in gaps:
        now += gap
        wait = allowance.take(now)
        taken += wait == 0
        assert taken <= max(1.0, per_minute / 60 * BURST_SECONDS) + now * per_minute / 60 + 1e-6
        if wait:
            now += wait + 1e-6
            assert allowance.take(now) == 0
            taken += 1

"""The decision on the alias: it follows the promotions, and moves made outside are recognised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.promotion.alias import AliasDecision, decide_alias, follow_promotion, overruled_move

VERSION = st.integers(1, 4)
PLACE = st.none() | VERSION
RECORDED = st.frozensets(PLACE, min_size=1, max_size=2)


@pytest.mark.parametrize(
    ("recorded", "alias", "promoted", "action"),
    [
        ({None}, None, None, "keep"),
        ({1}, 1, 1, "keep"),
        ({1, 2}, 2, 2, "keep"),
        ({None}, None, 1, "move"),
        ({1}, None, 1, "move"),
        ({1}, 1, 2, "move"),
        ({1, 2}, 1, 3, "move"),
        ({1, 2}, 2, 3, "move"),
        ({1}, 1, None, "move"),
        ({1}, 2, 1, "take_over"),
        ({1}, 2, 2, "take_over"),
        ({None}, 2, None, "take_over"),
    ],
)
def test_each_row_of_the_table_of_decision_3(
    recorded: set[int | None], alias: int | None, promoted: int | None, action: str
) -> None:
    """An unmoved or missing alias follows the promotions; any other position is a move from outside."""
    assert decide_alias(recorded, alias, promoted).action == action


@given(RECORDED, PLACE, PLACE)
def test_a_version_is_taken_over_only_where_somebody_else_moved_the_alias(
    recorded: frozenset[int | None], alias: int | None, promoted: int | None
) -> None:
    """Only a move from outside changes production; otherwise the alias follows the promotions."""
    decision = decide_alias(recorded, alias, promoted)
    assert (decision.action == "take_over") == (alias is not None and alias not in recorded)
    assert bool(decision.explanation) == (decision.action != "keep")


@given(RECORDED, PLACE, PLACE)
def test_once_carried_out_nothing_is_left_to_do(
    recorded: frozenset[int | None], alias: int | None, promoted: int | None
) -> None:
    """After each action alias, record and promotions agree, also after a refused move."""
    decision = decide_alias(recorded, alias, promoted)
    for done in (decision, follow_promotion(alias, promoted)):
        serving = alias if done.action == "take_over" else promoted
        assert done.target == serving
        assert decide_alias({done.target}, done.target, serving) == AliasDecision("keep", serving)


@given(RECORDED, PLACE, VERSION)
def test_a_promotion_overrules_what_would_have_been_taken_over(
    recorded: frozenset[int | None], alias: int | None, promoted: int
) -> None:
    """A promotion records a refusal of the outside move if it was to another version."""
    is_taken_over = decide_alias(recorded, alias, promoted).action == "take_over"
    reason = overruled_move(recorded, alias, promoted)
    assert bool(reason) == (is_taken_over and alias != promoted)
    assert not reason or f"version {promoted} was promoted since" in reason

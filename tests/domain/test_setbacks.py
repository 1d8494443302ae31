"""What probation rolled back is not promoted again by the next gate."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from cineclub.domain.contest import Production, held_after_setback
from cineclub.domain.promotion import PromotionDecision
from cineclub.domain.recipe import Recipe
from cineclub.domain.setbacks import Setback, setbacks_of
from cineclub.domain.significance import paired_bootstrap

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KNN, EASE, OTHER_EASE = Recipe("knn"), Recipe("ease", {"l2": 100.0}), Recipe("ease", {"l2": 500.0})


@dataclass(frozen=True)
class Row:
    """One row of the history of what served, so many days ago."""

    version: int
    recipe: Recipe
    days_ago: float
    promoted_by: str = "gate"

    @property
    def promoted_at(self) -> datetime:
        """Since when it served."""
        return NOW - timedelta(days=self.days_ago)


ROLLED_BACK = [Row(1, KNN, 2, "probation"), Row(2, EASE, 3), Row(1, KNN, 9)]


def setbacks(rows: list[Row], days: float = 30) -> list[tuple[int, Recipe]]:
    """Return versions and recipes of the setbacks of the last days."""
    return [(one.version, one.recipe) for one in setbacks_of(rows, NOW - timedelta(days=days))]


def test_a_setback_is_what_served_before_a_rollback_by_probation() -> None:
    """A person's rollback is none, an old one is forgotten, and who promotes the model afterwards takes it back."""
    assert setbacks(ROLLED_BACK) == [(2, EASE)]
    assert setbacks(ROLLED_BACK, 1) == []
    assert setbacks([Row(1, KNN, 2, "person"), *ROLLED_BACK[1:]]) == []
    assert setbacks([Row(3, OTHER_EASE, 1, "person"), *ROLLED_BACK]) == []
    assert setbacks([Row(3, KNN, 1, "person"), *ROLLED_BACK]) == [(2, EASE)]
    assert setbacks([Row(3, KNN, 1), *ROLLED_BACK]) == [(2, EASE)]


@pytest.mark.parametrize(
    ("rolled_back", "production", "promoted", "verdict"),
    [
        (EASE, KNN, EASE, "HOLD"),
        (EASE, KNN, OTHER_EASE, "HOLD"),
        (EASE, KNN, KNN, "PROMOTE"),
        (EASE, EASE, EASE, "HOLD"),
        (EASE, OTHER_EASE, OTHER_EASE, "PROMOTE"),
        (KNN, EASE, EASE, "PROMOTE"),
    ],
)
def test_the_gate_holds_what_was_rolled_back(
    rolled_back: Recipe, production: Recipe, promoted: Recipe, verdict: str
) -> None:
    """The same model is held, a refit of production's recipe only if it was the setback, and the reason says why."""
    interval = paired_bootstrap(np.full(100, 0.1), np.random.default_rng(0))
    decision = PromotionDecision("PROMOTE", "it is better", promoted, interval, {})
    known = Production(production, 3.0, None, None, setbacks=(Setback(2, rolled_back, NOW),))
    held = held_after_setback(decision, known)
    assert held.verdict == verdict
    assert ("rolled back by probation (version 2, 2026-03-01)" in held.reason) == (verdict == "HOLD")
    assert "it is better" in held.reason

"""Versions rolled back by probation are held by the gate."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from cineclub.domain.evaluation.significance import paired_bootstrap
from cineclub.domain.promotion.backtest import Production, hold_during_cooldown
from cineclub.domain.promotion.cooldown import RecentRollback, recent_rollbacks_of
from cineclub.domain.promotion.gate import PromotionDecision
from cineclub.domain.promotion.records import Promotion
from cineclub.domain.recommend.recipe import Recipe

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KNN, EASE, OTHER_EASE = Recipe("knn"), Recipe("ease", {"l2": 100.0}), Recipe("ease", {"l2": 500.0})


def row(version: int, recipe: Recipe, days_ago: float, promoted_by: str = "gate") -> Promotion:
    """Return a promotion a number of days ago."""
    return Promotion(version, NOW - timedelta(days=days_ago), "PROMOTE", "why", promoted_by, recipe, f"{version:064x}")


ROLLED_BACK = [row(1, KNN, 2, "probation"), row(2, EASE, 3), row(1, KNN, 9)]


def recent_rollbacks(rows: list[Promotion], days: float = 30) -> list[tuple[int, Recipe]]:
    """Return versions and recipes of the rollbacks of the last days."""
    return [(rollback.version, rollback.recipe) for rollback in recent_rollbacks_of(rows, NOW - timedelta(days=days))]


def test_a_recent_rollback_is_of_the_version_before_a_rollback_by_probation() -> None:
    """Rollbacks by probation count until they are old or the version is promoted again; those by a person do not."""
    assert recent_rollbacks(ROLLED_BACK) == [(2, EASE)]
    assert recent_rollbacks(ROLLED_BACK, 1) == []
    assert recent_rollbacks([row(1, KNN, 2, "person"), *ROLLED_BACK[1:]]) == []
    assert recent_rollbacks([row(3, OTHER_EASE, 1, "person"), *ROLLED_BACK]) == []
    assert recent_rollbacks([row(3, KNN, 1, "person"), *ROLLED_BACK]) == [(2, EASE)]
    assert recent_rollbacks([row(3, KNN, 1), *ROLLED_BACK]) == [(2, EASE)]


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
    """The rolled-back model is held, a refit only of its own recipe, and the reason says why."""
    interval = paired_bootstrap(np.full(100, 0.1), np.random.default_rng(0))
    decision = PromotionDecision("PROMOTE", "it is better", promoted, interval, {})
    known = Production(production, 3.0, None, None, recent_rollbacks=(RecentRollback(2, rolled_back, NOW),))
    held = hold_during_cooldown(decision, known)
    assert held.verdict == verdict
    assert ("rolled back by probation (version 2, 2026-03-01)" in held.reason) == (verdict == "HOLD")
    assert "it is better" in held.reason

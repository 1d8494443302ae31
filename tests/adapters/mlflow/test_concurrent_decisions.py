"""Decisions of several persons at once: each gets the promotion that it made, or the decision that stands."""

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from cineclub.domain.errors import Conflict
from cineclub.domain.promotion.records import Promotion
from registry_bench import Bench, assert_serves, promotion_flow

N_AT_ONCE = 8


def decided_at_once(bench: Bench, versions: list[int | None]) -> list[Promotion | Conflict]:
    """Promote versions at the same time, each as another process (None: roll back), and return the outcomes."""
    barrier = Barrier(len(versions))

    def decide(version: int | None) -> Promotion | Conflict:
        promotion = promotion_flow(bench.database_url, bench.home)
        barrier.wait()
        try:
            return promotion.roll_back("complaints") if version is None else promotion.promote(version, "a wish")
        except Conflict as conflict:
            return conflict

    with ThreadPoolExecutor(len(versions)) as pool:
        return list(pool.map(decide, versions))


@pytest.mark.parametrize("kind", ["one version", "several versions", "rollbacks", "rollbacks and promotions"])
def test_each_decision_gets_its_own_outcome(kind: str, bench: Bench) -> None:
    """Of decisions at the same time each made a row of its own, or names the row that stands; no row is unclaimed."""
    for seed in range(4):
        bench.promoted(seed)
    versions: dict[str, list[int | None]] = {
        "one version": [1] * N_AT_ONCE,
        "several versions": [1, 2, 3] * (N_AT_ONCE // 3),
        "rollbacks": [None] * N_AT_ONCE,
        "rollbacks and promotions": [None, 1, 2] * (N_AT_ONCE // 3),
    }
    before = bench.promotions.recent(100)
    outcomes = decided_at_once(bench, versions[kind])
    rows = {row.promotion_id: row for row in bench.promotions.recent(100)}
    made = [outcome for outcome in outcomes if isinstance(outcome, Promotion)]
    assert sorted(outcome.promotion_id for outcome in made) == sorted(set(rows) - {row.promotion_id for row in before})
    for version, outcome in zip(versions[kind], outcomes, strict=True):
        if isinstance(outcome, Promotion):
            assert outcome == rows[outcome.promotion_id]
            assert version in (None, outcome.version)
        else:
            standing = re.search(r"that decision stands: promotion (\d+) of version", str(outcome))
            assert standing is not None, outcome
            assert int(standing[1]) in rows
    if kind in {"one version", "rollbacks"}:
        assert [(row.version, row.promoted_by) for row in made] == [(1 if kind == "one version" else 3, "person")]
    bench.promotion.reconcile()
    assert_serves(bench, bench.versions.get(bench.promotions.newest().version))

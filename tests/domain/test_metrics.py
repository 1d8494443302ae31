"""The metrics agree with a slow calculation."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.evaluation import metrics


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 6))
def test_ranking_metrics_agree_with_a_slow_calculation(places: list[bool], n_missed: int) -> None:
    """Metrics of one list agree with a place-by-place calculation."""
    n_relevant = sum(places) + n_missed
    hits, relevant = np.array([places]), np.array([n_relevant])
    if n_relevant == 0:
        assert np.isnan(metrics.ndcg_at_k(hits, relevant)).all()
        return
    gain = sum(1 / math.log2(place + 2) for place, is_hit in enumerate(places) if is_hit)
    best = sum(1 / math.log2(place + 2) for place in range(min(n_relevant, len(places))))
    precisions = [sum(places[: place + 1]) / (place + 1) for place, is_hit in enumerate(places) if is_hit]
    assert np.isclose(metrics.ndcg_at_k(hits, relevant)[0], gain / best)
    assert np.isclose(metrics.recall_at_k(hits, relevant)[0], sum(places) / n_relevant)
    average_precision = metrics.average_precision_at_k(hits, relevant)[0]
    assert np.isclose(average_precision, sum(precisions) / min(n_relevant, len(places)))


@given(st.lists(st.booleans(), min_size=2, max_size=8).filter(any))
def test_a_perfect_list_is_worth_one_and_moving_a_hit_up_never_hurts(places: list[bool]) -> None:
    """Sorting the hits to the front gives the highest nDCG and average precision."""
    n_relevant = np.array([sum(places)])
    best, given_order = np.array([sorted(places, reverse=True)]), np.array([places])
    for metric in (metrics.ndcg_at_k, metrics.average_precision_at_k):
        assert np.isclose(metric(best, n_relevant)[0], 1)
        assert metric(given_order, n_relevant)[0] <= metric(best, n_relevant)[0] + 1e-12

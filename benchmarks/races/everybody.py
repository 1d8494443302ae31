"""Lists of ten for all users, without rated films: implicit's batch and ours."""

import statistics
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

import ours
from cineclub.domain.ratings.matrix import RatingMatrix
from generated_ratings import generated_log
from peers import implicit_models
from rating_sets import RatingSet
from section import Section, table_of, timed

PEER = "implicit ALS"
TOP_K, N_FACTORS, N_ROUNDS = 10, 64, 9
N_GENERATED = 1_000_000
OWN = {
    "ials": {"n_factors": N_FACTORS},
    "svd": {"n_factors": N_FACTORS},
    "bayesian_mf": {},
    "knn": {},
    "ease": {},
    "slist": {},
    "blend": {},
}
FAST_TO_FIT = ("ials", "svd", "bayesian_mf", "knn")
"""What is fitted on the generated ratings in a minute."""

NOTE = (
    "Median of {rounds} rounds on all cores; both sides run alternately. implicit looks up the stored vectors of "
    "users. cineclub solves them from the histories within the measured time, as it does for every request."
)


def run(ratings: RatingSet, _n_seeds: int) -> Section:
    """Return users a second on the given ratings, and on generated ones."""
    sets = {ratings.name: ratings.log, f"{N_GENERATED:,} generated": generated_log(N_GENERATED)}
    figures = {
        name: rates(RatingMatrix.from_log(log), OWN if name == ratings.name else FAST_TO_FIT)
        for name, log in sets.items()
    }
    rows = []
    for name, of_set in figures.items():
        for label, rate in of_set.items():
            rows.append([f"{label}, {name}", f"{rate:,.0f}", f"{rate / of_set[PEER]:.1f}"])
    note = NOTE.format(rounds=N_ROUNDS)
    return Section("Ten films for all users", figures, table_of(["", "users per second", "times as fast"], rows, note))


def rates(ratings: RatingMatrix, own: Iterable[str]) -> dict[str, float]:
    """Return users a second by model, of the peers and ours."""
    histories = ours.histories_of(ratings)
    works: dict[str, Callable[[], Any]] = {PEER: peer_work(PEER, {"factors": N_FACTORS}, ratings)}
    works["implicit BM25"] = peer_work("implicit BM25", {"K": 100}, ratings)
    for name in own:
        fitted = ours.fit(name, OWN[name], ratings, 0)
        works[f"cineclub {name}"] = partial(ours.batch_lists, fitted, histories, TOP_K)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for nth in range(N_ROUNDS + 1):
        for name, work in works.items():
            spent = timed(work)[0]
            if nth:  # the first round warms up
                seconds[name].append(spent)
    return {name: ratings.n_users / statistics.median(spent) for name, spent in seconds.items()}


def peer_work(name: str, settings: dict[str, Any], ratings: RatingMatrix) -> Callable[[], Any]:
    """Return implicit's batch call on a fitted model."""
    fitted = implicit_models.fit(name, {**settings, "learns_from": "all"}, ratings, 0)
    return partial(
        fitted.model.recommend, np.arange(ratings.n_users), fitted.seen, N=TOP_K, filter_already_liked_items=True
    )

"""Lists: implicit's ALS, BPR and BM25 beside the models here, each with a small grid, chosen by one rule."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

import ours
from cineclub.domain.significance import Interval, paired_bootstrap
from cineclub.models import catalogue
from list_quality import NO_FILM, RECALL_LENGTH, Quality, mean_quality, quality_of
from peers import implicit_models
from rating_sets import RankingSplit, RatingSet, positions, ranking_split
from section import Section, table_of

Point = Mapping[str, Any]
Judge = Callable[[Point, RankingSplit, int], Quality]

OURS = "cineclub"
OUR_GRIDS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    name: catalogue.CATALOGUE[name].grid for name in ("popular", "knn", "ease", "slist", "ials", "blend")
}
"""What cineclub itself searches of each."""

NOTE = (
    "Each person's last fifth held out, relevant from {threshold:g}, the full catalogue without what they had rated; "
    "{n_judged:,} people judged. Every model's point, and which model of each side is the best, were chosen on a "
    "validation split made the same way within the training part; means over {n} seeds. Peers learn from likes or from "
    "all ratings, as their grid decides."
)


@dataclass(frozen=True, slots=True)
class Entrant:
    """A model with its grid and what fits and judges a point of it."""

    label: str
    points: Sequence[Point]
    judge: Judge

    @property
    def is_peer(self) -> bool:
        """Whether another project made it."""
        return not self.label.startswith(OURS)


@dataclass(frozen=True, slots=True)
class Ranked:
    """An entrant at its chosen point: how good it was on validation, and person by person on what was held out."""

    entrant: Entrant
    point: Point
    validation_ndcg: float
    quality: Quality


def run(ratings: RatingSet, n_seeds: int) -> Section:
    """Return the quality of every entrant, and how far the best of ours is ahead of the best peer."""
    test = ranking_split(ratings.log)
    validation = ranking_split(test.learned)
    ranked = [rank(entrant, validation, test, n_seeds) for entrant in entrants()]
    best_peer = max((one for one in ranked if one.entrant.is_peer), key=lambda one: one.validation_ndcg)
    best_own = max((one for one in ranked if not one.entrant.is_peer), key=lambda one: one.validation_ndcg)
    ahead = {name: difference(best_own, best_peer, name) for name in ("ndcg", "recall")}
    figures = figures_of(ranked, best_peer, best_own, ahead)
    n_judged = int(np.count_nonzero(~np.isnan(best_own.quality.ndcg)))
    note = NOTE.format(threshold=test.window.scale.relevance_threshold, n_judged=n_judged, n=n_seeds)
    return Section(f"Lists ({ratings.name})", figures, "\n\n".join([_table(ranked, note), _verdict(figures)]))


def entrants() -> Iterator[Entrant]:
    """Yield all peers and all of ours."""
    for name, grid in implicit_models.GRIDS.items():
        yield Entrant(name, points(grid), partial(peer_quality, name))
    for name, grid in OUR_GRIDS.items():
        yield Entrant(f"{OURS} {name}", points(grid), partial(own_quality, name))


def points(grid: Mapping[str, Sequence[Any]]) -> list[Point]:
    """Return every combination of a grid."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def rank(entrant: Entrant, validation: RankingSplit, test: RankingSplit, n_seeds: int) -> Ranked:
    """Return an entrant at the point that is best on validation, judged on what was held out."""
    found = [entrant.judge(point, validation, 0).mean_ndcg for point in entrant.points]
    best = int(np.argmax(found))
    qualities: list[Quality] = []
    for seed in range(n_seeds):
        qualities.append(entrant.judge(entrant.points[best], test, seed))
        if len(qualities) > 1 and np.array_equal(qualities[0].ndcg, qualities[1].ndcg, equal_nan=True):
            break  # nothing of this model is drawn
    ranked = Ranked(entrant, entrant.points[best], found[best], mean_quality(qualities))
    print(f"{entrant.label}: {dict(ranked.point)}, nDCG@10 {ranked.quality.mean_ndcg:.4f}", flush=True)
    return ranked


def peer_quality(name: str, point: Point, split: RankingSplit, seed: int) -> Quality:
    """Return the quality of a model of implicit."""
    fitted = implicit_models.fit(name, point, split.ratings, seed)
    users = positions(split.ratings.user_ids, split.window.user_ids)
    listed = fitted.lists(users, RECALL_LENGTH)
    return quality_of(np.where(listed < 0, NO_FILM, split.ratings.movie_ids[listed]), split.window)


def own_quality(name: str, point: Point, split: RankingSplit, seed: int) -> Quality:
    """Return the quality of a model of the catalogue."""
    fitted = ours.fit(name, point, split.ratings, seed)
    return quality_of(ours.lists(fitted, split.window, RECALL_LENGTH), split.window)


def difference(own: Ranked, peer: Ranked, name: str) -> Interval:
    """Return how far ours is ahead of the peer, with the interval over people."""
    differences = getattr(own.quality, name) - getattr(peer.quality, name)
    return paired_bootstrap(differences[~np.isnan(differences)], np.random.default_rng(0))


def figures_of(ranked: list[Ranked], peer: Ranked, own: Ranked, ahead: Mapping[str, Interval]) -> dict[str, Any]:
    """Return everything for the JSON file."""
    models = {
        one.entrant.label: {
            "point": dict(one.point),
            "validation_ndcg_at_10": one.validation_ndcg,
            "ndcg_at_10": one.quality.mean_ndcg,
            "recall_at_20": one.quality.mean_recall,
        }
        for one in ranked
    }
    of_peer = {"ndcg": peer.quality.mean_ndcg, "recall": peer.quality.mean_recall}
    return {
        "models": models,
        "best_peer": peer.entrant.label,
        "best_own": own.entrant.label,
        "ahead": {
            name: {"mean": one.mean, "low": one.low, "high": one.high, "share": one.mean / of_peer[name]}
            for name, one in ahead.items()
        },
    }


def _table(ranked: list[Ranked], note: str) -> str:
    """Return the quality of every entrant as a table."""
    rows = [
        [
            one.entrant.label,
            f"{one.validation_ndcg:.4f}",
            f"{one.quality.mean_ndcg:.4f}",
            f"{one.quality.mean_recall:.4f}",
            ", ".join(f"{name} {value}" for name, value in one.point.items()),
        ]
        for one in ranked
    ]
    return table_of(["", "validation nDCG@10", "nDCG@10", "recall@20", "chosen"], rows, note)


def _verdict(figures: dict[str, Any]) -> str:
    """Return how far ours is ahead, in words."""
    parts = [
        f"{label} {100 * one['share']:+.1f} % ({one['mean']:+.4f}; 95 %: {one['low']:+.4f} to {one['high']:+.4f})"
        for label, one in zip(("nDCG@10", "recall@20"), figures["ahead"].values(), strict=True)
    ]
    return f"**{figures['best_own']} beside {figures['best_peer']}: {'; '.join(parts)}.**"

"""Lists: implicit's ALS, BPR and BM25 and our models, each with a small grid, selected by one rule."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

import ours
from cineclub.domain.evaluation.significance import Interval, paired_bootstrap
from cineclub.models import catalogue
from list_quality import NO_MOVIE, RECALL_LENGTH, Quality, mean_quality, quality_of
from peers import implicit_models
from rating_sets import RankingSplit, RatingSet, positions, ranking_split
from section import Section, table_of

Point = Mapping[str, Any]
Evaluate = Callable[[Point, RankingSplit, int], Quality]

OURS = "cineclub"
OUR_GRIDS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    name: catalogue.CATALOGUE[name].grid for name in ("popular", "knn", "ease", "slist", "ials", "blend")
}
"""What cineclub itself searches of each."""

NOTE = (
    "The last fifth of each user's ratings is held out. Ratings from {threshold:g} are relevant. Lists are made from "
    "the full catalogue without rated films; {n_evaluated_users:,} users are evaluated. The point of every model and "
    "the best model of each side were chosen on a validation split made in the same way within the training part. "
    "Figures are means over {n} seeds. The other libraries learn from likes or from all ratings, as their grid "
    "decides."
)


@dataclass(frozen=True, slots=True)
class Entrant:
    """A model with its grid and the function that fits and evaluates a point of it."""

    label: str
    points: Sequence[Point]
    evaluate: Evaluate

    @property
    def is_peer(self) -> bool:
        """Whether the model is of another project."""
        return not self.label.startswith(OURS)


@dataclass(frozen=True, slots=True)
class Ranked:
    """An entrant at its selected point: its validation score, and its held-out quality by user."""

    entrant: Entrant
    point: Point
    validation_ndcg: float
    quality: Quality


def run(ratings: RatingSet, n_seeds: int) -> Section:
    """Return the quality of every entrant, and the lead of our best over the best peer."""
    test = ranking_split(ratings.log)
    validation = ranking_split(test.learned)
    ranked = [rank(entrant, validation, test, n_seeds) for entrant in entrants()]
    best_peer = max((entry for entry in ranked if entry.entrant.is_peer), key=lambda entry: entry.validation_ndcg)
    best_own = max((entry for entry in ranked if not entry.entrant.is_peer), key=lambda entry: entry.validation_ndcg)
    ahead = {name: difference(best_own, best_peer, name) for name in ("ndcg", "recall")}
    figures = figures_of(ranked, best_peer, best_own, ahead)
    n_evaluated_users = int(np.count_nonzero(~np.isnan(best_own.quality.ndcg)))
    note = NOTE.format(threshold=test.window.scale.relevance_threshold, n_evaluated_users=n_evaluated_users, n=n_seeds)
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
    """Return an entrant at the point that is best on validation, evaluated on the held-out ratings."""
    validation_ndcgs = [entrant.evaluate(point, validation, 0).mean_ndcg for point in entrant.points]
    best = int(np.argmax(validation_ndcgs))
    qualities: list[Quality] = []
    for seed in range(n_seeds):
        qualities.append(entrant.evaluate(entrant.points[best], test, seed))
        if len(qualities) > 1 and np.array_equal(qualities[0].ndcg, qualities[1].ndcg, equal_nan=True):
            break  # this model is not random
    ranked = Ranked(entrant, entrant.points[best], validation_ndcgs[best], mean_quality(qualities))
    print(f"{entrant.label}: {dict(ranked.point)}, nDCG@10 {ranked.quality.mean_ndcg:.4f}", flush=True)
    return ranked


def peer_quality(name: str, point: Point, split: RankingSplit, seed: int) -> Quality:
    """Return the quality of a model of implicit."""
    fitted = implicit_models.fit(name, point, split.ratings, seed)
    users = positions(split.ratings.user_ids, split.window.user_ids)
    columns = fitted.lists(users, RECALL_LENGTH)
    return quality_of(np.where(columns < 0, NO_MOVIE, split.ratings.movie_ids[columns]), split.window)


def own_quality(name: str, point: Point, split: RankingSplit, seed: int) -> Quality:
    """Return the quality of a model of the catalogue."""
    fitted = ours.fit(name, point, split.ratings, seed)
    return quality_of(ours.lists(fitted, split.window, RECALL_LENGTH), split.window)


def difference(own: Ranked, peer: Ranked, name: str) -> Interval:
    """Return the lead over the peer, with its interval over users."""
    differences = getattr(own.quality, name) - getattr(peer.quality, name)
    return paired_bootstrap(differences[~np.isnan(differences)], np.random.default_rng(0))


def figures_of(ranked: list[Ranked], peer: Ranked, own: Ranked, ahead: Mapping[str, Interval]) -> dict[str, Any]:
    """Return the figures for the JSON file."""
    models = {
        entry.entrant.label: {
            "point": dict(entry.point),
            "validation_ndcg_at_10": entry.validation_ndcg,
            "ndcg_at_10": entry.quality.mean_ndcg,
            "recall_at_20": entry.quality.mean_recall,
        }
        for entry in ranked
    }
    of_peer = {"ndcg": peer.quality.mean_ndcg, "recall": peer.quality.mean_recall}
    return {
        "models": models,
        "best_peer": peer.entrant.label,
        "best_own": own.entrant.label,
        "ahead": {
            name: {
                "mean": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "share": interval.mean / of_peer[name],
            }
            for name, interval in ahead.items()
        },
    }


def _table(ranked: list[Ranked], note: str) -> str:
    """Return the quality of every entrant as a table."""
    rows = [
        [
            entry.entrant.label,
            f"{entry.validation_ndcg:.4f}",
            f"{entry.quality.mean_ndcg:.4f}",
            f"{entry.quality.mean_recall:.4f}",
            ", ".join(f"{name} {value}" for name, value in entry.point.items()),
        ]
        for entry in ranked
    ]
    return table_of(["", "validation nDCG@10", "nDCG@10", "recall@20", "chosen"], rows, note)


def _verdict(figures: dict[str, Any]) -> str:
    """Return the lead in words."""
    parts = [
        f"{label} {100 * lead['share']:+.1f} % ({lead['mean']:+.4f}; 95 %: {lead['low']:+.4f} to {lead['high']:+.4f})"
        for label, lead in zip(("nDCG@10", "recall@20"), figures["ahead"].values(), strict=True)
    ]
    return f"**{figures['best_own']} compared with {figures['best_peer']}: {'; '.join(parts)}.**"

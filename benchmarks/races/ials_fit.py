"""iALS with the same factors and sweeps: speed and quality of implicit's ALS and ours."""

import statistics
from functools import partial

import ours
from peers import implicit_models
from races.ranking import OUR_GRIDS, Entrant, own_quality, peer_quality, points, rank
from rating_sets import RatingSet, ranking_split
from section import Section, table_of, timed

N_FACTORS, N_SWEEPS = 64, 15
NOTE = (
    "{factors} factors and {sweeps} sweeps on all cores, on the likes outside the last fifth of each user's ratings. "
    "The other hyperparameters are chosen on validation. Seconds are the median and nDCG the mean over {n} seeds. "
    "Kernels are compiled before."
)


def run(ratings: RatingSet, n_seeds: int) -> Section:
    """Return seconds and quality of both."""
    test = ranking_split(ratings.log)
    validation = ranking_split(test.learned)
    peer = rank(_peer(), validation, test, n_seeds)
    own = rank(_own(), validation, test, n_seeds)
    liked = test.ratings.ratings >= test.ratings.scale.relevance_threshold
    likes = implicit_models.seen_matrix(test.ratings, liked)
    settings = {name: value for name, value in peer.point.items() if name != "learns_from"}
    seconds: dict[str, list[float]] = {"peer": [], "own": []}
    for seed in range(n_seeds):
        model = implicit_models.new_model("implicit ALS", settings, seed)
        seconds["peer"].append(timed(partial(implicit_models.fit_model, model, likes))[0])
        seconds["own"].append(timed(partial(ours.fit, "ials", own.point, test.ratings, seed))[0])
    figures = {
        "implicit_seconds": statistics.median(seconds["peer"]),
        "cineclub_seconds": statistics.median(seconds["own"]),
        "implicit_ndcg_at_10": peer.quality.mean_ndcg,
        "cineclub_ndcg_at_10": own.quality.mean_ndcg,
    }
    note = NOTE.format(factors=N_FACTORS, sweeps=N_SWEEPS, n=n_seeds)
    return Section(f"iALS fit ({ratings.name})", figures, _table(figures, note))


def _peer() -> Entrant:
    """Return the figures of implicit's ALS with the given factors and sweeps."""
    grid = {**implicit_models.GRIDS["implicit ALS"], "factors": (N_FACTORS,), "iterations": (N_SWEEPS,)}
    grid["learns_from"] = ("likes",)
    return Entrant("implicit ALS", points(grid), partial(peer_quality, "implicit ALS"))


def _own() -> Entrant:
    """Return the figures of ours with the same factors and sweeps."""
    grid = {**OUR_GRIDS["ials"], "n_factors": (N_FACTORS,), "n_epochs": (N_SWEEPS,)}
    return Entrant("cineclub ials", points(grid), partial(own_quality, "ials"))


def _table(figures: dict[str, float], note: str) -> str:
    """Return the figures as a table."""
    rows = [
        [
            label,
            f"{figures[f'{name}_seconds']:.3f}",
            f"{figures['implicit_seconds'] / figures[f'{name}_seconds']:.1f}",
            f"{figures[f'{name}_ndcg_at_10']:.4f}",
        ]
        for label, name in (("implicit ALS", "implicit"), ("cineclub ials", "cineclub"))
    ]
    return table_of(["", "fit seconds", "times as fast", "nDCG@10"], rows, note)

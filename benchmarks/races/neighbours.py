"""Item KNN with shrunk Pearson correlations on baselines: fit, and predict all held-out ratings."""

import statistics

import ours
from peers import surprise_models
from rating_sets import RatingSet, error_split
from section import Section, table_of, timed

NOTE = (
    "Both are item based and use shrunk Pearson correlations of baseline residuals; a random fifth is held out. "
    "Surprise has k = 40 and shrinkage 100. cineclub has its defaults; its time includes the neighbours for lists. "
    "Seconds are the median and errors the mean over {n} seeds."
)


def run(ratings: RatingSet, n_seeds: int) -> Section:
    """Return seconds and errors of both."""
    one_seed(ratings, 0, with_peer=False)  # compiles
    runs = [one_seed(ratings, seed) for seed in range(n_seeds)]
    figures = {name: statistics.fmean(run[name] for run in runs) for name in runs[0] if "rmse" in name}
    figures |= {name: statistics.median(run[name] for run in runs) for name in runs[0] if "seconds" in name}
    peer, own = figures["surprise_seconds"], figures["cineclub_seconds"]
    rows = [
        ["Surprise KNNBaseline", f"{peer:.2f}", "1", f"{figures['surprise_rmse']:.4f}"],
        ["cineclub knn, as served", f"{own:.3f}", f"{peer / own:.0f}", f"{figures['cineclub_rmse']:.4f}"],
    ]
    head = ["", "seconds, fit and predict", "times as fast", "RMSE"]
    return Section("Item KNN for stars", figures, table_of(head, rows, NOTE.format(n=n_seeds)))


def one_seed(ratings: RatingSet, seed: int, *, with_peer: bool = True) -> dict[str, float]:
    """Return the figures of one split, the peer and ours one after the other."""
    split = error_split(ratings.log, seed)
    figures = {}
    if with_peer:
        data = surprise_models.trainset(split.ratings)
        seconds, stars = timed(lambda: surprise_models.stars(surprise_models.knn().fit(data), split))
        figures = {"surprise_seconds": seconds, "surprise_rmse": ours.rmse(stars, split)}
    seconds, stars = timed(lambda: ours.stars_as_served(ours.fit("knn", {}, split.ratings, seed), split))
    return {**figures, "cineclub_seconds": seconds, "cineclub_rmse": ours.rmse(stars, split)}

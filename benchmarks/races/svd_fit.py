"""SVD with the classic hyperparameters: the same algorithm in Surprise and here."""

import statistics
from functools import partial

import ours
from cineclub.domain.threads import threads
from peers import surprise_models
from rating_sets import RatingSet, error_split
from section import Section, best_seconds, table_of

SETTINGS = {"n_factors": 100, "n_epochs": 20}
LEARNING_RATE, REGULARIZATION = 0.005, 0.02
THREADS, N_ROUNDS = (1, 2), 9
NOTE = (
    "100 factors, 20 epochs, learning rate 0.005, regularization 0.02; a random fifth is held out. Both sides fit "
    "alternately. Seconds are the best of {rounds} fits of a split, and the median of those over {n} seeds. Kernels "
    "are compiled before. Errors are means. *As served*: users are folded in from their histories."
)


def run(ratings: RatingSet, n_seeds: int) -> Section:
    """Return seconds and errors of both."""
    one_seed(ratings, 0)  # compiles
    runs = [one_seed(ratings, seed) for seed in range(n_seeds)]
    figures = {name: statistics.fmean(run[name] for run in runs) for name in runs[0] if "rmse" in name}
    figures |= {name: statistics.median(run[name] for run in runs) for name in runs[0] if "seconds" in name}
    return Section("SVD, same hyperparameters", figures, _table(figures, n_seeds))


def one_seed(ratings: RatingSet, seed: int) -> dict[str, float]:
    """Return the figures of one split, the peer and ours one after the other."""
    split = error_split(ratings.log, seed)
    peer = surprise_models.svd({**SETTINGS, "lr_all": LEARNING_RATE, "reg_all": REGULARIZATION}, seed)
    data = surprise_models.trainset(split.ratings)
    figures = {"surprise_seconds": best_seconds(lambda: peer.fit(data), N_ROUNDS)}
    figures["surprise_rmse"] = ours.rmse(surprise_models.stars(peer, split), split)
    chosen = {**SETTINGS, "learning_rate": LEARNING_RATE, "regularization": REGULARIZATION}
    for n_threads in THREADS:
        with threads(n_threads):
            seconds = best_seconds(partial(ours.TrainedSvd, split.ratings, chosen, seed), N_ROUNDS)
        figures[f"cineclub_seconds_{n_threads}_threads"] = seconds
    figures["cineclub_rmse"] = ours.rmse(ours.TrainedSvd(split.ratings, chosen, seed).stars(split), split)
    served = ours.fit("svd", chosen, split.ratings, seed)
    figures["cineclub_rmse_as_served"] = ours.rmse(ours.stars_as_served(served, split), split)
    return figures


def _table(figures: dict[str, float], n_seeds: int) -> str:
    """Return the figures as a table."""
    peer = figures["surprise_seconds"]
    rows = [["Surprise SVD, 1 thread", f"{peer:.3f}", "1", f"{figures['surprise_rmse']:.4f}", ""]]
    for n_threads in THREADS:
        seconds = figures[f"cineclub_seconds_{n_threads}_threads"]
        errors = [f"{figures['cineclub_rmse']:.4f}", f"{figures['cineclub_rmse_as_served']:.4f}"]
        rows.append([f"cineclub svd, {n_threads} threads", f"{seconds:.4f}", f"{peer / seconds:.1f}", *errors])
    head = ["", "seconds", "times as fast", "RMSE, trained vectors", "RMSE as served"]
    return table_of(head, rows, NOTE.format(rounds=N_ROUNDS, n=n_seeds))

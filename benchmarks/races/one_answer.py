"""One response: scores of 59,000 films from a history of 200."""

import statistics

import numpy as np

import ours
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import FittedModel, History
from generated_ratings import FULL_MOVIES, HALF_STARS, Size, generate
from rating_sets import RatingSet
from section import Section, table_of, timed

LIMITS_MS = {
    "bias": None,
    "svd": 2.0,
    "ials": 2.0,
    "knn": 5.0,
    "bayesian_mf": 5.0,
    "ease": None,
    "slist": None,
    "blend": None,
}
N_USERS, N_RATINGS, HISTORY, N_RESPONSES = 13_000, 2_000_000, 200, 200
NOTE = (
    "Models of {movies:,} films, fitted on {ratings:,} generated ratings; {answers} different histories of {history} "
    "ratings, one after the other in one process."
)


def run(_ratings: RatingSet, _n_seeds: int) -> Section:
    """Return the latency of every model's scores."""
    ratings = RatingMatrix.from_log(wide_log())
    figures, rows = {}, []
    for name, limit in LIMITS_MS.items():
        try:
            fitted = ours.fit(name, {}, ratings, 0)
        except InvalidInput as refusal:
            rows.append([f"cineclub {name}", "-", "-", str(refusal)])
            continue
        p50, p99 = np.percentile(latencies_ms(fitted), [50, 99])
        figures[name] = {"p50_ms": p50, "p99_ms": p99, "limit_ms": limit}
        rows.append([f"cineclub {name}", f"{p50:.2f}", f"{p99:.2f}", "" if limit is None else f"{limit:g}"])
    note = NOTE.format(movies=ratings.n_movies, ratings=ratings.n_ratings, answers=N_RESPONSES, history=HISTORY)
    return Section("One prediction", figures, table_of(["", "median ms", "99th percentile ms", "limit ms"], rows, note))


def wide_log() -> RatingLog:
    """Return generated ratings of as many films as MovieLens 25M has, all of them rated."""
    log = generate(Size(N_USERS, FULL_MOVIES, N_RATINGS), 0).log()
    missing = np.setdiff1d(np.arange(1, FULL_MOVIES + 1), log.movie_ids)
    users = N_USERS + 1 + np.arange(len(missing)) // HISTORY
    return RatingLog.from_columns(
        np.concatenate((log.user_ids, users)),
        np.concatenate((log.movie_ids, missing)),
        np.concatenate((log.ratings, np.full(len(missing), 3.5, np.float32))),
        np.concatenate((log.rated_at, np.arange(len(missing)))),
        HALF_STARS,
    )


def latencies_ms(fitted: FittedModel) -> list[float]:
    """Return the latency of each response, after a few for warm-up."""
    rng = np.random.default_rng(0)
    weights = fitted.popularity / fitted.popularity.sum()
    histories = [drawn_history(weights, rng) for _ in range(N_RESPONSES)]
    statistics.fmean(float(fitted.recommender.scores(history).max()) for history in histories[:10])
    return [1000 * timed(lambda history=history: fitted.recommender.scores(history))[0] for history in histories]


def drawn_history(weights: np.ndarray, rng: np.random.Generator) -> History:
    """Return a history of distinct films, weighted by popularity."""
    movies = rng.choice(len(weights), HISTORY, replace=False, p=weights).astype(np.int32)
    ratings = rng.integers(1, 11, HISTORY).astype(np.float32) / 2
    return History(movies, ratings, np.arange(HISTORY))

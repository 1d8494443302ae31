"""The models of implicit, fitted as documented and ranked over the full catalogue."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.ratings.popularity import popularity_of
from cineclub.domain.recommend.batch_ranking import write_best
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel, History, Prediction, nothing_moved
from list_quality import NO_MOVIE

GRIDS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "implicit ALS": {
        "learns_from": ("likes", "all"),
        "factors": (32, 64, 128),
        "regularization": (0.1, 1.0, 10.0, 100.0),
        "alpha": (1.0, 10.0, 40.0),
        "iterations": (15,),
    },
    "implicit BPR": {
        "learns_from": ("likes", "all"),
        "factors": (32, 64, 128),
        "learning_rate": (0.01, 0.05),
        "regularization": (0.01, 0.1),
        "iterations": (100, 300),
    },
    "implicit BM25": {
        "learns_from": ("likes", "all"),
        "K1": (0.2, 1.2, 5.0),
        "B": (0.0, 0.25, 0.5, 0.75, 1.0),
        "K": (20, 50, 100, 200, 500),
    },
}
"""What is searched of each; the rest as implicit's defaults have it."""

Point = Mapping[str, Any]
WALKED_POINT: Point = {"learns_from": "likes", "factors": 128, "regularization": 10.0, "alpha": 1.0, "iterations": 15}
USERS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class FittedPeer:
    """A model of implicit and the user-by-film matrix that it learned from."""

    model: Any
    interactions: sp.csr_matrix
    seen: sp.csr_matrix
    popularity: NDArray[np.float32]

    def scores(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return scores of every film for some rows, shape (n, n_movies); popular films for users without ratings."""
        if isinstance(self.model, BM25Recommender):
            scores = (self.interactions[users] @ self.model.similarity).toarray().astype(np.float32)
        else:
            scores = self.model.user_factors[users] @ self.model.item_factors.T
        is_unknown = ~scores.any(axis=1)
        scores[is_unknown] = self.popularity
        return scores

    def lists(self, users: NDArray[np.int64], top_k: int) -> NDArray[np.int32]:
        """Return the best unseen films of some rows, shape (n, top_k), as columns of the matrix, -1 for none."""
        ranked = np.full((len(users), top_k), NO_MOVIE, np.int32)
        for start in range(0, len(users), USERS_AT_ONCE):
            some = slice(start, start + USERS_AT_ONCE)
            scores = self.scores(users[some])
            seen = self.seen[users[some]].tocoo()
            scores[seen.row, seen.col] = -np.inf
            write_best(scores, ranked[some])
        return ranked


class WalkedAls:
    """implicit's ALS as a recommender of histories: the vector of a user is computed anew from the likes of a history.

    It learned from likes, which are the ratings from ``threshold`` on.
    """

    name = "implicit ALS"
    is_personal = True

    def __init__(self, fitted: FittedPeer, threshold: float) -> None:
        """Take the fitted model."""
        self._fitted = fitted
        self._threshold = np.float32(threshold)

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return which ratings of a history are likes, shape (n,)."""
        return np.asarray(history.ratings >= self._threshold, np.bool_)

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the scores of all films, shape (n_movies,)."""
        liked = np.sort(history.movie_indices[self.uses(history)])
        row = sp.csr_matrix(
            (np.ones(len(liked), np.float32), liked, [0, len(liked)]), shape=(1, self._fitted.seen.shape[1])
        )
        vector = self._fitted.model.recalculate_user(0, row)
        return np.asarray(self._fitted.model.item_factors @ vector.ravel(), np.float32)

    def predict(self, history: History) -> Prediction:
        """Return the scores, without reasons."""
        return Prediction(self.scores(history), self.uses(history), nothing_moved(history))

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return no arrays: it is never stored."""
        return {}


def walked_als(ratings: RatingMatrix, seed: int) -> FittedModel:
    """Return implicit's ALS to be walked in time, at the point that ``make bench-models`` chose on ml-latest-small."""
    fitted = fit("implicit ALS", WALKED_POINT, ratings, seed)
    recommender = WalkedAls(fitted, ratings.scale.relevance_threshold)
    return FittedModel(Recipe(WalkedAls.name), recommender, ratings.movie_ids, popularity_of(ratings), ratings.scale)


def points(grid: Mapping[str, tuple[Any, ...]]) -> Iterator[Point]:
    """Yield every combination of a grid."""
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def fit(name: str, point: Point, ratings: RatingMatrix, seed: int) -> FittedPeer:
    """Return a model of ``GRIDS`` fitted on likes, or on all ratings as likes."""
    seen = seen_matrix(ratings)
    interactions = seen
    if point["learns_from"] == "likes":
        interactions = seen_matrix(ratings, ratings.ratings >= np.float32(ratings.scale.relevance_threshold))
    settings = {key: value for key, value in point.items() if key != "learns_from"}
    model = new_model(name, settings, seed)
    fit_model(model, interactions)
    popularity = np.asarray(interactions.sum(axis=0), np.float32).ravel()
    return FittedPeer(model, interactions, seen, popularity)


def new_model(name: str, settings: Point, seed: int) -> Any:
    """Return an unfitted model on all cores; implicit checks at once that BLAS uses one thread."""
    with threadpool_limits(1, "blas"):
        if name == "implicit ALS":
            return AlternatingLeastSquares(**settings, random_state=seed, num_threads=0, use_gpu=False)
        if name == "implicit BPR":
            return BayesianPersonalizedRanking(**settings, random_state=seed, num_threads=0, use_gpu=False)
        return BM25Recommender(**settings, num_threads=0)


def fit_model(model: Any, interactions: sp.csr_matrix) -> None:
    """Fit with implicit's own threads on all cores and BLAS on one, as implicit recommends."""
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BM25's weights have another sparse format
        model.fit(interactions, show_progress=False)


def seen_matrix(ratings: RatingMatrix, counted: NDArray[np.bool_] | None = None) -> sp.csr_matrix:
    """Return a matrix with a one for each rating, of all or of the counted ones."""
    is_counted = np.ones(ratings.n_ratings, np.bool_) if counted is None else counted
    columns = ratings.movie_indices[is_counted]
    starts = np.concatenate(([0], np.cumsum(is_counted)))[ratings.row_starts]
    ones = np.ones(len(columns), np.float32)
    matrix = sp.csr_matrix((ones, columns, starts), shape=(ratings.n_users, ratings.n_movies))
    matrix.sort_indices()
    return matrix

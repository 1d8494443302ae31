"""The models of Surprise, fitted as documented; they run on one thread."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from surprise import SVD, Dataset, KNNBaseline, Reader, Trainset

from cineclub.domain.ratings.matrix import RatingMatrix
from rating_sets import ErrorSplit


def trainset(ratings: RatingMatrix) -> Trainset:
    """Return ratings in Surprise's form; unknown ids are distinguished by position."""
    rows = zip(ratings.user_indices.tolist(), ratings.movie_indices.tolist(), ratings.ratings.tolist(), strict=True)
    data = Dataset(Reader(rating_scale=(ratings.scale.lowest, ratings.scale.highest)))
    return data.construct_trainset([(user, movie, rating, None) for user, movie, rating in rows])


def svd(settings: dict[str, Any], seed: int) -> SVD:
    """Return an SVD to be fitted."""
    return SVD(**settings, random_state=seed)


def knn() -> KNNBaseline:
    """Return an item KNN with shrunk Pearson correlations on baselines, to be fitted."""
    similarity = {"name": "pearson_baseline", "user_based": False, "shrinkage": 100}
    return KNNBaseline(k=40, sim_options=similarity, verbose=False)


def stars(fitted: Any, split: ErrorSplit) -> NDArray[np.float64]:
    """Return the predictions of all held-out ratings, shape (n,)."""
    rows = zip(split.users.tolist(), split.movies.tolist(), split.held_out.ratings.tolist(), strict=True)
    return np.array([prediction.est for prediction in fitted.test(list(rows))])

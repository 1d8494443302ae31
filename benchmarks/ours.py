"""The functions of cineclub that the benchmarks call: fits, trained vectors, served stars and lists."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.splitting import EvaluationWindow
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.batch_ranking import lists_of
from cineclub.domain.recommend.recipe import Hyperparameter, Recipe
from cineclub.domain.recommend.recommender import FittedModel, History, PredictsStars
from cineclub.models import catalogue
from cineclub.models.svd import SvdHyperparameters, trained_factors
from list_quality import NO_MOVIE
from rating_sets import ErrorSplit

DAMPING = 5.0
"""Pseudo-ratings at the mean of all, in what is predicted for a film that was never seen."""


def ignore(_fraction: float) -> None:
    """Show no progress."""


def fit(model: str, hyperparameters: Mapping[str, Hyperparameter], ratings: RatingMatrix, seed: int) -> FittedModel:
    """Return a model of the catalogue."""
    return catalogue.fit(Recipe(model, hyperparameters), ratings, np.random.default_rng(seed), ignore)


def histories_of(ratings: RatingMatrix) -> list[History]:
    """Return the ratings of all users as models receive them."""
    bounds = zip(ratings.row_starts[:-1], ratings.row_starts[1:], strict=True)
    return [
        History(ratings.movie_indices[start:end], ratings.ratings[start:end], ratings.rated_at[start:end])
        for start, end in bounds
    ]


class TrainedSvd:
    """The factors of both sides after the descent, to which published figures refer."""

    def __init__(self, ratings: RatingMatrix, hyperparameters: Mapping[str, Hyperparameter], seed: int) -> None:
        """Train the factors."""
        chosen = SvdHyperparameters.of(hyperparameters)
        self.factors = trained_factors(ratings, chosen, np.random.default_rng(seed), ignore)
        self.mean = float(ratings.ratings.mean(dtype=np.float64))
        self.unit = (ratings.scale.highest - ratings.scale.lowest) / 4

    def stars(self, split: ErrorSplit) -> NDArray[np.float64]:
        """Return the predictions of all held-out ratings, shape (n,); unknown users and films add nothing."""
        users, movies = split.users, split.movies
        learned = np.where(users >= 0, self.factors.user_offsets[users], 0)
        learned += np.where(movies >= 0, self.factors.movie_offsets[movies], 0)
        products = (self.factors.user_factors[users] * self.factors.movie_factors[movies]).sum(axis=1)
        learned += np.where((users >= 0) & (movies >= 0), products, 0)
        return np.clip(self.mean + self.unit * learned, split.ratings.scale.lowest, split.ratings.scale.highest)


def stars_as_served(fitted: FittedModel, split: ErrorSplit) -> NDArray[np.float64]:
    """Return the service's predictions of all held-out ratings, shape (n,).

    A film without ratings has no prediction and counts with the user's damped mean.
    """
    recommender = fitted.recommender
    if not isinstance(recommender, PredictsStars):
        message = f"{fitted.recipe.model} predicts no stars"
        raise TypeError(message)
    stars = damped_means(split.ratings)[split.users]
    stars[split.users < 0] = split.ratings.ratings.mean(dtype=np.float64)
    histories = histories_of(split.ratings)
    is_known = (split.users >= 0) & (split.movies >= 0)
    for rows in _rows_by_user(split.users, is_known):
        history = histories[split.users[rows[0]]]
        stars[rows] = recommender.predict_stars(history, split.movies[rows].astype(np.int32))
    return stars


def damped_means(ratings: RatingMatrix) -> NDArray[np.float64]:
    """Return each user's mean rating, shape (n_users,), damped towards the overall mean."""
    mean = ratings.ratings.mean(dtype=np.float64)
    sums = np.bincount(ratings.user_indices, ratings.ratings, minlength=ratings.n_users)
    means: NDArray[np.float64] = (sums + DAMPING * mean) / (np.diff(ratings.row_starts) + DAMPING)
    return means


def rmse(stars: NDArray[np.float64], split: ErrorSplit) -> float:
    """Return the RMSE over all held-out ratings."""
    return float(np.sqrt(np.mean((stars - split.held_out.ratings) ** 2)))


def lists(fitted: FittedModel, window: EvaluationWindow, top_k: int) -> NDArray[np.int64]:
    """Return each user's list of film ids, shape (n_users, top_k), -1 at an empty place."""
    histories = [History.of(window.known_of(row), fitted.movie_ids) for row in range(len(window))]
    positions = batch_lists(fitted, histories, top_k)
    return np.where(positions < 0, NO_MOVIE, fitted.movie_ids[positions])


def batch_lists(fitted: FittedModel, histories: Sequence[History], top_k: int) -> NDArray[np.int32]:
    """Return each user's list of positions, shape (n_users, top_k)."""
    return lists_of(fitted, histories, top_k)


def _rows_by_user(users: NDArray[np.int64], counted: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the counted rows of each user that has any."""
    rows = np.flatnonzero(counted)
    if not len(rows):
        return []
    rows = rows[np.argsort(users[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(users[rows])) + 1)

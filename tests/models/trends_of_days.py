"""Ratings in which most likes of a day are of a few films, models of them, contexts and histories."""

from dataclasses import replace

import numpy as np
from small_ratings import ignore

from cineclub.domain.ratings.crowd import HALF_LIVES_DAYS
from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel, History
from cineclub.models import catalogue
from cineclub.models.combination.model import Combination

N_DAYS, N_USERS, N_MOVIES = 40, 200, 50
DAY = MICROSECONDS_PER_DAY
EVERYTHING = np.arange(N_MOVIES, dtype=np.int32)


def log_of_trends(n_a_day: int = 80, seed: int = 0) -> RatingLog:
    """Return a log in which most likes of a day are of the film of that day and of the two before."""
    rng = np.random.default_rng(seed)
    seen: set[tuple[int, int]] = set()
    rows = []
    for day in range(N_DAYS):
        for nth in range(n_a_day):
            user = int(rng.integers(N_USERS))
            of_day = (day + int(rng.integers(3))) % N_MOVIES
            movie = of_day if rng.random() < 0.8 else int(rng.integers(N_MOVIES))
            if (user, movie) not in seen:
                seen.add((user, movie))
                rows.append((user, movie, 4.0 + rng.integers(2), (day + 1) * DAY + nth * DAY // n_a_day))
    # every film is known, so that a vocabulary holds all of them
    rows += [(N_USERS, movie, 3.0, movie) for movie in range(N_MOVIES)]
    users, movies, ratings, times = zip(*rows, strict=True)
    return RatingLog.from_columns(
        np.array(users, np.int64),
        np.array(movies, np.int64),
        np.array(ratings, np.float32),
        np.array(times, np.int64),
        RatingScale(0.5, 5),
    )


def fitted(log: RatingLog, **hyperparameters: float | str) -> FittedModel:
    """Return the model of a log, with base models of everything unless said otherwise."""
    recipe = Recipe("combination", {"min_ratings": 1, **hyperparameters})
    return catalogue.fit(recipe, RatingMatrix.from_log(log), np.random.default_rng(0), ignore)


def combination_of(log: RatingLog, **hyperparameters: float | str) -> Combination:
    """Return the recommender alone."""
    recommender = fitted(log, **hyperparameters).recommender
    assert isinstance(recommender, Combination)
    return recommender


def context_of(movie: int, likes: float, moment: int = (N_DAYS + 2) * DAY) -> Context:
    """Return a context in which one film has likes of the last hours."""
    counts = np.zeros((len(HALF_LIVES_DAYS), N_MOVIES), np.float32)
    counts[:, movie] = likes
    return Context(moment, counts)


def history_of(movies: list[int], rating: float = 5.0) -> History:
    """Return ratings of the last days, one a day."""
    times = (N_DAYS + 1) * DAY + np.arange(len(movies)) * DAY // 24
    return History(np.array(movies, np.int32), np.full(len(movies), rating, np.float32), times)


def with_likes(model: Combination, movie: int, likes: float) -> Context:
    """Return the context at the end of the ratings with a few more likes of one film."""
    counts = model.frozen_context.counts.copy()
    counts[:, movie] += likes
    return replace(model.frozen_context, counts=counts)

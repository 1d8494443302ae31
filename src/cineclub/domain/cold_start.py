"""Who is new to a model, and what they are answered with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings import UserRatings
from cineclub.domain.recommender import Explain, FittedModel, History, ScoresMany, nothing_moved

Strategy = Literal["model", "popular"]
POPULAR = "popular"


@dataclass(frozen=True, slots=True)
class Answer:
    """Scores for every film of the model's vocabulary, shape (n_movies,), how they were made, and why."""

    strategy: Strategy
    scores: NDArray[np.float32]
    history: History
    explain: Explain


def is_new_user(fitted: FittedModel, history: History) -> bool:
    """Say whether a personal model can use none of the user's ratings."""
    return _can_use_nothing(fitted, fitted.recommender.uses(history))


def answer(fitted: FittedModel, user_ratings: UserRatings) -> Answer:
    """Return what a person with these ratings is answered: the model's scores, or popularity if they are new.

    Serving and evaluation both call this, so that what is judged is what is served.
    """
    history = History.of(user_ratings, fitted.movie_ids)
    reading = fitted.recommender.read(history)
    if _can_use_nothing(fitted, reading.is_used):
        return Answer("popular", fitted.popularity, history, nothing_moved(history))
    strategy: Strategy = "popular" if fitted.recommender.name == POPULAR else "model"
    return Answer(strategy, reading.scores, history, reading.explain)


def _can_use_nothing(fitted: FittedModel, is_used: NDArray[np.bool_]) -> bool:
    """Say whether a personal model uses none of the ratings, by a mask of those that it uses, shape (n,)."""
    return fitted.recommender.is_personal and not is_used.any()


def scores_of_many(fitted: FittedModel, histories: Sequence[History]) -> NDArray[np.float32]:
    """Return what ``answer`` scores for each history, but for the last digits, shape (n_histories, n_movies)."""
    is_new = np.array([is_new_user(fitted, history) for history in histories], np.bool_)
    known = [history for history, new in zip(histories, is_new, strict=True) if not new]
    scores = np.empty((len(histories), len(fitted.movie_ids)), np.float32)
    scores[is_new] = fitted.popularity
    recommender = fitted.recommender
    if isinstance(recommender, ScoresMany):
        of_known = recommender.scores_of_many(known)
        if not is_new.any():
            return of_known
        scores[~is_new] = of_known
    else:
        for row, history in zip(np.flatnonzero(~is_new), known, strict=True):
            scores[row] = recommender.scores(history)
    return scores

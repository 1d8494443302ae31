"""New users, and the scores for a history: those of the model, or popularity for new users."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recipe import POPULAR
from cineclub.domain.recommend.recommender import (
    Explain,
    FittedModel,
    FollowsContext,
    History,
    Prediction,
    ScoresMany,
    nothing_moved,
)

SECOND = 1_000_000
"""Of microseconds."""

Strategy = Literal["model", "popular"]


@dataclass(frozen=True, slots=True)
class MovieScores:
    """The scores of all movies for one history, and their origin.

    Attributes:
        strategy: popular where no rating of the user moves the scores of a personal model, or the model is Popular.
        is_new_user: whether the model can use no rating of the history (``is_new_user``).
        scores: (n_movies,) one finite score for each movie of the model's vocabulary.
        history: the ratings that the vocabulary holds.
        explain: the contribution of each rating to the scores.
        crowd: (n_movies,) the part of the scores that is not of single ratings; None for a model without such a part.
        trend: (n_movies,) the part of ``crowd`` that is of the likes of the last days; None where ``crowd`` is.
        is_estimated: (n_movies,) whether each score is the mean of those of similar movies; None where none is.
    """

    strategy: Strategy
    is_new_user: bool
    scores: NDArray[np.float32]
    history: History
    explain: Explain
    crowd: NDArray[np.float32] | None = None
    trend: NDArray[np.float32] | None = None
    is_estimated: NDArray[np.bool_] | None = None


def is_new_user(fitted: FittedModel, history: History, is_used: NDArray[np.bool_] | None = None) -> bool:
    """Return whether a user has no usable history: no rating that a personal model uses, none at all for another.

    Args:
        fitted: the model.
        history: the user's ratings.
        is_used: (n,) whether the model uses each rating, where that is known already.
    """
    if not fitted.recommender.is_personal:
        return not len(history)
    used = fitted.recommender.uses(history) if is_used is None else is_used
    return not used.any()


def score_movies(fitted: FittedModel, user_ratings: UserRatings, context: Context | None = None) -> MovieScores:
    """Return the scores for a user with these ratings in a context: the model's, or popularity.

    New users of a personal model get its popularity, unless it follows the context and so has scores for them too.
    Serving and evaluation both call this, so the evaluated scores are the served ones.

    Args:
        fitted: the model.
        user_ratings: the user's ratings.
        context: in the order of the model's vocabulary; None takes the one that is frozen with the model.
    """
    history, recommender = History.of(user_ratings, fitted.movie_ids), fitted.recommender
    prediction = predict_in(fitted, history, context)
    is_new = is_new_user(fitted, history, prediction.is_used)
    if is_new and recommender.is_personal and not isinstance(recommender, FollowsContext):
        return MovieScores("popular", is_new, fitted.popularity, history, nothing_moved(history))
    is_popular = recommender.name == POPULAR or (is_new and recommender.is_personal)
    strategy: Strategy = "popular" if is_popular else "model"
    return MovieScores(
        strategy, is_new, prediction.scores, history, prediction.explain, prediction.crowd, prediction.trend
    )


def undated(fitted: FittedModel, movie_ids: NDArray[np.int64], ratings: NDArray[np.float32]) -> UserRatings:
    """Return ratings without times, oldest first, two columns of shape (n,), as those of a user of today.

    For a model that follows the context today is the end of the ratings it was fitted on: somebody whose ratings are
    decades old would get little but trends. For other models the order alone counts.
    """
    recommender = fitted.recommender
    today = recommender.frozen_context.moment if isinstance(recommender, FollowsContext) else 0
    return UserRatings(movie_ids, ratings, today + np.arange(len(movie_ids), dtype=np.int64) * SECOND)


def predict_in(fitted: FittedModel, history: History, context: Context | None) -> Prediction:
    """Return the prediction of a model in a context, which most models ignore."""
    recommender = fitted.recommender
    if context is not None and isinstance(recommender, FollowsContext):
        return recommender.predict_in_context(history, context)
    return recommender.predict(history)


def scores_of_many(
    fitted: FittedModel, histories: Sequence[History], contexts: Iterator[Context] | None = None
) -> NDArray[np.float32]:
    """Return the scores of ``score_movies`` for each history, except the last digits, shape (n_histories, n_movies).

    ``contexts`` has the context of each history in turn; without it a model uses the one that is frozen with it.
    """
    recommender = fitted.recommender
    scores = np.empty((len(histories), len(fitted.movie_ids)), np.float32)
    if isinstance(recommender, FollowsContext):
        for nth, history in enumerate(histories):
            if contexts is None:
                scores[nth] = recommender.predict(history).scores
            else:
                scores[nth] = recommender.predict_in_context(history, next(contexts)).scores
        return scores
    is_personal = recommender.is_personal
    is_new = np.array([is_personal and is_new_user(fitted, history) for history in histories], np.bool_)
    known = [history for history, new in zip(histories, is_new, strict=True) if not new]
    scores[is_new] = fitted.popularity
    if isinstance(recommender, ScoresMany):
        of_known = recommender.scores_of_many(known)
        if not is_new.any():
            return of_known
        scores[~is_new] = of_known
    else:
        for row, history in zip(np.flatnonzero(~is_new), known, strict=True):
            scores[row] = recommender.scores(history)
    return scores

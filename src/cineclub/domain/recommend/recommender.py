"""The Protocol of models: item-side arrays that turn the history of one user into scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.log import RatingScale, UserRatings
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recipe import Hyperparameter, Recipe

Progress = Callable[[float], None]
"""Receives the finished fraction, 0 to 1, of a piece of work; may raise to stop it (cancelled, lease lost)."""


@dataclass(frozen=True, slots=True)
class History:
    """The input of a model: the ratings of one user for movies in its vocabulary, in canonical order.

    Attributes:
        movie_indices: (n,) positions in the model's vocabulary, each at most once.
        ratings: (n,) on the data's scale.
        rated_at: (n,) microseconds since 1970-01-01 UTC.
    """

    movie_indices: NDArray[np.int32]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]

    @classmethod
    def of(cls, user_ratings: UserRatings, movie_ids: NDArray[np.int64]) -> "History":
        """Return the part of a user's ratings that a vocabulary ``movie_ids`` (n_movies,), rising, knows."""
        positions = np.searchsorted(movie_ids, user_ratings.movie_ids)
        known = positions < len(movie_ids)
        known[known] = movie_ids[positions[known]] == user_ratings.movie_ids[known]
        return cls(positions[known].astype(np.int32), user_ratings.ratings[known], user_ratings.rated_at[known])

    @classmethod
    def none(cls) -> "History":
        """Return the history of somebody without ratings."""
        return cls(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int64))

    def __len__(self) -> int:
        """Return the number of ratings."""
        return len(self.movie_indices)

    def recency_weights(self, half_life: float) -> NDArray[np.float32]:
        """Return the weight of each rating, shape (n,): the newest 1, halved every ``half_life`` ratings.

        The age of a rating is the number of later ones; with a half-life of 0 all weights are 1.
        """
        if not half_life:
            return np.ones(len(self), np.float32)
        n_newer = np.arange(len(self) - 1, -1, -1, dtype=np.float32)
        weights: NDArray[np.float32] = np.exp2(-n_newer / np.float32(half_life))
        return weights


Explain = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""Returns the contribution of each rating of the history to the scores of movies, positions (m,), shape (m, n)."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction of a model for one history.

    Attributes:
        scores: (n_movies,) a finite score for every movie: higher is recommended earlier.
        is_used: (n,) whether each rating of the history moves the scores.
        explain: the reasons, computed only when they are needed, from the intermediate results of the scores.
        crowd: (n_movies,) the part of each score that is not of single ratings but of everybody's, above or below that
            of the mean movie; None for a model without such a part.
        trend: (n_movies,) the part of ``crowd`` that is of the likes of the last days, above or below that of the mean
            movie, 0 for movies without such likes; None where ``crowd`` is.
    """

    scores: NDArray[np.float32]
    is_used: NDArray[np.bool_]
    explain: Explain
    crowd: NDArray[np.float32] | None = None
    trend: NDArray[np.float32] | None = None


def nothing_moved(history: History) -> Explain:
    """Return the explanation of scores that no rating moved: zeros."""
    return lambda movie_indices: np.zeros((len(movie_indices), len(history)), np.float32)


class Recommender(Protocol):
    """A fitted model. It holds item-side arrays only, so that it serves a new user like any other."""

    name: ClassVar[str]
    is_personal: ClassVar[bool]
    """The ratings of a user move the scores; else all users get the same scores."""

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return a finite score for every movie, shape (n_movies,): higher is recommended earlier."""
        ...

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return whether each rating of the history moves the scores, shape (n,); without any the user is new."""
        ...

    def predict(self, history: History) -> Prediction:
        """Return scores, used ratings and reasons; the first two equal those of the other methods."""
        ...

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return all parameters of the model by name, for the artifact; ``from_arrays`` restores it."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model with these parameters.

        Raises:
            BrokenArtifact: an array is missing, or its shape does not fit the others.
        """
        ...


@runtime_checkable
class ScoresMany(Protocol):
    """A model that scores many users at once faster than one after the other."""

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the scores of each history, equal to ``scores`` except the last digits, (n_histories, n_movies)."""
        ...


@runtime_checkable
class SharesFits(Protocol):
    """A model of which some hyperparameters matter in predictions alone, so that recipes of a search share a fit."""

    PREDICTION_ONLY: ClassVar[frozenset[str]]
    """The names of the hyperparameters that the fit does not use."""

    def predicting_with(self, values: Mapping[str, Hyperparameter]) -> Self:
        """Return the model with other values of some of them: the arrays that a fit of that recipe gives."""
        ...


@runtime_checkable
class FollowsContext(Protocol):
    """A model whose scores also follow the context of a request, for users without a history too.

    ``scores`` and ``predict`` use the context that was frozen with the model, for promotion checks, MLflow and
    ``cineclub reproduce``.
    """

    @property
    def follows_context(self) -> bool:
        """Whether the scores differ between contexts; with some hyperparameters they do not."""
        ...

    @property
    def frozen_context(self) -> Context:
        """The context at the end of the ratings that the model was fitted on."""
        ...

    def predict_in_context(self, history: History, context: Context) -> Prediction:
        """Return scores, used ratings and reasons for a context in the order of the model's vocabulary."""
        ...


@runtime_checkable
class LearnsSome(Protocol):
    """A model whose vocabulary also has movies of which it has learned nothing."""

    @property
    def is_learned(self) -> NDArray[np.bool_]:
        """Whether each movie had a rating in the fit, shape (n_movies,)."""
        ...


@runtime_checkable
class PredictsStars(Protocol):
    """A model that also predicts ratings."""

    def predict_stars(self, history: History, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each of these movies, shape (m,), clipped to the data's scale."""
        ...


@dataclass(frozen=True, slots=True, weakref_slot=True)
class FittedModel:
    """A recommender with the vocabulary it was fitted on: the unit that is evaluated, registered and served.

    Attributes:
        recipe: the model's name and hyperparameters.
        recommender: the fitted model.
        movie_ids: (n_movies,) rising; the movie of each position.
        popularity: (n_movies,) damped popularity: the scores for new users.
        scale: the scale of the ratings it was fitted on.
    """

    recipe: Recipe
    recommender: Recommender
    movie_ids: NDArray[np.int64]
    popularity: NDArray[np.float32]
    scale: RatingScale

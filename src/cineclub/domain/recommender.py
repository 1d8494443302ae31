"""What every model is: item-side arrays that turn one person's history into scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings import RatingScale, UserRatings
from cineclub.domain.recipe import Recipe

Progress = Callable[[float], None]
"""Told the finished fraction, 0 to 1, of a piece of work; may raise to stop it (cancelled, lease lost)."""


@dataclass(frozen=True, slots=True)
class History:
    """A user as a model sees them: the ratings of films in its vocabulary, in canonical order.

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

    def __len__(self) -> int:
        """Return the number of ratings."""
        return len(self.movie_indices)

    def recency_weights(self, half_life: float) -> NDArray[np.float32]:
        """Return how much each rating counts, shape (n,): the newest 1, and half as much every ``half_life`` ratings.

        The age of a rating is how many others came after it; a half-life of 0 lets all count alike.
        """
        if not half_life:
            return np.ones(len(self), np.float32)
        n_newer = np.arange(len(self) - 1, -1, -1, dtype=np.float32)
        weights: NDArray[np.float32] = np.exp2(-n_newer / np.float32(half_life))
        return weights


Explain = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""Says of films by position, shape (m,), by how much each rating of the history moved their scores, shape (m, n)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model makes of one history.

    Attributes:
        scores: (n_movies,) a finite score for every film: higher is recommended earlier.
        is_used: (n,) which ratings of the history move the scores.
        explain: the reasons, worked out only when they are asked for, from what the scores took anyway.
    """

    scores: NDArray[np.float32]
    is_used: NDArray[np.bool_]
    explain: Explain


def nothing_moved(history: History) -> Explain:
    """Return the reasons of scores that no rating moved."""
    return lambda movie_indices: np.zeros((len(movie_indices), len(history)), np.float32)


class Recommender(Protocol):
    """A fitted model. It holds item-side arrays only, so a user who came a second ago is answered like any other."""

    name: ClassVar[str]
    is_personal: ClassVar[bool]
    """Whether a person's ratings move the scores; if not, everybody gets the same scores and nobody is new."""

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return a finite score for every film, shape (n_movies,): higher is recommended earlier."""
        ...

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Say which ratings of the history, shape (n,), move the scores; none means the user is new to the model."""
        ...

    def read(self, history: History) -> Reading:
        """Return scores, used ratings and reasons, each as the other methods have them."""
        ...

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return everything the model is, by name, for the artifact; ``from_arrays`` takes it back."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model that ``arrays`` came from.

        Raises:
            BrokenArtifact: an array is missing, or its shape does not fit the others.
        """
        ...


@runtime_checkable
class ScoresMany(Protocol):
    """A model that scores many people at once faster than one after the other."""

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return what ``scores`` returns for each history, but for the last digits, shape (n_histories, n_movies)."""
        ...


@runtime_checkable
class PredictsStars(Protocol):
    """A model that can also say how a person would rate a film."""

    def predict_stars(self, history: History, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each film asked for, shape (m,), clipped to the data's scale."""
        ...


@dataclass(frozen=True, slots=True, weakref_slot=True)
class FittedModel:
    """A recommender with the vocabulary it was fitted on: what is judged, registered and served.

    Attributes:
        recipe: which model with which hyperparameters.
        recommender: the fitted model.
        movie_ids: (n_movies,) rising; the film of each position.
        popularity: (n_movies,) damped popularity: what answers those whom the model cannot know yet.
        scale: the scale of the ratings it was fitted on.
    """

    recipe: Recipe
    recommender: Recommender
    movie_ids: NDArray[np.int64]
    popularity: NDArray[np.float32]
    scale: RatingScale

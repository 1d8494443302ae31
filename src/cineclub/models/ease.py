"""EASE: movie-to-movie weights in closed form, learned from likes (Steck 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History, Progress
from cineclub.models.hyperparameters import Hyperparameters, half_life, within
from cineclub.models.linear_model import LinearModel
from cineclub.models.movie_weights import weights_of_arrays
from cineclub.models.stored import one_value, stored


@dataclass(frozen=True, slots=True)
class EaseHyperparameters(Hyperparameters):
    """The ridge penalty of the weights, in likes; the default was chosen on MovieLens ml-latest-small."""

    regularization: float = within(300.0, 0.001, 10_000_000.0)
    history_half_life: float = half_life()


@dataclass(frozen=True, slots=True)
class Ease(LinearModel):
    """A movie's score is the sum of the weights from the movies that a user likes."""

    name: ClassVar[str] = "ease"

    @classmethod
    def fit(
        cls, ratings: RatingMatrix, hyperparameters: EaseHyperparameters, _rng: np.random.Generator, progress: Progress
    ) -> Self:
        """Return the weights that best restore each user's likes from their other likes."""
        from cineclub.models.kernels.linear_movies import Linear
        from cineclub.models.kernels.movie_pairs import Closeness, Sequences

        liked_from = np.float32(ratings.scale.relevance_threshold)
        likes = (ratings.ratings >= liked_from).astype(np.float32)
        linear = Linear(Sequences.of(ratings, likes), Closeness.of_all(), hyperparameters.regularization)
        return cls(
            weights=linear.weights(ratings.n_movies, progress),
            liked_from=one_value(float(liked_from)),
            history_half_life=one_value(hyperparameters.history_half_life),
        )

    def values(self, history: History) -> NDArray[np.float32]:
        """Return 1 for each like of a history and 0 for every other rating, shape (n,)."""
        return (history.ratings >= self.liked_from).astype(np.float32)

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the weights and the scalars."""
        scalars = {"liked_from": self.liked_from, "history_half_life": self.history_half_life}
        return {**self.weights.arrays(), **scalars}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        return cls(
            weights=weights_of_arrays(arrays),
            liked_from=stored(arrays, "liked_from", np.float32, (1,)),
            history_half_life=stored(arrays, "history_half_life", np.float32, (1,)),
        )

"""Random: scores drawn once, a baseline that every model must beat by far."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History, Prediction, Progress, nothing_moved
from cineclub.models.hyperparameters import NoHyperparameters
from cineclub.models.stored import stored


@dataclass(frozen=True, slots=True)
class Random:
    """The same drawn scores for all users.

    Attributes:
        drawn_scores: (n_movies,) uniform between 0 and 1.
    """

    name: ClassVar[str] = "random"
    is_personal: ClassVar[bool] = False

    drawn_scores: NDArray[np.float32]

    @classmethod
    def fit(
        cls, ratings: RatingMatrix, _hyperparameters: NoHyperparameters, rng: np.random.Generator, _progress: Progress
    ) -> Self:
        """Return scores drawn for every movie of the matrix."""
        return cls(rng.random(ratings.n_movies, np.float32))

    @classmethod
    def needed_bytes(cls, _hyperparameters: NoHyperparameters, extent: Extent) -> int:
        """Return the approximate memory of a fit in bytes: one score for each movie."""
        return 4 * extent.n_movies

    def scores(self, _history: History) -> NDArray[np.float32]:
        """Return the drawn scores, shape (n_movies,)."""
        return self.drawn_scores

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return False for every rating, shape (n,)."""
        return np.zeros(len(history), np.bool_)

    def predict(self, history: History) -> Prediction:
        """Return the scores; no rating contributes to them."""
        return Prediction(self.scores(history), self.uses(history), nothing_moved(history))

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the drawn scores."""
        return {"drawn_scores": self.drawn_scores}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        return cls(stored(arrays, "drawn_scores", np.float32, (None,)))

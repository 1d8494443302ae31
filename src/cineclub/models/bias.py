"""Bias: damped means of movies and users, without factors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History, Prediction, Progress
from cineclub.models.baseline import Baseline
from cineclub.models.hyperparameters import Hyperparameters, within


@dataclass(frozen=True, slots=True)
class BiasHyperparameters(Hyperparameters):
    """The numbers of pseudo-ratings at the mean for each movie and each user."""

    movie_damping: float = within(10.0, 0.0, 10_000.0)
    user_damping: float = within(5.0, 0.0, 10_000.0)


@dataclass(frozen=True, slots=True)
class Bias:
    """The best rated movies first; a user's ratings move the predicted stars of all movies alike."""

    name: ClassVar[str] = "bias"
    is_personal: ClassVar[bool] = True

    baseline: Baseline

    @classmethod
    def fit(
        cls, ratings: RatingMatrix, hyperparameters: BiasHyperparameters, _rng: np.random.Generator, _progress: Progress
    ) -> Self:
        """Return the damped means of the matrix."""
        return cls(Baseline.fit(ratings, hyperparameters.movie_damping, hyperparameters.user_damping))

    @classmethod
    def needed_bytes(cls, _hyperparameters: BiasHyperparameters, extent: Extent) -> int:
        """Return the approximate memory of a fit in bytes: the ratings a few times in double precision."""
        return 32 * extent.n_ratings

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the expected rating of every movie, shape (n_movies,), not clipped so that ties stay rare."""
        baseline = self.baseline
        return baseline.global_mean + baseline.movie_offsets + baseline.user_offset(history)

    def predict_stars(self, history: History, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each movie, shape (m,), clipped to the scale."""
        return self.baseline.on_scale(self.baseline.expected(history, movie_indices))

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return True for every rating, shape (n,)."""
        return np.ones(len(history), np.bool_)

    def predict(self, history: History) -> Prediction:
        """Return the scores; each rating moves all of them alike, by its contribution to the user's offset."""
        shares = self.baseline.user_shares(history)
        return Prediction(
            self.scores(history), self.uses(history), lambda movie_indices: np.tile(shares, (len(movie_indices), 1))
        )

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the baseline's arrays."""
        return self.baseline.arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        return cls(Baseline.from_arrays(arrays))

"""SVD: biased matrix factorisation by stochastic gradient descent (Koren, Bell & Volinsky 2009)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History, Prediction, Progress
from cineclub.models.hyperparameters import Hyperparameters, half_life, within
from cineclub.models.stored import one_value, stored

if TYPE_CHECKING:
    from cineclub.models.kernels.svd import Factors

OFFSET_REGULARIZATION = np.float32(3.0)
"""The ridge penalty of a user's offset in predictions: less than that of their vector, of which more is noise."""

REFERENCE_SPAN = 4.0
"""Ratings are learned in units of a scale from 1 to 5, so that one learning rate suits every scale."""


@dataclass(frozen=True, slots=True)
class SvdHyperparameters(Hyperparameters):
    """The descent, and the ridge penalty of a user's vector in predictions."""

    n_factors: int = within(64, 1, 512)
    n_epochs: int = within(20, 1, 1000)
    learning_rate: float = within(0.005, 0.000001, 1.0)
    regularization: float = within(0.02, 0.0, 100.0)
    fold_in_regularization: float = within(20.0, 0.01, 100_000.0)
    history_half_life: float = half_life()


@dataclass(frozen=True, slots=True)
class Svd:
    """Offsets and vectors of movies; a user's offset and vector are solved from the history.

    Attributes:
        global_mean: (1,) mean of all ratings, on the data's scale.
        rating_unit: (1,) the data's rating units in one learned unit.
        scale_ends: (2,) lowest and highest rating.
        movie_offsets: (n_movies,) learned units.
        movie_vectors: (n_movies, 1 + n_factors) a one, for the user's offset, and the factors.
        fold_in_regularization: (1,) the penalty of the vector in the ridge solve.
        history_half_life: (1,) the number of newer ratings after which a rating counts half; 0: all count alike.
    """

    name: ClassVar[str] = "svd"
    is_personal: ClassVar[bool] = True

    global_mean: NDArray[np.float32]
    rating_unit: NDArray[np.float32]
    scale_ends: NDArray[np.float32]
    movie_offsets: NDArray[np.float32]
    movie_vectors: NDArray[np.float32]
    fold_in_regularization: NDArray[np.float32]
    history_half_life: NDArray[np.float32]

    @classmethod
    def fit(
        cls, ratings: RatingMatrix, hyperparameters: SvdHyperparameters, rng: np.random.Generator, progress: Progress
    ) -> Self:
        """Return the movies' side of the factors."""
        factors = trained_factors(ratings, hyperparameters, rng, progress)
        ones = np.ones((ratings.n_movies, 1), np.float32)
        return cls(
            global_mean=one_value(_mean_of(ratings)),
            rating_unit=one_value(_unit_of(ratings.scale)),
            scale_ends=np.array([ratings.scale.lowest, ratings.scale.highest], np.float32),
            movie_offsets=factors.movie_offsets,
            movie_vectors=np.hstack((ones, factors.movie_factors[:, : hyperparameters.n_factors])),
            fold_in_regularization=one_value(hyperparameters.fold_in_regularization),
            history_half_life=one_value(hyperparameters.history_half_life),
        )

    @classmethod
    def needed_bytes(cls, hyperparameters: SvdHyperparameters, extent: Extent) -> int:
        """Return the approximate memory of a fit in bytes: the ratings once more, and all vectors."""
        return 40 * extent.n_ratings + 8 * (hyperparameters.n_factors + 16) * (extent.n_users + extent.n_movies)

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the expected rating of every movie, shape (n_movies,), not clipped so that ties stay rare."""
        return self.predict(history).scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the expected rating of every movie for each history, shape (n_histories, n_movies)."""
        users = np.array([self._user(history) for history in histories], np.float32)
        liking = users.reshape(len(histories), self.movie_vectors.shape[1]) @ self.movie_vectors.T
        liking += self.movie_offsets
        return self._on_data_scale(liking)

    def predict_stars(self, history: History, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each movie, shape (m,), clipped to the scale."""
        liking = self.movie_vectors[movie_indices] @ self._user(history)
        stars = self._on_data_scale(self.movie_offsets[movie_indices] + liking)
        return np.clip(stars, self.scale_ends[0], self.scale_ends[1])

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return True for every rating, shape (n,)."""
        return np.ones(len(history), np.bool_)

    def predict(self, history: History) -> Prediction:
        """Return the scores and, as reasons, the contribution of each rating through the ridge solve."""
        rated, weighted = self._rated(history)
        normal, surprise = self._normal_matrix(rated, weighted), self._surprise(history)
        user = np.linalg.solve(normal, weighted.T @ surprise)

        def explain(movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
            pulls = np.linalg.solve(normal, self.movie_vectors[movie_indices].T)
            return (weighted @ pulls).T * surprise * self.rating_unit

        scores = self._on_data_scale(self.movie_offsets + self.movie_vectors @ user)
        return Prediction(scores, self.uses(history), explain)

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the movies' side and the scalars."""
        return {
            "global_mean": self.global_mean,
            "rating_unit": self.rating_unit,
            "scale_ends": self.scale_ends,
            "movie_offsets": self.movie_offsets,
            "movie_vectors": self.movie_vectors,
            "fold_in_regularization": self.fold_in_regularization,
            "history_half_life": self.history_half_life,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        movie_offsets = stored(arrays, "movie_offsets", np.float32, (None,))
        return cls(
            global_mean=stored(arrays, "global_mean", np.float32, (1,)),
            rating_unit=stored(arrays, "rating_unit", np.float32, (1,)),
            scale_ends=stored(arrays, "scale_ends", np.float32, (2,)),
            movie_offsets=movie_offsets,
            movie_vectors=stored(arrays, "movie_vectors", np.float32, (len(movie_offsets), None)),
            fold_in_regularization=stored(arrays, "fold_in_regularization", np.float32, (1,)),
            history_half_life=stored(arrays, "history_half_life", np.float32, (1,)),
        )

    def _user(self, history: History) -> NDArray[np.float32]:
        """Return the offset and vector, shape (1 + n_factors,), that fit a history best; zeros without one."""
        rated, weighted = self._rated(history)
        normal = self._normal_matrix(rated, weighted)
        return np.asarray(np.linalg.solve(normal, weighted.T @ self._surprise(history)), np.float32)

    def _rated(self, history: History) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the vectors of the rated movies, shape (n, 1 + n_factors), plain and times their ratings' weights."""
        rated = self.movie_vectors[history.movie_indices]
        half_life = float(self.history_half_life[0])
        return (rated, rated * history.recency_weights(half_life)[:, None]) if half_life else (rated, rated)

    def _normal_matrix(self, rated: NDArray[np.float32], weighted: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the matrix of the ridge solve, shape (1 + n_factors, 1 + n_factors)."""
        normal: NDArray[np.float32] = weighted.T @ rated
        normal[np.diag_indices_from(normal)] += self.fold_in_regularization
        normal[0, 0] += OFFSET_REGULARIZATION - self.fold_in_regularization[0]
        return normal

    def _surprise(self, history: History) -> NDArray[np.float32]:
        """Return each rating of a history, shape (n,), minus mean and movie offset, in learned units."""
        return (history.ratings - self.global_mean) / self.rating_unit - self.movie_offsets[history.movie_indices]

    def _on_data_scale(self, learned: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ratings in learned units, shape (m,), on the data's scale."""
        return self.global_mean + self.rating_unit * learned


def trained_factors(
    ratings: RatingMatrix, hyperparameters: SvdHyperparameters, rng: np.random.Generator, progress: Progress
) -> "Factors":
    """Return both sides of the factors in learned units; a served model has the movies' side only.

    Raises:
        InvalidInput: the learning rate is too large for these ratings.
    """
    from cineclub.models.kernels.svd import Descent, Factors, descend

    centred = (ratings.ratings - np.float32(_mean_of(ratings))) / np.float32(_unit_of(ratings.scale))
    factors = Factors.drawn(ratings.n_users, ratings.n_movies, hyperparameters.n_factors, rng)
    descent = Descent(hyperparameters.n_epochs, hyperparameters.learning_rate, hyperparameters.regularization)
    descend(ratings, centred, factors, descent, rng, progress)
    return factors


def _mean_of(ratings: RatingMatrix) -> float:
    """Return the mean of all ratings."""
    return float(np.mean(ratings.ratings, dtype=np.float64))


def _unit_of(scale: RatingScale) -> float:
    """Return the rating units of a scale in one unit of the reference scale."""
    return (scale.highest - scale.lowest) / REFERENCE_SPAN

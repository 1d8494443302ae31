"""SVD: biased matrix factorisation by stochastic gradient descent (Koren, Bell & Volinsky 2009)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.filtering import Extent
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import RatingScale
from cineclub.domain.recommender import History, Progress
from cineclub.models.hyperparameters import Hyperparameters, within
from cineclub.models.stored import one_value, stored

REFERENCE_SPAN = 4.0
"""Ratings are learned in units of a scale from 1 to 5, so that one learning rate suits every scale."""


@dataclass(frozen=True, slots=True)
class SvdHyperparameters(Hyperparameters):
    """How the factors are learned, and how firmly a person's own vector is held near zero when answering."""

    n_factors: int = within(64, 1, 512)
    n_epochs: int = within(20, 1, 1000)
    learning_rate: float = within(0.005, 0.000001, 1.0)
    regularization: float = within(0.02, 0.0, 100.0)
    fold_in_regularization: float = within(10.0, 0.01, 100_000.0)


@dataclass(frozen=True, slots=True)
class Svd:
    """A film is an offset and a vector; a person's offset and vector are solved from their history.

    Attributes:
        global_mean: (1,) mean of all ratings, on the data's scale.
        rating_unit: (1,) how many of the data's rating units one learned unit is.
        scale_ends: (2,) lowest and highest rating.
        movie_offsets: (n_movies,) learned units.
        movie_vectors: (n_movies, 1 + n_factors) a one, which meets the person's offset, and the factors.
        fold_in_regularization: (1,) of the ridge solve.
    """

    name: ClassVar[str] = "svd"
    is_personal: ClassVar[bool] = True

    global_mean: NDArray[np.float32]
    rating_unit: NDArray[np.float32]
    scale_ends: NDArray[np.float32]
    movie_offsets: NDArray[np.float32]
    movie_vectors: NDArray[np.float32]
    fold_in_regularization: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        ratings: RatingMatrix,
        hyperparameters: SvdHyperparameters,
        rng: np.random.Generator,
        progress: Progress,
    ) -> Self:
        """Return the films' side of the factors."""
        from cineclub.models.kernels.svd import Factors, descend

        mean = float(np.mean(ratings.ratings, dtype=np.float64))
        unit = _unit_of(ratings.scale)
        centred = ((ratings.ratings - np.float32(mean)) / np.float32(unit)).astype(np.float32)
        factors = Factors.drawn(ratings.n_users, ratings.n_movies, hyperparameters.n_factors, rng)
        descend(
            ratings,
            centred,
            factors,
            hyperparameters.n_epochs,
            hyperparameters.learning_rate,
            hyperparameters.regularization,
            rng,
            progress,
        )
        ones = np.ones((ratings.n_movies, 1), np.float32)
        return cls(
            global_mean=one_value(mean),
            rating_unit=one_value(unit),
            scale_ends=np.array([ratings.scale.lowest, ratings.scale.highest], np.float32),
            movie_offsets=factors.movie_offsets,
            movie_vectors=np.hstack((ones, factors.movie_factors)),
            fold_in_regularization=one_value(hyperparameters.fold_in_regularization),
        )

    @classmethod
    def needed_bytes(cls, hyperparameters: SvdHyperparameters, extent: Extent) -> int:
        """Return about how much memory a fit takes: the ratings once more, and all vectors."""
        return 12 * extent.n_ratings + 8 * hyperparameters.n_factors * (extent.n_users + extent.n_movies)

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the expected rating of every film, shape (n_movies,), not clipped so that ties stay rare."""
        return self._on_data_scale(self.movie_offsets + self.movie_vectors @ self._person(history))

    def predict_stars(self, history: History, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each film asked for, shape (m,), clipped to the scale."""
        liking = self.movie_vectors[movie_indices] @ self._person(history)
        stars = self._on_data_scale(self.movie_offsets[movie_indices] + liking)
        return np.clip(stars, self.scale_ends[0], self.scale_ends[1])

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return True for every rating, shape (n,)."""
        return np.ones(len(history), np.bool_)

    def explain(self, history: History, movie_index: int) -> NDArray[np.float32]:
        """Return what each rating, shape (n,), adds to one film's score through the ridge solve."""
        rated = self.movie_vectors[history.movie_indices]
        pull = np.linalg.solve(self._normal_matrix(rated), self.movie_vectors[movie_index])
        return (rated @ pull) * self._surprise(history) * self.rating_unit

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the films' side and the scalars."""
        return {
            "global_mean": self.global_mean,
            "rating_unit": self.rating_unit,
            "scale_ends": self.scale_ends,
            "movie_offsets": self.movie_offsets,
            "movie_vectors": self.movie_vectors,
            "fold_in_regularization": self.fold_in_regularization,
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
        )

    def _person(self, history: History) -> NDArray[np.float32]:
        """Return the offset and vector, shape (1 + n_factors,), that fit a history best; zeros without one."""
        rated = self.movie_vectors[history.movie_indices]
        person: NDArray[np.float32] = np.linalg.solve(self._normal_matrix(rated), rated.T @ self._surprise(history))
        return person

    def _normal_matrix(self, rated: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the matrix of the ridge solve over rated films' vectors, shape (n, 1 + n_factors)."""
        normal: NDArray[np.float32] = rated.T @ rated
        normal[np.diag_indices_from(normal)] += self.fold_in_regularization
        return normal

    def _surprise(self, history: History) -> NDArray[np.float32]:
        """Return how far each rating of a history, shape (n,), is above the film's offset, in learned units."""
        return (history.ratings - self.global_mean) / self.rating_unit - self.movie_offsets[history.movie_indices]

    def _on_data_scale(self, learned: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return learned units, shape (m,), as ratings of the data."""
        return self.global_mean + self.rating_unit * learned


def _unit_of(scale: RatingScale) -> float:
    """Return how many rating units of a scale one unit of the reference scale is."""
    return (scale.highest - scale.lowest) / REFERENCE_SPAN

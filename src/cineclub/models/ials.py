"""iALS: factors of who watched and liked what, by alternating least squares on implicit feedback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.filtering import Extent
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recommender import History, Progress
from cineclub.models.hyperparameters import Hyperparameters, half_life, within
from cineclub.models.stored import one_value, stored

N_STEPS = 3
"""Steps of conjugate gradients for each person and film in a sweep; each sweep goes on where the last one ended."""


@dataclass(frozen=True, slots=True)
class IalsHyperparameters(Hyperparameters):
    """How the factors are learned; a person is folded in with the same weights and the same penalty."""

    n_factors: int = within(64, 1, 4096)
    n_epochs: int = within(15, 1, 1000)
    unobserved_weight: float = within(0.3, 0.0001, 100.0)
    regularization: float = within(0.01, 0.00001, 100_000.0)
    frequency_exponent: float = within(1.0, 0.0, 2.0)
    dislike_weight: float = within(0.0, 0.0, 1.0)
    history_half_life: float = half_life()


@dataclass(frozen=True, slots=True)
class Ials:
    """A film is a vector; a person's vector is solved from their history; their product is the score.

    Attributes:
        movie_vectors: (n_movies, n_factors) zeros for a film that nobody rated with a weight.
        gram: (n_factors, n_factors) the films' vectors with each other, times the weight of what is not rated.
        liked_from: (1,) the rating from which a film counts as liked.
        dislike_weight: (1,) how much a lower rating counts beside a like.
        unobserved_weight: (1,) how much a film that was not rated counts beside a like.
        regularization: (1,) of a person of whom nothing but one unit of weight is known.
        frequency_exponent: (1,) how fast the penalty grows with that weight.
        history_half_life: (1,) after how many newer ratings one counts half in the solve; 0: all count alike.
    """

    name: ClassVar[str] = "ials"
    is_personal: ClassVar[bool] = True

    movie_vectors: NDArray[np.float32]
    gram: NDArray[np.float32]
    liked_from: NDArray[np.float32]
    dislike_weight: NDArray[np.float32]
    unobserved_weight: NDArray[np.float32]
    regularization: NDArray[np.float32]
    frequency_exponent: NDArray[np.float32]
    history_half_life: NDArray[np.float32]

    @classmethod
    def fit(
        cls, ratings: RatingMatrix, hyperparameters: IalsHyperparameters, rng: np.random.Generator, progress: Progress
    ) -> Self:
        """Return the films' side of the factors."""
        from cineclub.models.kernels.ials import Penalty, alternate

        liked_from = np.float32(ratings.scale.relevance_threshold)
        weights = np.where(ratings.ratings >= liked_from, np.float32(1), np.float32(hyperparameters.dislike_weight))
        drawn = rng.standard_normal((ratings.n_movies, hyperparameters.n_factors), np.float32)
        movie_vectors = alternate(
            ratings,
            weights,
            drawn / np.float32(hyperparameters.n_factors**0.5),
            Penalty(
                hyperparameters.unobserved_weight, hyperparameters.regularization, hyperparameters.frequency_exponent
            ),
            hyperparameters.n_epochs,
            N_STEPS,
            progress,
        )
        return cls(
            movie_vectors=movie_vectors,
            gram=np.float32(hyperparameters.unobserved_weight) * (movie_vectors.T @ movie_vectors),
            liked_from=one_value(float(liked_from)),
            dislike_weight=one_value(hyperparameters.dislike_weight),
            unobserved_weight=one_value(hyperparameters.unobserved_weight),
            regularization=one_value(hyperparameters.regularization),
            frequency_exponent=one_value(hyperparameters.frequency_exponent),
            history_half_life=one_value(hyperparameters.history_half_life),
        )

    @classmethod
    def needed_bytes(cls, hyperparameters: IalsHyperparameters, extent: Extent) -> int:
        """Return about how much memory a fit takes: the ratings both ways, and all vectors twice."""
        n_vectors = extent.n_users + extent.n_movies
        return 48 * extent.n_ratings + 8 * (hyperparameters.n_factors + 4) * n_vectors

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the product of the person's vector and each film's, shape (n_movies,)."""
        scores: NDArray[np.float32] = self.movie_vectors @ self._person(history)
        return scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the scores of every film for each history, shape (n_histories, n_movies)."""
        people = np.array([self._person(history) for history in histories], np.float32)
        scores: NDArray[np.float32] = people.reshape(len(histories), len(self.gram)) @ self.movie_vectors.T
        return scores

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Say which ratings, shape (n,), count and are of films that have a vector."""
        return (self._rating_weights(history) > 0) & self.movie_vectors[history.movie_indices].any(axis=1)

    def explain(self, history: History, movie_index: int) -> NDArray[np.float32]:
        """Return what each rating, shape (n,), adds to one film's score through the solve."""
        used = self.uses(history)
        rated, weights = self._rated(history, used)
        pull = np.linalg.solve(self._normal_matrix(rated, weights), self.movie_vectors[movie_index])
        added = np.zeros(len(history), np.float32)
        added[used] = weights * (rated @ pull)
        return added

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the films' side and the scalars."""
        return {
            "movie_vectors": self.movie_vectors,
            "gram": self.gram,
            "liked_from": self.liked_from,
            "dislike_weight": self.dislike_weight,
            "unobserved_weight": self.unobserved_weight,
            "regularization": self.regularization,
            "frequency_exponent": self.frequency_exponent,
            "history_half_life": self.history_half_life,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        movie_vectors = stored(arrays, "movie_vectors", np.float32, (None, None))
        n_factors = movie_vectors.shape[1]
        return cls(
            movie_vectors=movie_vectors,
            gram=stored(arrays, "gram", np.float32, (n_factors, n_factors)),
            liked_from=stored(arrays, "liked_from", np.float32, (1,)),
            dislike_weight=stored(arrays, "dislike_weight", np.float32, (1,)),
            unobserved_weight=stored(arrays, "unobserved_weight", np.float32, (1,)),
            regularization=stored(arrays, "regularization", np.float32, (1,)),
            frequency_exponent=stored(arrays, "frequency_exponent", np.float32, (1,)),
            history_half_life=stored(arrays, "history_half_life", np.float32, (1,)),
        )

    def _rating_weights(self, history: History) -> NDArray[np.float32]:
        """Return how much each rating counts by its value, shape (n,)."""
        weights: NDArray[np.float32] = np.where(history.ratings >= self.liked_from, np.float32(1), self.dislike_weight)
        return weights

    def _person(self, history: History) -> NDArray[np.float32]:
        """Return the vector, shape (n_factors,), that fits a history best; zeros without one."""
        rated, weights = self._rated(history, self.uses(history))
        person: NDArray[np.float32] = np.linalg.solve(self._normal_matrix(rated, weights), weights @ rated)
        return person

    def _rated(self, history: History, used: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the vectors of the films that count, shape (m, n_factors), and how much each counts, shape (m,)."""
        counted = History(history.movie_indices[used], history.ratings[used], history.rated_at[used])
        weights = self._rating_weights(counted) * counted.recency_weights(float(self.history_half_life[0]))
        rated = self.movie_vectors[counted.movie_indices]
        return rated, weights

    def _normal_matrix(self, rated: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the matrix of the solve, shape (n_factors, n_factors)."""
        frequency = weights.sum() + self.unobserved_weight[0] * len(self.movie_vectors)
        normal = np.asarray(self.gram + (rated.T * weights) @ rated, np.float32)
        normal[np.diag_indices_from(normal)] += self.regularization * frequency**self.frequency_exponent
        return normal

"""EASE: film-to-film weights in closed form, learned from liked films (Steck 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.filtering import Extent
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recommender import History, Progress
from cineclub.models.hyperparameters import Hyperparameters, within
from cineclub.models.stored import one_value, stored


@dataclass(frozen=True, slots=True)
class EaseHyperparameters(Hyperparameters):
    """How strongly weights are held near zero, in likes; the default was chosen on MovieLens ml-latest-small."""

    regularization: float = within(300.0, 0.001, 10_000_000.0)


@dataclass(frozen=True, slots=True)
class Ease:
    """A film's score is the sum of the weights from the films that a person likes.

    Attributes:
        weights: (n_movies, n_movies) row: the liked film, column: the scored film; zero on the diagonal.
        has_weights: (n_movies,) whether a film's row holds any weight: not if nobody liked it along with another film.
        liked_from: (1,) the rating from which a film counts as liked.
    """

    name: ClassVar[str] = "ease"
    is_personal: ClassVar[bool] = True

    weights: NDArray[np.float32]
    has_weights: NDArray[np.bool_]
    liked_from: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        ratings: RatingMatrix,
        hyperparameters: EaseHyperparameters,
        _rng: np.random.Generator,
        progress: Progress,
    ) -> Self:
        """Return the weights that best restore each person's likes from their other likes."""
        from cineclub.models.kernels.ease import gram_of_likes, weights_of_gram

        liked_from = np.float32(ratings.scale.relevance_threshold)
        gram = gram_of_likes(ratings, liked_from)
        progress(0.2)
        weights = weights_of_gram(gram, hyperparameters.regularization, progress)
        return cls(weights, np.asarray(weights.any(axis=1)), one_value(float(liked_from)))

    @classmethod
    def needed_bytes(cls, _hyperparameters: EaseHyperparameters, extent: Extent) -> int:
        """Return about how much memory a fit takes: the matrix of film pairs in double and in single precision."""
        return 20 * extent.n_movies**2

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the sum of the weights from the liked films, shape (n_movies,)."""
        scores = np.zeros(len(self.has_weights), np.float32)
        for movie_index in history.movie_indices[self.uses(history)]:
            scores += self.weights[movie_index]
        return scores

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Say which ratings, shape (n,), are likes of films with weights."""
        return (history.ratings >= self.liked_from) & self.has_weights[history.movie_indices]

    def explain(self, history: History, movie_index: int) -> NDArray[np.float32]:
        """Return the weight of each rated film on one film, shape (n,); zero for films that are not liked."""
        return np.where(self.uses(history), self.weights[history.movie_indices, movie_index], np.float32(0))

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the weights and what counts as a like."""
        return {"weights": self.weights, "has_weights": self.has_weights, "liked_from": self.liked_from}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        has_weights = stored(arrays, "has_weights", np.bool_, (None,))
        return cls(
            weights=stored(arrays, "weights", np.float32, (len(has_weights), len(has_weights))),
            has_weights=has_weights,
            liked_from=stored(arrays, "liked_from", np.float32, (1,)),
        )

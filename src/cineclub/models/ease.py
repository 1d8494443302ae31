"""EASE: film-to-film weights in closed form, learned from liked films (Steck 2019)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.filtering import Extent
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recommender import History, Progress, Reading
from cineclub.models.film_weights import FilmWeights, Listened, needed_bytes_of_fit, reading_of, weights_of_arrays
from cineclub.models.hyperparameters import Hyperparameters, half_life, within
from cineclub.models.stored import one_value, stored


@dataclass(frozen=True, slots=True)
class EaseHyperparameters(Hyperparameters):
    """How strongly weights are held near zero, in likes; the default was chosen on MovieLens ml-latest-small."""

    regularization: float = within(300.0, 0.001, 10_000_000.0)
    history_half_life: float = half_life()


@dataclass(frozen=True, slots=True)
class Ease:
    """A film's score is the sum of the weights from the films that a person likes.

    Attributes:
        weights: from liked films to scored films.
        liked_from: (1,) the rating from which a film counts as liked.
        history_half_life: (1,) after how many newer likes one counts half; 0: all count alike.
    """

    name: ClassVar[str] = "ease"
    is_personal: ClassVar[bool] = True

    weights: FilmWeights
    liked_from: NDArray[np.float32]
    history_half_life: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        ratings: RatingMatrix,
        hyperparameters: EaseHyperparameters,
        _rng: np.random.Generator,
        progress: Progress,
    ) -> Self:
        """Return the weights that best restore each person's likes from their other likes."""
        from cineclub.models.kernels.film_pairs import Closeness, Sequences
        from cineclub.models.kernels.linear_films import Linear

        liked_from = np.float32(ratings.scale.relevance_threshold)
        likes = (ratings.ratings >= liked_from).astype(np.float32)
        linear = Linear(Sequences.of(ratings, likes), Closeness.of_all(), hyperparameters.regularization)
        return cls(
            weights=linear.weights(ratings.n_movies, progress),
            liked_from=one_value(float(liked_from)),
            history_half_life=one_value(hyperparameters.history_half_life),
        )

    @classmethod
    def needed_bytes(cls, _hyperparameters: EaseHyperparameters, extent: Extent) -> int:
        """Return about how much memory a fit takes."""
        return needed_bytes_of_fit(extent)

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the sum of the weights from the liked films, shape (n_movies,)."""
        return self.read(history).scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the scores for each history, shape (n_histories, n_movies)."""
        return self.weights.scores_of_many([self._listened(history, self.uses(history)) for history in histories])

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Say which ratings, shape (n,), are likes of films with weights."""
        return (history.ratings >= self.liked_from) & self.weights.has_weights[history.movie_indices]

    def read(self, history: History) -> Reading:
        """Return the scores and, for reasons, what each rating adds; zero for films that are not listened to."""
        used = self.uses(history)
        return reading_of(self.weights, history, used, self._listened(history, used))

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the weights and what counts as a like."""
        return {
            **self.weights.arrays(),
            "liked_from": self.liked_from,
            "history_half_life": self.history_half_life,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        return cls(
            weights=weights_of_arrays(arrays),
            liked_from=stored(arrays, "liked_from", np.float32, (1,)),
            history_half_life=stored(arrays, "history_half_life", np.float32, (1,)),
        )

    def _listened(self, history: History, used: NDArray[np.bool_]) -> Listened:
        """Return the used likes and how much each counts."""
        likes = np.ones(len(history), np.float32)
        return Listened.to(history, used, likes, float(self.history_half_life[0]))

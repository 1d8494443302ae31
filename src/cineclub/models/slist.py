"""SLIST: what tends to be watched after what, in closed form (Choi, Kim, Lee, Shim & Lee 2021)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.filtering import Extent
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recommender import History, Progress, Reading
from cineclub.models.film_weights import FilmWeights, Listened, needed_bytes_of_fit, reading_of, weights_of_arrays
from cineclub.models.hyperparameters import Hyperparameters, within
from cineclub.models.stored import one_value, stored


@dataclass(frozen=True, slots=True)
class SlistHyperparameters(Hyperparameters):
    """What counts as going together, and how firmly weights are held near zero.

    A film is foretold from the films before it, which count half as much every ``transition_half_life`` ratings back,
    and, for the share ``consistency``, from all films of the same person, before or after. Ratings below a like count
    ``dislike_weight`` of one, to learn from and to answer from. A ``degree_exponent`` above 0 holds well-known films
    more firmly. Chosen on inner splits of MovieLens ml-latest-small and of 100,000 ratings of MovieTweetings.
    """

    regularization: float = within(500.0, 0.001, 10_000_000.0)
    degree_exponent: float = within(0.2, 0.0, 1.0)
    consistency: float = within(0.2, 0.0, 1.0)
    transition_half_life: float = within(20.0, 0.1, 1_000.0)
    dislike_weight: float = within(0.5, 0.0, 1.0)
    history_half_life: float = within(8.0, 0.0, 1_000_000.0)


@dataclass(frozen=True, slots=True)
class Slist:
    """A film's score is the sum of the weights from the rated films, the recent and the liked ones counting most.

    Attributes:
        weights: from the films of a history to the films that come next.
        liked_from: (1,) the rating from which a film counts as liked.
        dislike_weight: (1,) how much a rating below that counts beside a like.
        history_half_life: (1,) after how many newer ratings one counts half; 0: all count alike.
    """

    name: ClassVar[str] = "slist"
    is_personal: ClassVar[bool] = True

    weights: FilmWeights
    liked_from: NDArray[np.float32]
    dislike_weight: NDArray[np.float32]
    history_half_life: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        ratings: RatingMatrix,
        hyperparameters: SlistHyperparameters,
        _rng: np.random.Generator,
        progress: Progress,
    ) -> Self:
        """Return the weights that best restore what each person rated, from what they rated before it and beside it."""
        from cineclub.models.kernels.film_pairs import Closeness, Sequences
        from cineclub.models.kernels.linear_films import Linear

        liked_from = np.float32(ratings.scale.relevance_threshold)
        dislike_weight = np.float32(hyperparameters.dislike_weight)
        linear = Linear(
            Sequences.of(ratings, np.where(ratings.ratings >= liked_from, np.float32(1), dislike_weight)),
            Closeness.mixed(hyperparameters.consistency, hyperparameters.transition_half_life),
            hyperparameters.regularization,
            hyperparameters.degree_exponent,
        )
        return cls(
            weights=linear.weights(ratings.n_movies, progress),
            liked_from=one_value(float(liked_from)),
            dislike_weight=one_value(float(dislike_weight)),
            history_half_life=one_value(hyperparameters.history_half_life),
        )

    @classmethod
    def needed_bytes(cls, _hyperparameters: SlistHyperparameters, extent: Extent) -> int:
        """Return about how much memory a fit takes: the histories both ways, and what the weights are solved from."""
        return needed_bytes_of_fit(extent)

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the sum of the weights from the rated films, shape (n_movies,)."""
        return self.read(history).scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the scores for each history, shape (n_histories, n_movies)."""
        return self.weights.scores_of_many([self._listened(history, self.uses(history)) for history in histories])

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Say which ratings, shape (n,), are of films with weights and count for something."""
        return (self._values(history) > 0) & self.weights.has_weights[history.movie_indices]

    def read(self, history: History) -> Reading:
        """Return the scores and, for reasons, what each rating adds; zero for films that are not listened to."""
        used = self.uses(history)
        return reading_of(self.weights, history, used, self._listened(history, used))

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the weights and how ratings count."""
        return {
            **self.weights.arrays(),
            "liked_from": self.liked_from,
            "dislike_weight": self.dislike_weight,
            "history_half_life": self.history_half_life,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        return cls(
            weights=weights_of_arrays(arrays),
            liked_from=stored(arrays, "liked_from", np.float32, (1,)),
            dislike_weight=stored(arrays, "dislike_weight", np.float32, (1,)),
            history_half_life=stored(arrays, "history_half_life", np.float32, (1,)),
        )

    def _values(self, history: History) -> NDArray[np.float32]:
        """Return how much each rating, shape (n,), counts whatever its age."""
        return np.where(history.ratings >= self.liked_from, np.float32(1), self.dislike_weight)

    def _listened(self, history: History, used: NDArray[np.bool_]) -> Listened:
        """Return the used ratings and how much each counts."""
        return Listened.to(history, used, self._values(history), float(self.history_half_life[0]))

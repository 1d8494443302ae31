"""SLIST: sequential movie-to-movie weights in closed form (Choi, Kim, Lee, Shim & Lee 2021)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History, Progress
from cineclub.models.hyperparameters import Hyperparameters, within
from cineclub.models.linear_model import LinearModel
from cineclub.models.movie_weights import weights_of_arrays
from cineclub.models.stored import one_value, stored


@dataclass(frozen=True, slots=True)
class SlistHyperparameters(Hyperparameters):
    """The weights of pairs of ratings, and the ridge penalty of the model's weights.

    A movie is predicted from the movies before it, which count half as much every ``transition_half_life`` ratings
    back, and, for the share ``consistency``, from all movies of the same user, before or after. Ratings below a like
    count ``dislike_weight`` of one, in the fit and in predictions. With a ``degree_exponent`` above 0 well-known movies
    have a larger penalty. Chosen on inner splits of MovieLens ml-latest-small and of 100,000 ratings of MovieTweetings.
    """

    regularization: float = within(500.0, 0.001, 10_000_000.0)
    degree_exponent: float = within(0.2, 0.0, 1.0)
    consistency: float = within(0.2, 0.0, 1.0)
    transition_half_life: float = within(20.0, 0.1, 1_000.0)
    dislike_weight: float = within(0.5, 0.0, 1.0)
    history_half_life: float = within(8.0, 0.0, 1_000_000.0)


@dataclass(frozen=True, slots=True)
class Slist(LinearModel):
    """A movie's score is the sum of the weights from the rated movies; recent and liked movies count most.

    Attributes:
        dislike_weight: (1,) the value of a rating below a like, which has 1.
    """

    name: ClassVar[str] = "slist"

    dislike_weight: NDArray[np.float32]

    @classmethod
    def fit(
        cls, ratings: RatingMatrix, hyperparameters: SlistHyperparameters, _rng: np.random.Generator, progress: Progress
    ) -> Self:
        """Return the weights that best restore each user's ratings from their earlier and their other ratings."""
        from cineclub.models.kernels.linear_movies import Linear
        from cineclub.models.kernels.movie_pairs import Closeness, Sequences

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

    def values(self, history: History) -> NDArray[np.float32]:
        """Return 1 for each like of a history and the weight of dislikes for every other rating, shape (n,)."""
        return np.where(history.ratings >= self.liked_from, np.float32(1), self.dislike_weight)

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the weights and the scalars."""
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

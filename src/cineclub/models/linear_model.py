"""Linear models: a movie's score is the sum of the weights from the used ratings of a history."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.recommend.recipe import Hyperparameter
from cineclub.domain.recommend.recommender import History, Prediction
from cineclub.models.hyperparameters import Hyperparameters
from cineclub.models.movie_weights import MovieWeights, needed_bytes_of_fit
from cineclub.models.stored import one_value
from cineclub.models.weighted_history import WeightedHistory


@dataclass(frozen=True, slots=True)
class LinearModel(ABC):
    """A model of weights between movies; a subclass adds the fit and the value of each rating.

    Attributes:
        weights: from the movies of a history to the scored movies.
        liked_from: (1,) the rating from which a movie counts as liked.
        history_half_life: (1,) the number of newer ratings after which a rating counts half; 0: all count alike.
    """

    is_personal: ClassVar[bool] = True
    PREDICTION_ONLY: ClassVar[frozenset[str]] = frozenset({"history_half_life"})

    weights: MovieWeights
    liked_from: NDArray[np.float32]
    history_half_life: NDArray[np.float32]

    @abstractmethod
    def values(self, history: History) -> NDArray[np.float32]:
        """Return the value of each rating, shape (n,), whatever its age: 1 for a like, 0 if it does not count."""

    @classmethod
    def needed_bytes(cls, _hyperparameters: Hyperparameters, extent: Extent) -> int:
        """Return the approximate memory of a fit in bytes: the histories both ways, and the tables of the solve."""
        return needed_bytes_of_fit(extent)

    def predicting_with(self, values: Mapping[str, Hyperparameter]) -> Self:
        """Return the model with another half-life of histories, if ``values`` has one."""
        half_life = values.get("history_half_life", float(self.history_half_life[0]))
        return replace(self, history_half_life=one_value(float(half_life)))

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the sum of the weights from the used movies, shape (n_movies,)."""
        return self.predict(history).scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the scores for each history, shape (n_histories, n_movies)."""
        return self.weights.scores_of_many([self._weighted(history, self.uses(history)) for history in histories])

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return the mask, shape (n,), of the ratings that count and are of movies with weights."""
        return (self.values(history) > 0) & self.weights.has_weights[history.movie_indices]

    def predict(self, history: History) -> Prediction:
        """Return the scores and, as reasons, the contribution of each rating; zero for those that are not used."""
        is_used = self.uses(history)
        weighted = self._weighted(history, is_used)

        def explain(movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
            reasons = np.zeros((len(movie_indices), len(history)), np.float32)
            reasons[:, is_used] = weighted.amounts * self.weights.weights_to_items(
                weighted.movie_indices, movie_indices
            )
            return reasons

        return Prediction(self.weights.scores(weighted), is_used, explain)

    def _weighted(self, history: History, is_used: NDArray[np.bool_]) -> WeightedHistory:
        """Return the used ratings with their values, weighted by recency."""
        return WeightedHistory.to(history, is_used, self.values(history), float(self.history_half_life[0]))

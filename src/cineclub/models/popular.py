"""Popular: the films that many people rate, and rate well, over all time or lately."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.filtering import Extent
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.popularity import popularity_of, recent_popularity_of
from cineclub.domain.recommender import History, Progress, Reading, nothing_moved
from cineclub.models.hyperparameters import Hyperparameters, within
from cineclub.models.stored import stored


@dataclass(frozen=True, slots=True)
class PopularHyperparameters(Hyperparameters):
    """From how many days before the newest rating the ratings count; 0: all of them."""

    window_days: float = within(0.0, 0.0, 36_525.0)


@dataclass(frozen=True, slots=True)
class Popular:
    """The same damped popularity for everybody.

    Attributes:
        popularity: (n_movies,) as ``domain.popularity`` defines it.
    """

    name: ClassVar[str] = "popular"
    is_personal: ClassVar[bool] = False

    popularity: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        ratings: RatingMatrix,
        hyperparameters: PopularHyperparameters,
        _rng: np.random.Generator,
        _progress: Progress,
    ) -> Self:
        """Return the popularity of every film of the matrix, over all time or in the recent window."""
        if not hyperparameters.window_days:
            return cls(popularity_of(ratings))
        return cls(recent_popularity_of(ratings, hyperparameters.window_days))

    @classmethod
    def needed_bytes(cls, _hyperparameters: PopularHyperparameters, extent: Extent) -> int:
        """Return about how much memory a fit takes: the ratings once in double precision."""
        return 8 * extent.n_ratings

    def scores(self, _history: History) -> NDArray[np.float32]:
        """Return the popularity, shape (n_movies,)."""
        return self.popularity

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return False for every rating, shape (n,)."""
        return np.zeros(len(history), np.bool_)

    def read(self, history: History) -> Reading:
        """Return the scores; no rating has a part in them."""
        return Reading(self.scores(history), self.uses(history), nothing_moved(history))

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the popularity."""
        return {"popularity": self.popularity}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        return cls(stored(arrays, "popularity", np.float32, (None,)))

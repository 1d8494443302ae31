"""Popular: movies by damped popularity over all time or in a recent window, or by the crowd's decayed likes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact, InvalidInput
from cineclub.domain.ratings.crowd import HALF_LIVES_DAYS
from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.ratings.popularity import popularity_of, recent_popularity_of
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recommender import History, Prediction, Progress, nothing_moved
from cineclub.domain.recommend.trends import trend_scores
from cineclub.models.frozen_context import context_of_arrays, frozen_arrays, frozen_context_of
from cineclub.models.hyperparameters import Hyperparameters, within
from cineclub.models.stored import stored


@dataclass(frozen=True, slots=True)
class PopularHyperparameters(Hyperparameters):
    """The days before the newest rating whose ratings count (0: all), or the half-life of likes (0: no decay).

    With a half-life, one of ``HALF_LIVES_DAYS``, scores follow the context: the crowd's decayed likes at the request.
    """

    window_days: float = within(0.0, 0.0, 36_525.0)
    half_life_days: float = within(0.0, 0.0, HALF_LIVES_DAYS[-1])

    def __post_init__(self) -> None:
        """Refuse a half-life that nobody counts, and one beside a window."""
        super(PopularHyperparameters, self).__post_init__()
        if self.half_life_days and self.half_life_days not in HALF_LIVES_DAYS:
            lives = ", ".join(f"{days:g}" for days in HALF_LIVES_DAYS)
            message = f"half_life_days must be 0 or one of {lives}, not {self.half_life_days:g}"
            raise InvalidInput(message)
        if self.half_life_days and self.window_days:
            message = "popular takes window_days or half_life_days, not both"
            raise InvalidInput(message)


@dataclass(frozen=True, slots=True)
class Popular:
    """The same scores for all users: the damped popularity, or the logarithm of the crowd's decayed likes.

    Attributes:
        popularity: (n_movies,) as ``domain.ratings.popularity`` defines it.
        half_life_days: the half-life of the likes; 0: the scores are the popularity.
        frozen_context: the crowd's counts at the end of the ratings; empty without a half-life.
    """

    name: ClassVar[str] = "popular"
    is_personal: ClassVar[bool] = False

    popularity: NDArray[np.float32]
    half_life_days: float
    frozen_context: Context

    @classmethod
    def fit(
        cls,
        ratings: RatingMatrix,
        hyperparameters: PopularHyperparameters,
        _rng: np.random.Generator,
        _progress: Progress,
    ) -> Self:
        """Return the popularity of every movie of the matrix, over all time or in the recent window."""
        if hyperparameters.window_days:
            popularity = recent_popularity_of(ratings, hyperparameters.window_days)
        else:
            popularity = popularity_of(ratings)
        half_life = hyperparameters.half_life_days
        context = frozen_context_of(ratings) if half_life else Context.empty(ratings.n_movies)
        return cls(popularity, half_life, context)

    @classmethod
    def of_all_time(cls, popularity: NDArray[np.float32]) -> Self:
        """Return the model with the scores ``popularity``, shape (n_movies,), in every context."""
        return cls(popularity, 0.0, Context.empty(len(popularity)))

    @classmethod
    def needed_bytes(cls, _hyperparameters: PopularHyperparameters, extent: Extent) -> int:
        """Return the approximate memory of a fit in bytes: the ratings in double precision with their order in time."""
        return 48 * extent.n_ratings

    @property
    def follows_context(self) -> bool:
        """Whether the scores are those of recent likes, and not the popularity."""
        return self.half_life_days > 0

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the scores in the frozen context, shape (n_movies,)."""
        return self.predict(history).scores

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return False for every rating, shape (n,)."""
        return np.zeros(len(history), np.bool_)

    def predict(self, history: History) -> Prediction:
        """Return the scores in the frozen context; no rating contributes to them."""
        return self.predict_in_context(history, self.frozen_context)

    def predict_in_context(self, history: History, context: Context) -> Prediction:
        """Return the scores in a context; no rating contributes to them."""
        scores = self.popularity
        if self.half_life_days:
            likes = context.counts[HALF_LIVES_DAYS.index(self.half_life_days)]
            scores = trend_scores(likes, self.popularity)
        return Prediction(scores, self.uses(history), nothing_moved(history))

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the popularity, and with a half-life that and the frozen context."""
        if not self.half_life_days:
            return {"popularity": self.popularity}
        half_life = np.array([self.half_life_days], np.float32)
        return {"popularity": self.popularity, "half_life_days": half_life, **frozen_arrays(self.frozen_context)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        popularity = stored(arrays, "popularity", np.float32, (None,))
        if "half_life_days" not in arrays:
            return cls.of_all_time(popularity)
        half_life = float(stored(arrays, "half_life_days", np.float32, (1,))[0])
        if half_life not in HALF_LIVES_DAYS:
            message = f"the model counts likes with a half-life of {half_life:g} days, which nobody counts"
            raise BrokenArtifact(message)
        return cls(popularity, half_life, context_of_arrays(arrays, len(popularity)))

"""Blend: the weighted sum of the scores of SLIST and iALS, which ranks better than either."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Hyperparameter
from cineclub.domain.recommend.recommender import History, Prediction, Progress
from cineclub.models.hyperparameters import Hyperparameters, within
from cineclub.models.ials import Ials, IalsHyperparameters
from cineclub.models.slist import Slist, SlistHyperparameters
from cineclub.models.stored import PartOfArrays, one_value, stored

SLIST_SHARE_OF_FIT = 0.8
LEAST_DEVIATION = np.float32(1e-12)


@dataclass(frozen=True, slots=True)
class BlendHyperparameters(Hyperparameters):
    """The weight of iALS beside SLIST, and the most important hyperparameters of both.

    ``regularization``, ``transition_half_life`` and ``history_half_life`` are SLIST's; ``unobserved_weight`` and
    ``dislike_weight`` are those of iALS. All others keep their defaults.
    """

    ials_vote: float = within(0.5, 0.0, 100.0)
    regularization: float = within(500.0, 0.001, 10_000_000.0)
    transition_half_life: float = within(20.0, 0.1, 1_000.0)
    history_half_life: float = within(8.0, 0.0, 1_000_000.0)
    unobserved_weight: float = within(1.0, 0.0001, 100.0)
    dislike_weight: float = within(0.0, 0.0, 1.0)

    @property
    def of_slist(self) -> SlistHyperparameters:
        """The hyperparameters of SLIST."""
        return SlistHyperparameters(
            regularization=self.regularization,
            transition_half_life=self.transition_half_life,
            history_half_life=self.history_half_life,
        )

    @property
    def of_ials(self) -> IalsHyperparameters:
        """The hyperparameters of iALS."""
        return IalsHyperparameters(unobserved_weight=self.unobserved_weight, dislike_weight=self.dislike_weight)


@dataclass(frozen=True, slots=True)
class Blend:
    """A movie's score is the weighted sum of two models' scores, each divided by its standard deviation over movies.

    Attributes:
        slist: the sequential model.
        ials: the factor model.
        ials_vote: (1,) the weight of iALS; that of SLIST is 1.
    """

    name: ClassVar[str] = "blend"
    is_personal: ClassVar[bool] = True
    PREDICTION_ONLY: ClassVar[frozenset[str]] = frozenset({"ials_vote", "history_half_life"})

    slist: Slist
    ials: Ials
    ials_vote: NDArray[np.float32]

    @classmethod
    def fit(
        cls, ratings: RatingMatrix, hyperparameters: BlendHyperparameters, rng: np.random.Generator, progress: Progress
    ) -> Self:
        """Return both models of the matrix."""
        slist = Slist.fit(
            ratings, hyperparameters.of_slist, rng, lambda fraction: progress(SLIST_SHARE_OF_FIT * fraction)
        )
        ials = Ials.fit(
            ratings,
            hyperparameters.of_ials,
            rng,
            lambda fraction: progress(SLIST_SHARE_OF_FIT + (1 - SLIST_SHARE_OF_FIT) * fraction),
        )
        return cls(slist, ials, one_value(hyperparameters.ials_vote))

    @classmethod
    def needed_bytes(cls, hyperparameters: BlendHyperparameters, extent: Extent) -> int:
        """Return the approximate memory of a fit in bytes: the sum of both models."""
        return Slist.needed_bytes(hyperparameters.of_slist, extent) + Ials.needed_bytes(hyperparameters.of_ials, extent)

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the weighted sum for every movie, shape (n_movies,)."""
        return self.predict(history).scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the weighted sum for every history and movie, shape (n_histories, n_movies)."""
        scores = _in_deviations(self.ials.scores_of_many(histories))
        scores *= self.ials_vote
        scores += _in_deviations(self.slist.scores_of_many(histories))
        return scores

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return the mask, shape (n,), of the ratings that either model uses."""
        return self.slist.uses(history) | self.ials.uses(history)

    def predict(self, history: History) -> Prediction:
        """Return the weighted sums and, as reasons, the contribution of each rating in the same units."""
        of_slist, of_ials = self.slist.predict(history), self.ials.predict(history)
        slist_unit, ials_unit = _deviation(of_slist.scores), _deviation(of_ials.scores)

        def voted(of_slist: NDArray[np.float32], of_ials: NDArray[np.float32]) -> NDArray[np.float32]:
            return of_slist / slist_unit + self.ials_vote * (of_ials / ials_unit)

        return Prediction(
            voted(of_slist.scores, of_ials.scores),
            of_slist.is_used | of_ials.is_used,
            lambda movie_indices: voted(of_slist.explain(movie_indices), of_ials.explain(movie_indices)),
        )

    def predicting_with(self, values: Mapping[str, Hyperparameter]) -> Self:
        """Return the model with another vote of iALS or half-life of SLIST's histories."""
        vote = values.get("ials_vote", float(self.ials_vote[0]))
        return replace(self, slist=self.slist.predicting_with(values), ials_vote=one_value(float(vote)))

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the arrays of both models, prefixed with their names, and the weight of iALS."""
        parts = {"slist": self.slist.arrays(), "ials": self.ials.arrays()}
        named = {f"{part}_{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
        return {**named, "ials_vote": self.ials_vote}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        slist, ials = Slist.from_arrays(PartOfArrays(arrays, "slist_")), Ials.from_arrays(PartOfArrays(arrays, "ials_"))
        n_slist, n_ials = len(slist.weights.has_weights), len(ials.movie_vectors)
        if n_slist != n_ials:
            message = (
                f"the arrays slist_* are of {n_slist} films and ials_movie_vectors of {n_ials}: train again or "
                "roll back to another version"
            )
            raise BrokenArtifact(message)
        return cls(slist, ials, stored(arrays, "ials_vote", np.float32, (1,)))


def _deviation(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the deviation of each row of scores, shape (..., n_movies), as shape (..., 1); 1 for equal scores."""
    deviations: NDArray[np.float32] = np.std(scores, axis=-1, keepdims=True)
    return np.where(deviations > LEAST_DEVIATION, deviations, np.float32(1))


def _in_deviations(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores, shape (..., n_movies), in units of their deviation; a row of equal scores is unchanged."""
    return np.asarray(scores / _deviation(scores), np.float32)

"""Blend: what comes next (SLIST) and whose tastes are alike (iALS) vote together, and rank better than either."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.filtering import Extent
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recommender import History, Progress, Reading
from cineclub.models.hyperparameters import Hyperparameters, within
from cineclub.models.ials import Ials, IalsHyperparameters
from cineclub.models.slist import Slist, SlistHyperparameters
from cineclub.models.stored import PartOfArrays, one_value, stored

SLIST_SHARE_OF_FIT = 0.8
LEAST_DEVIATION = np.float32(1e-12)


@dataclass(frozen=True, slots=True)
class BlendHyperparameters(Hyperparameters):
    """How much the vote of iALS counts beside that of SLIST, and what matters most to each of the two.

    ``regularization``, ``transition_half_life`` and ``history_half_life`` are SLIST's, ``unobserved_weight`` is that of
    iALS, ``dislike_weight`` how much a rating below a like counts for iALS; everything else is as in their defaults.
    """

    ials_vote: float = within(0.5, 0.0, 100.0)
    regularization: float = within(500.0, 0.001, 10_000_000.0)
    transition_half_life: float = within(20.0, 0.1, 1_000.0)
    history_half_life: float = within(8.0, 0.0, 1_000_000.0)
    unobserved_weight: float = within(1.0, 0.0001, 100.0)
    dislike_weight: float = within(0.0, 0.0, 1.0)

    @property
    def of_slist(self) -> SlistHyperparameters:
        """What SLIST is fitted with."""
        return SlistHyperparameters(
            regularization=self.regularization,
            transition_half_life=self.transition_half_life,
            history_half_life=self.history_half_life,
        )

    @property
    def of_ials(self) -> IalsHyperparameters:
        """What iALS is fitted with."""
        return IalsHyperparameters(unobserved_weight=self.unobserved_weight, dislike_weight=self.dislike_weight)


@dataclass(frozen=True, slots=True)
class Blend:
    """A film's score is the sum of what two models say of it, each in units of its own deviation over all films.

    Attributes:
        slist: what comes next.
        ials: whose tastes are alike.
        ials_vote: (1,) how much a deviation of iALS counts beside one of SLIST.
    """

    name: ClassVar[str] = "blend"
    is_personal: ClassVar[bool] = True

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
        """Return about how much memory a fit takes: what both models take one after the other, as if at once."""
        return Slist.needed_bytes(hyperparameters.of_slist, extent) + Ials.needed_bytes(hyperparameters.of_ials, extent)

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the summed votes for every film, shape (n_movies,)."""
        return self.read(history).scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the summed votes for every film and history, shape (n_histories, n_movies)."""
        scores = _in_deviations(self.ials.scores_of_many(histories))
        scores *= self.ials_vote
        scores += _in_deviations(self.slist.scores_of_many(histories))
        return scores

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Say which ratings, shape (n,), move the scores of either model."""
        return self.slist.uses(history) | self.ials.uses(history)

    def read(self, history: History) -> Reading:
        """Return the summed votes and, for reasons, what each rating adds to them in the same units."""
        of_slist, of_ials = self.slist.read(history), self.ials.read(history)
        slist_unit, ials_unit = _deviation(of_slist.scores), _deviation(of_ials.scores)

        def voted(of_slist: NDArray[np.float32], of_ials: NDArray[np.float32]) -> NDArray[np.float32]:
            return of_slist / slist_unit + self.ials_vote * (of_ials / ials_unit)

        return Reading(
            voted(of_slist.scores, of_ials.scores),
            of_slist.is_used | of_ials.is_used,
            lambda movie_indices: voted(of_slist.explain(movie_indices), of_ials.explain(movie_indices)),
        )

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the arrays of both models under their names, and the vote."""
        parts = {"slist": self.slist.arrays(), "ials": self.ials.arrays()}
        named = {f"{part}_{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
        return {**named, "ials_vote": self.ials_vote}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        slist, ials = Slist.from_arrays(PartOfArrays(arrays, "slist_")), Ials.from_arrays(PartOfArrays(arrays, "ials_"))
        n_listed, n_factored = len(slist.weights.has_weights), len(ials.movie_vectors)
        if n_listed != n_factored:
            message = (
                f"the arrays slist_* are of {n_listed} films and ials_movie_vectors of {n_factored}: train again or "
                "roll back to another version"
            )
            raise BrokenArtifact(message)
        return cls(slist, ials, stored(arrays, "ials_vote", np.float32, (1,)))


def _deviation(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the deviation of each row of scores, shape (..., n_movies), over all films, shape (..., 1)."""
    deviations: NDArray[np.float32] = np.std(scores, axis=-1, keepdims=True)
    return np.where(deviations > LEAST_DEVIATION, deviations, np.float32(1))


def _in_deviations(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores, shape (..., n_movies), in units of their deviation; a row of equal scores stays as it is."""
    return np.asarray(scores / _deviation(scores), np.float32)

"""The context of a request: what a model may follow beside the history."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.crowd import HALF_LIVES_DAYS, CrowdCounts, CrowdWindow


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The moment of a request and the crowd's counts as of then, in the order of a vocabulary.

    Attributes:
        moment: on the grid of ``domain.ratings.crowd``, microseconds since 1970-01-01 UTC.
        counts: (n_half_lives, n_movies) decayed likes of each movie, a row for each of ``HALF_LIVES_DAYS``.
    """

    moment: int
    counts: NDArray[np.float32]

    @classmethod
    def of(cls, crowd: CrowdCounts, movie_ids: NDArray[np.int64]) -> "Context":
        """Return the context of a vocabulary, (n_movies,) rising movie ids."""
        return cls(crowd.moment, crowd.aligned(movie_ids).astype(np.float32))

    @classmethod
    def empty(cls, n_movies: int, moment: int = 0) -> "Context":
        """Return the context of a crowd that nothing is known of."""
        return cls(moment, np.zeros((len(HALF_LIVES_DAYS), n_movies), np.float32))


def contexts_at(crowd: CrowdWindow, moments: NDArray[np.int64], movie_ids: NDArray[np.int64]) -> Iterator[Context]:
    """Yield the context of each moment, (n,) rising; the very same one while the counts are the same."""
    former: NDArray[np.float64] | None = None
    for granule, sums in crowd.sums_at(moments, movie_ids):
        if sums is not former:
            context = Context(granule, sums.astype(np.float32))
            former = sums
        yield context

"""How somebody rates, apart from what: how many films, and how steadily."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEADINESS_WEIGHT = 8.0
"""How many ratings it takes to believe half that somebody rates more or less steadily than others."""

LEAST_DEVIATION = 0.1
FARTHEST = 3.0
"""Counts farther from the usual than any that were learned from say no more than the farthest of those."""


@dataclass(frozen=True, slots=True)
class LogCounts:
    """The mean and the deviation of the logarithm of 1 + the number of ratings."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> "LogCounts":
        """Return the mean and deviation of the rows' numbers of ratings, shape (n_rows,)."""
        logarithms = np.log1p(counts)
        return cls(float(logarithms.mean()), max(float(logarithms.std()), LEAST_DEVIATION))

    def features(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return a one and the scaled logarithm of each count, shape (n_rows, 2)."""
        scaled = np.clip((np.log1p(counts) - self.mean) / self.deviation, -FARTHEST, FARTHEST)
        return np.stack((np.ones(len(counts)), scaled), axis=1)

"""Rating habits of users: the number of their ratings, and how consistently they rate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEADINESS_WEIGHT = 8.0
"""The number of ratings at which a user's own noise precision counts as much as the precision of all users."""

LEAST_DEVIATION = 0.1
FARTHEST = 3.0
"""Scaled counts are clipped to so many deviations, because the fit has seen hardly any beyond."""


@dataclass(frozen=True, slots=True)
class LogCounts:
    """The mean and the deviation of the logarithm of 1 + the number of ratings."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> "LogCounts":
        """Return the mean and deviation for counts of ratings, shape (n_rows,)."""
        logarithms = np.log1p(counts)
        return cls(float(logarithms.mean()), max(float(logarithms.std()), LEAST_DEVIATION))

    def features(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return a one and the scaled logarithm of each count, shape (n_rows, 2)."""
        scaled = np.clip((np.log1p(counts) - self.mean) / self.deviation, -FARTHEST, FARTHEST)
        return np.stack((np.ones(len(counts)), scaled), axis=1)

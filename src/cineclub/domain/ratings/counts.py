"""Counts of ratings by user or by movie, computed in pieces: memory grows with users and movies, not with ratings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RatingCounts:
    """Counts of ratings by the id of their user or movie; ids without ratings are absent.

    Attributes:
        ids: (n,) int64, rising.
        counts: (n, n_bins) int64, ratings in each equal part of the scale.
        sums: (n,) float64, sum of the ratings.
    """

    ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]

    @classmethod
    def none(cls, n_bins: int) -> "RatingCounts":
        """Return the counts of no ratings."""
        return cls(np.empty(0, np.int64), np.empty((0, n_bins), np.int64), np.empty(0))

    @classmethod
    def of(
        cls, ids: NDArray[np.int64], bins: NDArray[np.int8], ratings: NDArray[np.float32], n_bins: int
    ) -> "RatingCounts":
        """Return the counts of at least one rating, each (n,) with its id and its bin."""
        possible_ids, positions = numbered(ids)
        counts = np.bincount(positions * n_bins + bins, minlength=len(possible_ids) * n_bins).reshape(-1, n_bins)
        sums = np.bincount(positions, ratings, len(possible_ids)).astype(np.float64, copy=False)
        is_present = counts.any(axis=1)
        return cls(possible_ids[is_present], counts[is_present], sums[is_present])

    def __add__(self, other: "RatingCounts") -> "RatingCounts":
        """Return the counts of both together."""
        ids = np.union1d(self.ids, other.ids)
        counts, sums = np.zeros((len(ids), self.counts.shape[1]), np.int64), np.zeros(len(ids))
        for part in (self, other):
            positions = np.searchsorted(ids, part.ids)
            counts[positions] += part.counts
            sums[positions] += part.sums
        return RatingCounts(ids, counts, sums)

    @property
    def n_each(self) -> NDArray[np.int64]:
        """The number of ratings of each id, shape (n,)."""
        return np.asarray(self.counts.sum(axis=1), np.int64)

    @property
    def n_ratings(self) -> int:
        """The number of all ratings."""
        return int(self.counts.sum())


def numbered(ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rising ids and the position of each of ``ids``, (n,), among them; dense ids come with their gaps."""
    lowest, highest = int(ids.min()), int(ids.max())
    if highest - lowest >= len(ids):
        distinct, positions = np.unique(ids, return_inverse=True)
        return distinct, positions.astype(np.int64)
    return np.arange(lowest, highest + 1), ids - lowest

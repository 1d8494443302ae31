"""Records of snapshots and erasures."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """The record of a snapshot, with the times when it was stored, deleted and rewritten without an erased user."""

    content_sha256: str
    n_ratings: int
    newest_rated_at: datetime | None
    kept_at: datetime
    dropped_at: datetime | None = None
    erased_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """The erasure of one user, by the internal id, which is not used again, and the id of the erasure."""

    erasure_id: str
    user_id: int


@dataclass(frozen=True, slots=True)
class ErasedUser:
    """The deleted rows of an erased user, and what may still hold something of the user.

    Attributes:
        n_ratings: the number of deleted ratings.
        n_predictions: the number of deleted responses.
        erased_at: the time of the deletion: work that started later has not read the ratings; None for somebody who
            never was a user of the ratings, so that no training and no snapshot has read any.
        learned_version: the version in production, which may have learned from the user; None without one.
        n_owner_ratings: the number of ratings in the owner's views, which stay; None if they cannot be read.
    """

    n_ratings: int
    n_predictions: int
    erased_at: datetime | None
    learned_version: int | None = None
    n_owner_ratings: int | None = 0

"""Erasure of a user: from the database at once, and from the stored snapshots of ratings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cineclub.domain.errors import TrainingUnderWay
from cineclub.domain.ratings.snapshot_records import ErasedUser
from cineclub.domain.training.records import Training

WHY_TRAINED = "somebody was erased: the next version learns without them"

EraseInDatabase = Callable[[str], ErasedUser]
StartTraining = Callable[[Mapping[str, Any], str | None], Training]
GetTraining = Callable[[str], Training]


@dataclass(frozen=True, slots=True)
class ErasingReport:
    """The deleted rows of a user, the training that follows, and the snapshots that were rewritten on this machine.

    ``training_id`` is None while a training runs that may have read the ratings: a worker queues another after it. It
    is None too for somebody who only asked for recommendations.
    """

    erased: ErasedUser
    training_id: str | None
    rewritten_snapshots: tuple[str, ...] = ()

    @property
    def is_training_owed(self) -> bool:
        """Whether a training without the user is queued, or will be."""
        return self.erased.erased_at is not None

    def remains(self) -> tuple[str, ...]:
        """Return what may still hold something of the user, and until when, in clauses."""
        return tuple(self._remains())

    def _remains(self) -> Iterator[str]:
        """Yield a clause for each place."""
        n_owner_ratings = self.erased.n_owner_ratings
        if n_owner_ratings is None:
            yield "ratings in your own views, which could not be read: delete them in your own system"
        elif n_owner_ratings:
            yield f"{n_owner_ratings:,} ratings in your own views: delete them, then erase the user again"
        if self.erased.learned_version is not None:
            version = self.erased.learned_version
            yield f"film weights of version {version}, until the queued training's version serves"
        if self.is_training_owed:
            yield "snapshots of machines without a worker, until it runs"
        yield "backups that were made before"


def erase_user(
    user_id: str,
    erase: EraseInDatabase,
    start_training: StartTraining,
    get_training: GetTraining,
    apply_erasures: Callable[[], Sequence[str]] | None = None,
) -> ErasingReport:
    """Erase a user by external id from the database, then from the snapshots of every host.

    Somebody without ratings is erased from the logs of responses, and no training follows. Otherwise a training without
    the user's ratings is queued. A training under way takes its place if it reads the ratings after
    the erasure; otherwise a worker queues another when it ends. Without ``apply_erasures`` the worker rewrites the
    snapshots within seconds. An interrupted erasure is completed by the next call, or by the worker of each host.

    Args:
        user_id: the external id.
        erase: deletes the user in the database.
        start_training: queues a training; raises TrainingUnderWay while one is queued or running.
        get_training: returns a training by its id.
        apply_erasures: rewrites the snapshots of this machine, and returns their hashes.

    Raises:
        NotFound: there is no such user.
        Conflict: an import holds the ratings.
        StorageUnavailable: PostgreSQL does not answer.
    """
    erased = erase(user_id)
    if erased.erased_at is None:
        return ErasingReport(erased, None)
    training_id = _train_again(start_training, get_training, erased.erased_at)
    rewritten = tuple(apply_erasures()) if apply_erasures else ()
    return ErasingReport(erased, training_id, rewritten)


def _train_again(start_training: StartTraining, get_training: GetTraining, erased_at: datetime) -> str | None:
    """Queue a training, and return its id or that of a later one under way; None if that one began before."""
    try:
        return start_training({}, WHY_TRAINED).training_id
    except TrainingUnderWay as error:
        under_way = get_training(error.training_id)
        return under_way.training_id if under_way.reads_after(erased_at) else None

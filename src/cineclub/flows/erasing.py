"""Erasing a person: out of the database at once, and out of the ratings that trainings kept."""

from dataclasses import dataclass

from cineclub.ports import People, SnapshotStore


@dataclass(frozen=True, slots=True)
class ErasingReport:
    """What was taken out, and the snapshots that were rewritten on this machine."""

    n_ratings: int
    n_predictions: int
    rewritten_snapshots: tuple[str, ...]


def erase_user(user_id: str, people: People, snapshots: SnapshotStore) -> ErasingReport:
    """Erase a user by external id; once the database has forgotten them, every host's snapshots follow.

    What is interrupted between the two is finished by the next call, by any worker, or on another host by its own.

    Raises:
        NotFound: there is no such user.
        ReadOnlySource: ratings come from the owner's views.
        StorageUnavailable: PostgreSQL does not answer.
    """
    erased = people.erase(user_id)
    return ErasingReport(erased.n_ratings, erased.n_predictions, tuple(snapshots.apply_erasures()))

"""Erasing a person: out of the database at once, and out of the ratings that trainings kept."""

from dataclasses import dataclass

from cineclub.domain.errors import TrainingUnderWay
from cineclub.ports import People, SnapshotStore, TrainingJobs

WHY_TRAINED = "somebody was erased: the next version learns without them"


@dataclass(frozen=True, slots=True)
class ErasingReport:
    """What was taken out, the training that follows, and the snapshots that were rewritten on this machine."""

    n_ratings: int
    n_predictions: int
    training_id: str
    rewritten_snapshots: tuple[str, ...] = ()


def erase_user(
    user_id: str, people: People, jobs: TrainingJobs, snapshots: SnapshotStore | None = None
) -> ErasingReport:
    """Erase a user by external id; once the database has forgotten them, every host's snapshots follow.

    A training is queued, so that what serves soon has learned nothing from them; one that is under way has to do, if it
    has not read the ratings yet. Without ``snapshots`` the worker rewrites them within seconds.

    What is interrupted between the two is finished by the next call, by any worker, or on another host by its own.

    Raises:
        NotFound: there is no such user.
        ReadOnlySource: ratings come from the owner's views.
        StorageUnavailable: PostgreSQL does not answer.
    """
    erased = people.erase(user_id)
    training_id = _train_again(jobs)
    rewritten = tuple(snapshots.apply_erasures()) if snapshots else ()
    return ErasingReport(erased.n_ratings, erased.n_predictions, training_id, rewritten)


def _train_again(jobs: TrainingJobs) -> str:
    """Queue a training, and return its id or that of the one under way."""
    try:
        return jobs.start({}, WHY_TRAINED).training_id
    except TrainingUnderWay as error:
        return error.training_id

"""Every error that cineclub raises on purpose.

One root; the message always says what to do next. The API maps each class to a status in one table
(``cineclub.api.errors``); the CLI prints the message and exits with 1.
"""


class CineclubError(Exception):
    """Something went wrong that a person can mend; the message says how."""


class InvalidInput(CineclubError):
    """A value from outside is not usable: correct it as the message says and send it again."""


class NotFound(CineclubError):
    """The thing asked for does not exist: check the id in the message."""


class Conflict(CineclubError):
    """The request contradicts the present state: wait, or change the state the message names."""


class KeyNeeded(CineclubError):
    """There is no key with the request, or one that opens nothing: send a valid one."""


class AccessDenied(CineclubError):
    """The key does not open this: use one with the scope that the message names."""


class TooManyRequests(CineclubError):
    """The key has made too many requests: wait for ``wait_seconds``."""

    def __init__(self, message: str, wait_seconds: float) -> None:
        """Say how long to wait."""
        super().__init__(message)
        self.wait_seconds = wait_seconds


class TrainingUnderWay(Conflict):
    """A training is queued or running already: follow or cancel that one (its id is in ``training_id``)."""

    def __init__(self, training_id: str) -> None:
        """Name the training that is under way."""
        super().__init__(f"training {training_id} is already under way: follow it or cancel it first")
        self.training_id = training_id


class ReadOnlySource(Conflict):
    """Ratings come from views of the owner (CINECLUB_SOURCE=external): write them in the owner's own system."""


class NotEnoughData(CineclubError):
    """There are too few ratings for what was asked: import more, or lower the limits that the message names."""


class StorageUnavailable(CineclubError):
    """PostgreSQL does not answer: run `cineclub doctor`, then try again."""


class RegistryUnavailable(CineclubError):
    """The MLflow store does not answer: run `cineclub doctor`, then try again."""


class BrokenArtifact(CineclubError):
    """A model's files are damaged or not ours: it is not served; train again or roll back to another version."""


class SnapshotGone(NotFound):
    """The ratings that a version learned from are not there as they were: the message says since when and why."""


class TrainingCancelled(CineclubError):
    """The training was cancelled by a person: nothing was promoted; start another when ready."""


class LeaseLost(CineclubError):
    """Another worker has taken this training over: this one stops without touching the registry."""

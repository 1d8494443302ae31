"""Every error that cineclub raises on purpose.

One root; the message always says what to do next. The API maps each class to a status in one table
(``cineclub.api.errors``); the CLI prints the message and exits with 1.
"""


class CineclubError(Exception):
    """An error that a person can fix; the message says how.

    ``str`` is for everyone who may send requests. The detail is for the owner: the log and the command line show it.
    """

    def __init__(self, message: str = "", detail: str = "") -> None:
        """Take the message, and what the owner alone may read: hosts, ports, texts of other programs."""
        super().__init__(message)
        self.detail = detail

    def in_full(self) -> str:
        """Return the message with the detail."""
        return f"{self} ({self.detail})" if self.detail else str(self)


class InvalidInput(CineclubError):
    """An input is not valid: correct it as the message says and send it again."""


class NotFound(CineclubError):
    """The requested thing does not exist: check the id in the message."""


class Conflict(CineclubError):
    """The request conflicts with the present state: wait, or change the state that the message names."""


class KeyNeeded(CineclubError):
    """The request has no key, or an invalid one: send a valid key."""


class AccessDenied(CineclubError):
    """The key lacks the needed scope: use one with the scope that the message names."""


class TooManyRequests(CineclubError):
    """The key has made too many requests: wait for ``wait_seconds``."""

    def __init__(self, message: str, wait_seconds: float) -> None:
        """Take the message and the seconds to wait."""
        super().__init__(message)
        self.wait_seconds = wait_seconds


class TrainingUnderWay(Conflict):
    """A training is already queued or running: follow or cancel it (its id is in ``training_id``)."""

    def __init__(self, training_id: str) -> None:
        """Take the id of the training under way."""
        super().__init__(f"training {training_id} is already under way: follow it or cancel it first")
        self.training_id = training_id


class ReadOnlySource(Conflict):
    """The ratings come from the owner's views (CINECLUB_SOURCE=external): write them in the owner's system."""


class ForeignRegistry(Conflict):
    """The registered model in MLflow is not this installation's: name another, or move the versions there."""


class NotEnoughData(CineclubError):
    """There are too few ratings: import more, or lower the limits that the message names."""


class StorageUnavailable(CineclubError):
    """PostgreSQL does not answer: run `cineclub doctor`, then try again."""


class StatementFailed(StorageUnavailable):
    """PostgreSQL answers but could not run one statement, so it counts as reachable: try again, as the message says."""


class StorageTooSlow(StatementFailed):
    """A statement or a wait for a lock took longer than its limit: try again, or raise the limit."""


class StorageContended(StatementFailed):
    """A statement gave way to another one, as in a deadlock: try again."""


class StorageFull(StatementFailed):
    """The disk of PostgreSQL is full: make room there, then try again."""


class StorageReadOnly(StatementFailed):
    """PostgreSQL takes no writes, for instance a standby after a failover: connect to the primary server."""


class StorageOverloaded(StatementFailed):
    """PostgreSQL has no connection or memory left, or all connections of this process are in use: try again."""


class StorageMismatch(StatementFailed):
    """A table, view, column, type or privilege is not as cineclub needs it: run `cineclub doctor`."""


class RegistryUnavailable(CineclubError):
    """The MLflow store does not answer: run `cineclub doctor`, then try again."""


class RegistryRefused(RegistryUnavailable):
    """The MLflow store answers and refuses, so that waiting does not help: the message has its reason."""


class BrokenArtifact(CineclubError):
    """The files of a model are damaged or foreign, so it is not served: train again or roll back."""


class SnapshotGone(NotFound):
    """The ratings that a version learned from were deleted or changed: the message says when and why."""


class TrainingCancelled(CineclubError):
    """A person cancelled the training, and it promoted nothing: start another."""


class LeaseLost(CineclubError):
    """Another worker has taken the training over: this one stops without a change to the registry."""


def no_such_movie(movie_id: str) -> NotFound:
    """Return the error about a movie that the catalogue lacks, by the caller's id."""
    return NotFound(f"there is no film {movie_id[:100]} in the catalogue: GET /movies/?search= finds films by title")

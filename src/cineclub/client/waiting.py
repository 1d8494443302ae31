"""Following a training until it has ended."""

from collections.abc import Callable
from time import monotonic

from cineclub.api.schemas import TrainingOut
from cineclub.client.errors import ServiceError

POLL_SECONDS = 1.0
ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Watch:
    """Says when a training is over, and tells of every change until then."""

    def __init__(self, on_progress: Callable[[TrainingOut], None] | None, give_up_after: float | None) -> None:
        """Begin to wait, for so many seconds at most; for ever with None."""
        self._on_progress = on_progress
        self._deadline = None if give_up_after is None else monotonic() + give_up_after
        self._seen: TrainingOut | None = None

    def is_over(self, training: TrainingOut) -> bool:
        """Take in how a training stands, and say whether it has ended.

        Raises:
            ServiceError: it has not, and the time is up; the training itself goes on.
        """
        if self._on_progress is not None and training != self._seen:
            self._on_progress(training)
        self._seen = training
        if training.status in ENDED:
            return True
        if self._deadline is not None and monotonic() >= self._deadline:
            message = f"training {training.training_id} is still {training.status}: wait longer or cancel it"
            raise ServiceError(None, "timed_out", message)
        return False

"""The one error of the client."""

from collections.abc import Mapping
from typing import Any

from cineclub.domain.errors import CineclubError


class ServiceError(CineclubError):
    """The service refused a request or gave no valid response: ``message`` says what to do.

    Attributes:
        status: the HTTP status; None if the request was not sent or no response came.
        code: the code of the API's error, else invalid_request (not sent), unreachable, timed_out or unexpected_answer.
        message: what to do next.
        details: further fields of the API's error, for example the ``training_id`` that is under way.
    """

    def __init__(self, status: int | None, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Store the fields of the API's error."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})

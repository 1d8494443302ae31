"""What an answer means: a value, an error, or a wait before the request is sent again."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from cineclub.api.schemas import ErrorOut
from cineclub.client.calls import Call
from cineclub.client.errors import ServiceError

TIMEOUT, RETRIES, LONGEST_WAIT = 10.0, 2, 10.0
NO_ANSWER = (httpx.RequestError, httpx.InvalidURL, UnicodeError)
UNAVAILABLE = 503
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the service is and how patient to be with it; times are seconds."""

    address: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT
    retries: int = RETRIES
    longest_wait: float = LONGEST_WAIT

    def headers(self) -> dict[str, str]:
        """Return what every request says of its sender."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """Return the arguments of httpx for a request."""
        document = {} if call.body is None else {"json": call.body}
        timeout = max(self.timeout, call.least_timeout)
        return {"method": call.method, "url": call.path, "params": dict(call.query), "timeout": timeout, **document}

    def wait_before_retry(self, call: Call[Any], response: httpx.Response, n_sent: int) -> float | None:
        """Return the seconds to wait before sending a request again; None to leave it at this answer."""
        asked = response.headers.get("Retry-After", "")
        if not call.repeatable or response.status_code != UNAVAILABLE or not asked.isdecimal():
            return None
        return float(asked) if n_sent <= self.retries and float(asked) <= self.longest_wait else None

    def failure(self, error: Exception) -> ServiceError:
        """Return the error for a request that no answer came to."""
        if isinstance(error, httpx.TimeoutException):
            message = f"{self.address} did not answer in time: try again, or give the client a longer timeout"
            return ServiceError(None, "timed_out", message)
        if isinstance(error, UnicodeError):
            return ServiceError(None, "invalid_request", "the request holds text that UTF-8 cannot write: mend it")
        message = f"{self.address} cannot be reached ({error}): check the address and that `cineclub serve` runs there"
        return ServiceError(None, "unreachable", message)


def value_of(call: Call[T], response: httpx.Response) -> T:
    """Return what an answer holds.

    Raises:
        ServiceError: the answer is an error, or is not what this route answers.
    """
    if response.status_code not in call.good:
        raise _error_in(response)
    adapter: TypeAdapter[T] = TypeAdapter(call.answer)
    if call.answer is str:
        return adapter.validate_python(response.text)
    try:
        return adapter.validate_json(response.content or b"null")
    except ValidationError:
        raise _unexpected(response) from None


def _error_in(response: httpx.Response) -> ServiceError:
    """Return the API's error of an answer."""
    try:
        error = ErrorOut.model_validate_json(response.content).error
    except ValidationError:
        return _unexpected(response)
    return ServiceError(response.status_code, error.code, error.message, error.model_extra)


def _unexpected(response: httpx.Response) -> ServiceError:
    """Return the error for an answer that is none of cineclub's."""
    where, status = response.request.url, response.status_code
    message = f"{where} answered {status} with something else than cineclub does: check the address and the versions"
    return ServiceError(status, "unexpected_answer", message)

"""Responses of the API as values, errors, or waiting times before a request is repeated."""

import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from cineclub.api.schemas import ErrorOut
from cineclub.client.calls import UNAVAILABLE, Call, without_none
from cineclub.client.errors import ServiceError

TIMEOUT, RETRIES, LONGEST_WAIT = 10.0, 2, 10.0
TRANSPORT_ERRORS = (httpx.RequestError, httpx.InvalidURL, UnicodeError)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Connection:
    """The address of the service, the key, and how long to wait; times are seconds."""

    address: str = field(repr=False)
    api_key: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT
    retries: int = RETRIES
    longest_wait: float = LONGEST_WAIT

    def options(self) -> dict[str, Any]:
        """Return the arguments of httpx for a client."""
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return {"base_url": self.address, "headers": headers}

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """Return the arguments of httpx for a request."""
        document = {} if call.body is None else {"json": call.body}
        params, timeout = without_none(**call.query), max(self.timeout, call.least_timeout)
        return {"method": call.method, "url": call.path, "params": params, "timeout": timeout, **document}

    def wait_before_retry(self, call: Call[Any], response: httpx.Response, n_sent: int) -> float | None:
        """Return the seconds to wait before the request is repeated; None if this response is final."""
        retry_after = response.headers.get("Retry-After", "")
        if not call.repeatable or response.status_code != UNAVAILABLE or not retry_after.isdecimal():
            return None
        return float(retry_after) if n_sent <= self.retries and float(retry_after) <= self.longest_wait else None

    def failure(self, error: Exception) -> ServiceError:
        """Return the error for a request without a response."""
        if isinstance(error, httpx.TimeoutException):
            message = (
                f"{without_login(self.address)} did not answer in time: try again, or give the client a longer timeout"
            )
            return ServiceError(None, "timed_out", message)
        if isinstance(error, UnicodeError):
            return ServiceError(None, "invalid_request", "the request holds text that UTF-8 cannot encode: fix it")
        cause = "it is not valid" if isinstance(error, httpx.InvalidURL) else without_login(str(error))
        where = without_login(self.address)
        message = f"{where} cannot be reached ({cause}): check the address and that `cineclub serve` runs there"
        return ServiceError(None, "unreachable", message)


def without_login(text: str) -> str:
    """Return a text whose addresses have no user and no password: those of a proxy stand before the host."""
    return re.sub(r"(?<=://)[^/?#\s]*@", "", text)


def value_of(call: Call[T], response: httpx.Response) -> T:
    """Return the value of a response.

    Raises:
        ServiceError: the response is an error, or does not match the schema of the route.
    """
    if response.status_code not in call.good:
        raise _error_in(response)
    adapter: TypeAdapter[T] = TypeAdapter(call.response_type)
    if call.response_type is str:
        return adapter.validate_python(response.text)
    try:
        return adapter.validate_json(response.content or b"null")
    except ValidationError:
        raise _unexpected(response) from None


def _error_in(response: httpx.Response) -> ServiceError:
    """Return the API's error in a response."""
    try:
        error = ErrorOut.model_validate_json(response.content).error
    except ValidationError:
        return _unexpected(response)
    return ServiceError(response.status_code, error.code, error.message, error.model_extra)


def _unexpected(response: httpx.Response) -> ServiceError:
    """Return the error for a response that does not match the API."""
    url, status = without_login(str(response.request.url)), response.status_code
    message = f"{url} sent a response ({status}) that is not cineclub's: check the address and the versions"
    return ServiceError(status, "unexpected_answer", message)

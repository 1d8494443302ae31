"""The table of errors and their HTTP statuses, and the JSON of error responses."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from cineclub.api.fields import REFUSED
from cineclub.domain import errors as domain
from cineclub.runtime.redaction import redacted

log = logging.getLogger(__name__)

JSON_MEDIA_TYPE = "application/json"
SECONDS_BETWEEN_CAUSES = 10.0
UNPROCESSABLE, WRONG_METHOD = 422, 405
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
WHOLE = "body"
MAX_FIELDS_NAMED, MAX_NAME_LENGTH = 100, 200
TAGS_OF_UNIONS = {"one", "many"}
"""Tags of ``RatingsRequest``, which pydantic puts into the locations of problems."""


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """Status and code of a class of errors; ``retry_after_seconds`` if waiting may help."""

    status: int
    code: str
    retry_after_seconds: int | None = None


TABLE: Mapping[type[domain.CineclubError], ErrorResponse] = {
    domain.InvalidInput: ErrorResponse(422, "invalid_input"),
    domain.KeyNeeded: ErrorResponse(401, "key_needed"),
    domain.AccessDenied: ErrorResponse(403, "access_denied"),
    domain.TooManyRequests: ErrorResponse(429, "too_many_requests", 1),
    domain.NotFound: ErrorResponse(404, "not_found"),
    domain.TrainingUnderWay: ErrorResponse(409, "training_under_way"),
    domain.ReadOnlySource: ErrorResponse(409, "read_only_source"),
    domain.Conflict: ErrorResponse(409, "conflict"),
    domain.TrainingCancelled: ErrorResponse(409, "training_cancelled"),
    domain.LeaseLost: ErrorResponse(409, "lease_lost"),
    domain.NotEnoughData: ErrorResponse(503, "not_enough_data", 30),
    domain.StorageUnavailable: ErrorResponse(503, "storage_unavailable", 5),
    domain.StatementFailed: ErrorResponse(503, "storage_failed", 5),
    domain.StorageTooSlow: ErrorResponse(503, "storage_too_slow", 2),
    domain.StorageContended: ErrorResponse(503, "storage_contended", 1),
    domain.StorageFull: ErrorResponse(503, "storage_full", 30),
    domain.StorageReadOnly: ErrorResponse(503, "storage_read_only", 30),
    domain.StorageOverloaded: ErrorResponse(503, "storage_overloaded", 2),
    domain.StorageMismatch: ErrorResponse(503, "storage_mismatch", 30),
    domain.RegistryUnavailable: ErrorResponse(503, "registry_unavailable", 5),
    domain.BrokenArtifact: ErrorResponse(503, "broken_artifact", 30),
    domain.CineclubError: ErrorResponse(500, "error"),
}
CODES_OF_HTTP = {404: "no_such_page", 405: "method_not_allowed", 413: "too_large"}
MESSAGES_OF_HTTP = {
    404: "there is nothing at this address: /docs lists all routes",
    405: "this address does not take that method: /docs lists the methods that it takes",
}
NOT_JSON = f"send a JSON body with the header Content-Type: {JSON_MEDIA_TYPE}"
NOT_AN_OBJECT = "the body must be a JSON object with the fields of this request"
MESSAGES_OF_TYPES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "too_long": "has too many entries: {max_length} at most",
    "too_short": "must have at least one entry",
}


class CauseLog:
    """The last cause in the log: requests may repeat it by the hundred in a second."""

    def __init__(self) -> None:
        """Have logged nothing."""
        self._cause, self._logged_at = "", float("-inf")

    def is_new(self, cause: str) -> bool:
        """Return whether a cause is to be logged: it is another one, or the last line is seconds old."""
        is_new = cause != self._cause or monotonic() - self._logged_at >= SECONDS_BETWEEN_CAUSES
        if is_new:
            self._cause, self._logged_at = cause, monotonic()
        return is_new


_CAUSES = CauseLog()


def install(app: FastAPI) -> None:
    """Add handlers that respond to every expected error with JSON."""
    app.add_exception_handler(domain.CineclubError, _respond_to_domain_error)
    app.add_exception_handler(RequestValidationError, _respond_to_invalid_request)
    app.add_exception_handler(HTTPException, _respond_to_http_error)


def error_bytes(code: str, message: str, more: Mapping[str, Any] | None = None) -> bytes:
    """Return the body of an error."""
    return orjson.dumps({"error": {"code": code, "message": message, **(more or {})}})


def response_to(error: domain.CineclubError) -> ErrorResponse:
    """Return the entry of the table for an error: the entry of its class, else of the nearest base class."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


async def _respond_to_domain_error(_: Request, error: Exception) -> Response:
    """Respond to an error of the domain."""
    if not isinstance(error, domain.CineclubError):
        raise error
    entry = response_to(error)
    if error.detail and _CAUSES.is_new(error.in_full()):
        log.warning("%s cause=%s", entry.code, error)  # with the detail, which the response does not have
    more = {"training_id": error.training_id} if isinstance(error, domain.TrainingUnderWay) else None
    headers = {"Retry-After": str(entry.retry_after_seconds)} if entry.retry_after_seconds else {}
    if isinstance(error, domain.TooManyRequests):
        headers["Retry-After"] = str(math.ceil(error.wait_seconds))
    if isinstance(error, domain.KeyNeeded):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(error_bytes(entry.code, redacted(str(error)), more), entry.status, headers, JSON_MEDIA_TYPE)


async def _respond_to_http_error(request: Request, error: Exception) -> Response:
    """Respond to an error of the framework: an unknown address, a wrong method, a body that cannot be read."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 400:  # noqa: PLR2004 - FastAPI could not decode the body
        return _unprocessable("not_json", "the body is not JSON in UTF-8")
    headers = {"Allow": _allowed(request)} if error.status_code == WRONG_METHOD else error.headers
    message = MESSAGES_OF_HTTP.get(error.status_code, str(error.detail))
    body = error_bytes(CODES_OF_HTTP.get(error.status_code, "http_error"), message)
    return Response(body, error.status_code, headers, JSON_MEDIA_TYPE)


def _allowed(request: Request) -> str:
    """Return the methods of all routes at this address; a single route has only its own."""
    scopes = [{**request.scope, "method": method} for method in METHODS]
    routes = request.app.router.routes
    return ", ".join(
        scope["method"] for scope in scopes if any(route.matches(scope)[0] is Match.FULL for route in routes)
    )


async def _respond_to_invalid_request(request: Request, error: Exception) -> Response:
    """Respond to an invalid request with its invalid fields and their valid values."""
    if not isinstance(error, RequestValidationError):
        raise error
    problems: Sequence[Mapping[str, Any]] = error.errors()
    first = problems[0]
    if first["type"] == "json_invalid":
        return _unprocessable("not_json", f"the body is not JSON: {first['ctx']['error']}, character {first['loc'][1]}")
    if first["loc"] == ("body",) and first["type"] != REFUSED:
        is_json = "json" in request.headers.get("content-type", "")
        return _unprocessable("not_json", NOT_AN_OBJECT if is_json else NOT_JSON)
    named = problems[:MAX_FIELDS_NAMED]
    fields = [{"field": _name_of(problem["loc"]), "message": _about(problem)} for problem in named]
    message = "; ".join(f"{field['field']} {field['message']}".removeprefix(f"{WHOLE} ") for field in fields)
    if len(problems) > len(named):
        message += f"; and {len(problems) - len(named)} more"
    return _unprocessable("invalid_request", message, {"fields": fields})


def _unprocessable(code: str, message: str, more: Mapping[str, Any] | None = None) -> Response:
    """Return a 422."""
    return Response(error_bytes(code, message, more), UNPROCESSABLE, media_type=JSON_MEDIA_TYPE)


def _name_of(location: Sequence[int | str]) -> str:
    """Return the path of a field, for example ``[3].rating``."""
    inside = [part for part in location[1:] if part not in TAGS_OF_UNIONS]
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in inside).removeprefix(".")
    return name[:MAX_NAME_LENGTH] or WHOLE


def _about(problem: Mapping[str, Any]) -> str:
    """Return the message about an invalid field."""
    if (message := MESSAGES_OF_TYPES.get(problem["type"])) is not None:
        return message.format(**problem.get("ctx", {}))
    return str(problem["msg"]).replace("Input should be", "must be")

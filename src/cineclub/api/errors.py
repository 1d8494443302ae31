"""The one table from an error to its HTTP status, and how errors look as JSON."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from cineclub.api.fields import REFUSED
from cineclub.domain import errors as domain

log = logging.getLogger(__name__)

JSON_MEDIA_TYPE = "application/json"
UNPROCESSABLE, WRONG_METHOD = 422, 405
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
WHOLE = "body"
TAGS_OF_UNIONS = {"one", "many"}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """How a class of errors is answered; ``retry_after_seconds`` where waiting may help."""

    status: int
    code: str
    retry_after_seconds: int | None = None


TABLE: Mapping[type[domain.CineclubError], ErrorAnswer] = {
    domain.InvalidInput: ErrorAnswer(422, "invalid_input"),
    domain.KeyNeeded: ErrorAnswer(401, "key_needed"),
    domain.AccessDenied: ErrorAnswer(403, "access_denied"),
    domain.TooManyRequests: ErrorAnswer(429, "too_many_requests", 1),
    domain.NotFound: ErrorAnswer(404, "not_found"),
    domain.TrainingUnderWay: ErrorAnswer(409, "training_under_way"),
    domain.ReadOnlySource: ErrorAnswer(409, "read_only_source"),
    domain.Conflict: ErrorAnswer(409, "conflict"),
    domain.TrainingCancelled: ErrorAnswer(409, "training_cancelled"),
    domain.LeaseLost: ErrorAnswer(409, "lease_lost"),
    domain.NotEnoughData: ErrorAnswer(503, "not_enough_data", 30),
    domain.StorageUnavailable: ErrorAnswer(503, "storage_unavailable", 5),
    domain.RegistryUnavailable: ErrorAnswer(503, "registry_unavailable", 5),
    domain.BrokenArtifact: ErrorAnswer(503, "broken_artifact", 30),
    domain.CineclubError: ErrorAnswer(500, "error"),
}
CODES_OF_HTTP = {404: "no_such_page", 405: "method_not_allowed", 413: "too_large"}
MESSAGES_OF_HTTP = {
    404: "there is nothing at this address: /docs lists what there is",
    405: "this address does not take that method: /docs says which it takes",
}
MESSAGES_OF_TYPES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "too_long": "has too many entries: {max_length} at most",
    "too_short": "must have at least one entry",
}


def install(app: FastAPI) -> None:
    """Let the application answer every foreseen error as JSON."""
    app.add_exception_handler(domain.CineclubError, _answer_ours)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)


def error_bytes(code: str, message: str, more: Mapping[str, Any] | None = None) -> bytes:
    """Return the body of an error."""
    return orjson.dumps({"error": {"code": code, "message": message, **(more or {})}})


def answer_of(error: domain.CineclubError) -> ErrorAnswer:
    """Return the line of the table for an error: that of its own class, else of the nearest above."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


async def _answer_ours(_: Request, error: Exception) -> Response:
    """Answer an error that cineclub raised on purpose."""
    if not isinstance(error, domain.CineclubError):
        raise error
    answer = answer_of(error)
    more = {"training_id": error.training_id} if isinstance(error, domain.TrainingUnderWay) else None
    headers = {"Retry-After": str(answer.retry_after_seconds)} if answer.retry_after_seconds else {}
    if isinstance(error, domain.TooManyRequests):
        headers["Retry-After"] = str(math.ceil(error.wait_seconds))
    if isinstance(error, domain.KeyNeeded):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(error_bytes(answer.code, str(error), more), answer.status, headers, JSON_MEDIA_TYPE)


async def _answer_http(request: Request, error: Exception) -> Response:
    """Answer an error of the framework: an unknown address, a wrong method, a body that cannot be read."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 400:  # noqa: PLR2004 - FastAPI could not decode the body
        return _unprocessable("not_json", "the body is not JSON in UTF-8")
    headers = {"Allow": _allowed(request)} if error.status_code == WRONG_METHOD else error.headers
    message = MESSAGES_OF_HTTP.get(error.status_code, str(error.detail))
    body = error_bytes(CODES_OF_HTTP.get(error.status_code, "http_error"), message)
    return Response(body, error.status_code, headers, JSON_MEDIA_TYPE)


def _allowed(request: Request) -> str:
    """Return every method that some route takes at this address; a route by itself knows its own alone."""
    asked = [{**request.scope, "method": method} for method in METHODS]
    routes = request.app.router.routes
    return ", ".join(one["method"] for one in asked if any(route.matches(one)[0] is Match.FULL for route in routes))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """Answer a request that is not what the route takes: which field, and what it may be."""
    if not isinstance(error, RequestValidationError):
        raise error
    problems: Sequence[Mapping[str, Any]] = error.errors()
    first = problems[0]
    if first["type"] == "json_invalid":
        return _unprocessable("not_json", f"the body is not JSON: {first['ctx']['error']}, character {first['loc'][1]}")
    if first["loc"] == ("body",) and first["type"] != REFUSED:
        return _unprocessable("not_json", _about_body(request))
    fields = [{"field": _name_of(one["loc"]), "message": _about(one)} for one in problems]
    message = "; ".join(f"{one['field']} {one['message']}".removeprefix(f"{WHOLE} ") for one in fields)
    return _unprocessable("invalid_request", message, {"fields": fields})


def _unprocessable(code: str, message: str, more: Mapping[str, Any] | None = None) -> Response:
    """Return a 422."""
    return Response(error_bytes(code, message, more), UNPROCESSABLE, media_type=JSON_MEDIA_TYPE)


def _about_body(request: Request) -> str:
    """Say what is wrong with a body as a whole."""
    media_type = request.headers.get("content-type", "")
    if "json" not in media_type:
        return f"send a JSON body with the header Content-Type: {JSON_MEDIA_TYPE}"
    return "the body must be a JSON object with the fields of this request"


def _name_of(location: Sequence[int | str]) -> str:
    """Return a field as a caller would write it, for example ``[3].rating``."""
    inside = [part for part in location[1:] if part not in TAGS_OF_UNIONS]
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in inside).removeprefix(".") or WHOLE


def _about(problem: Mapping[str, Any]) -> str:
    """Say what a field may be."""
    message = MESSAGES_OF_TYPES.get(problem["type"])
    if message is not None:
        return message.format(**problem.get("ctx", {}))
    return str(problem["msg"]).replace("Input should be", "must be")

"""JSON bodies parsed and validated in one step, in place of FastAPI's three: headers, JSON, model.

This saves 54 of the 190 µs of processor time of a POST /predict/ whose list is cached, and 93 of 622 µs with 40
ratings and 100 ids in the request (medians of 80 alternating rounds within one process; FastAPI 0.165).
``make bench-serve ONLY=speed`` prints both ways.
"""

import contextlib
import inspect
import itertools
import json
import re
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from cineclub.api.errors import JSON_MEDIA_TYPE
from cineclub.api.fields import REFUSED

MEASURED_FROM_BYTES = 16_384
MAX_FIELDS_OF_AN_OBJECT = 100
MAX_FIELDS = 6_100
"""1,000 ratings with all of their six fields, and those around them; each invalid field costs some microseconds."""
MAX_VALUES = 60_000
"""Lists of 10,000 ids for every filter, and the ratings."""
STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""Every string of a JSON text; one that does not end takes the rest, so that the search is linear."""


class JsonRoute(APIRoute):
    """A route that reads a valid body in one step; FastAPI reads an invalid one and reports its errors."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """Return the handler; FastAPI's own if the endpoint takes more than a body and the request."""
        handle = super().get_route_handler()
        model, endpoint = _body_of(self.endpoint), self.endpoint
        if model is None:
            return _measuring(handle) if self.body_field else handle

        measuring = _measuring(handle)

        async def read_at_once(request: Request) -> Response:
            if request.headers.get("content-type") != JSON_MEDIA_TYPE:
                return await measuring(request)
            try:
                text = await request.body()
                if len(text) > MEASURED_FROM_BYTES:
                    _check_fields(text)
                body = model.model_validate_json(text)
            except (ValidationError, ClientDisconnect):
                return await handle(request)
            response: Response = await endpoint(body=body, request=request)
            return response

        return read_at_once


def _measuring(
    handle: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Return FastAPI's handler with a check of the number of fields before it."""

    async def measure(request: Request) -> Response:
        with contextlib.suppress(ClientDisconnect):
            text = await request.body()
            if len(text) > MEASURED_FROM_BYTES:
                _check_fields(text)
        return await handle(request)

    return measure


def _check_fields(text: bytes) -> None:
    """Refuse a body with more fields, lists or values than any valid one; what is no JSON has no objects.

    Parsing and validation would take a tenth of a second and more, while no other request is answered, so what stands
    outside of strings is counted first.

    Raises:
        RequestValidationError: an object, or the body, has too many fields or values.
    """
    structure = STRINGS.sub(b"", text)
    n_fields, n_values = structure.count(b":"), structure.count(b",")
    if max(n_fields, structure.count(b"{") + structure.count(b"[")) > MAX_FIELDS or n_values > MAX_VALUES:
        raise _too_many_fields()
    try:
        level = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while level:
        objects = [value for value in level if isinstance(value, dict)]
        if any(len(fields) > MAX_FIELDS_OF_AN_OBJECT for fields in objects):
            raise _too_many_fields()
        inner = itertools.chain(*(fields.values() for fields in objects), *(v for v in level if isinstance(v, list)))
        level = [value for value in inner if isinstance(value, dict | list)]


def _too_many_fields() -> RequestValidationError:
    """Return the refusal of a whole body."""
    message = (
        f"has too many fields: {MAX_FIELDS_OF_AN_OBJECT} at most in one object, {MAX_FIELDS} in all, "
        f"with as many objects and lists and {MAX_VALUES} values"
    )
    return RequestValidationError([{"type": REFUSED, "loc": ("body",), "msg": message}])


def _body_of(endpoint: Callable[..., object]) -> type[BaseModel] | None:
    """Return the model of the body of a coroutine that takes only body and request, and returns a ``Response``."""
    signature = inspect.signature(endpoint)
    annotations = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    model = annotations.get("body")
    is_plain = set(annotations) == {"body", "request"} and signature.return_annotation is Response
    is_model = isinstance(model, type) and issubclass(model, BaseModel)
    return model if is_plain and is_model and inspect.iscoroutinefunction(endpoint) else None

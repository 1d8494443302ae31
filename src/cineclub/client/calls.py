"""Requests as values, with the types of their responses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from cineclub.api.fields import checked_id
from cineclub.api.filters import FilterParams, MovieFilterParams, MovieFilters, query_of
from cineclub.client.errors import ServiceError

OK, ACCEPTED, NO_CONTENT, UNAVAILABLE = 200, 202, 204, 503

Id = int | str
T = TypeVar("T")


class RecommendationParams(FilterParams, total=False):
    """The number of movies, the share of the trend, and the filters of ``cineclub.api.filters.FiltersIn``."""

    top_n: int
    fresh: float


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        method: of HTTP.
        path: under the address of the service.
        response_type: the type of the response; NoneType for an empty one, str for text that is not JSON.
        query: parameters of the URL; those that are None are not sent.
        body: JSON values; no body if None.
        repeatable: whether the request is idempotent.
        good: the statuses of a response with a value of ``response_type``.
        least_timeout: seconds to wait for the response even if the client's timeout is shorter.
    """

    method: str
    path: str
    response_type: type[T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    repeatable: bool = True
    good: tuple[int, ...] = (OK,)
    least_timeout: float = 0.0


def without_none(**values: Any) -> dict[str, Any]:
    """Return the values that are not None; the server has the defaults of the others."""
    return {name: value for name, value in values.items() if value is not None}


def path_part(external_id: Id) -> str:
    """Return an id as one part of a path, with slashes and dots encoded.

    Raises:
        ServiceError: the id is invalid.
    """
    try:
        text = str(checked_id(external_id))
    except ValueError as error:
        raise ServiceError(None, "invalid_request", f"{external_id!r}: an id {error}") from None
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


def filter_query(filters: MovieFilterParams) -> dict[str, Any]:
    """Return filters as parameters of a query.

    Raises:
        ServiceError: the schema refuses one.
    """
    return query_of(checked_body(MovieFilters, filters))


def checked_body(schema: Any, value: Any) -> Any:
    """Return the body of a request as JSON values, without unset fields.

    Raises:
        ServiceError: the schema refuses it; the message names each invalid field and its valid values.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(schema)
    try:
        return adapter.dump_python(adapter.validate_python(value), mode="json", exclude_unset=True)
    except ValidationError as error:
        problems = [(".".join(map(str, problem["loc"])), problem["msg"]) for problem in error.errors()]
        message = "; ".join(f"{name} {text}".strip() for name, text in problems)
        raise ServiceError(None, "invalid_request", message) from None

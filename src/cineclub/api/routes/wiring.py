"""How a route reaches the parts of the application, and what its errors look like in the documentation."""

from typing import Annotated, Any, cast

from fastapi import Depends, Request

from cineclub.api.schemas import ErrorOut
from cineclub.serving import ApiParts

MEANINGS = {
    404: "what the message names does not exist",
    409: "the present state does not allow it; the message says which",
    422: "a field is missing, unknown or not what it may be; the message says which and what it may be",
    503: "PostgreSQL does not answer, or there is nothing to answer with yet; try again after `Retry-After` seconds",
}


async def _parts_of(request: Request) -> ApiParts:
    """Return the parts that the application was made with."""
    return cast("ApiParts", request.app.state.parts)


Parts = Annotated[ApiParts, Depends(_parts_of)]


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of these error statuses."""
    return {status: {"model": ErrorOut, "description": MEANINGS[status]} for status in statuses}

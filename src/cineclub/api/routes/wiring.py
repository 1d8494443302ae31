"""How a route reaches the parts of the application, and what its errors look like in the documentation."""

from typing import Annotated, Any, cast

from fastapi import Depends, Request
from starlette.convertors import Convertor, register_url_convertor

from cineclub.api.schemas import ErrorOut
from cineclub.serving import ApiParts

MEANINGS = {
    401: "there is no key with the request, or it is unknown, revoked or expired",
    403: "the key lacks the scope that this needs, or the request comes from a page of another site",
    413: "the body is too large",
    421: "the Host header names no host of this service",
    429: "the key has made too many requests; try again after `Retry-After` seconds",
    404: "what the message names does not exist",
    409: "the present state does not allow it; the message says which",
    422: "a field is missing, unknown or not what it may be; the message says which and what it may be",
    503: "PostgreSQL does not answer, or there is nothing to answer with yet; try again after `Retry-After` seconds",
}


class _AnyText(Convertor[str]):
    """An id in a path, slashes and line ends included: Starlette's own ``path`` stops at a line end."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """Return the id."""
        return value

    def to_string(self, value: str) -> str:
        """Return the id."""
        return value


class _User(_AnyText):
    """The id of a user at the end of a path; what lies below a user is an address of its own."""

    regex = r"(?s:(?!.*/ratings\Z).*)"


class _Number(_AnyText):
    """A number in a path, so that words at the same place are other addresses; not longer than any that is valid."""

    regex = "[0-9]{1,10}"


register_url_convertor("text", _AnyText())
register_url_convertor("user", _User())
register_url_convertor("number", _Number())


async def _parts_of(request: Request) -> ApiParts:
    """Return the parts that the application was made with."""
    return cast("ApiParts", request.app.state.parts)


EVERYWHERE = (401, 403, 413, 421, 429, 503)
Parts = Annotated[ApiParts, Depends(_parts_of)]


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of these error statuses, and of those that every route has."""
    return {status: {"model": ErrorOut, "description": MEANINGS[status]} for status in sorted({*statuses, *EVERYWHERE})}

"""The dependency of routes on the parts of the application, and the documentation of error responses."""

from typing import Annotated, Any, cast

from fastapi import Depends, Request
from starlette.convertors import Convertor, register_url_convertor

from cineclub.api.schemas import ErrorOut
from cineclub.bootstrap.parts import ApiParts

MEANINGS = {
    401: "the request has no key, or its key is unknown, revoked or expired",
    403: "the key lacks the scope of this route, or the request comes from a page of another site",
    413: "the body is too large",
    421: "the Host header names no host of this service",
    429: "the key has made too many requests; try again after `Retry-After` seconds",
    404: "the message names the thing that does not exist",
    409: "the present state forbids it; the message names the reason",
    422: "a field is missing, unknown or invalid; the message names it with its valid values",
    503: "PostgreSQL does not answer or refused a statement, or there are no data yet; try again after `Retry-After` s",
}


class _AnyText(Convertor[str]):
    """An id in a path, with slashes and line ends: Starlette's own ``path`` stops at a line end."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """Return the id."""
        return value

    def to_string(self, value: str) -> str:
        """Return the id."""
        return value


class _User(_AnyText):
    """The id of a user at the end of a path, but no path below a user; an encoded slash is no slash here."""

    regex = r"(?s:(?!.*/ratings\Z).*)"


class _Movie(_AnyText):
    """The id of a movie at the end of a path, but no path of a list; an encoded slash is no slash here."""

    regex = r"(?s:(?!popular\Z)(?!.*/similar\Z).+)"


class _Number(_AnyText):
    """A number in a path, at most as long as the largest valid one, so that a word there matches another route."""

    regex = "[0-9]{1,10}"


register_url_convertor("text", _AnyText())
register_url_convertor("user", _User())
register_url_convertor("movie", _Movie())
register_url_convertor("number", _Number())


async def _parts_of(request: Request) -> ApiParts:
    """Return the parts of the application."""
    return cast("ApiParts", request.app.state.parts)


EVERYWHERE = (401, 403, 413, 421, 429, 503)
Parts = Annotated[ApiParts, Depends(_parts_of)]


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of these error statuses and of those of every route."""
    return {status: {"model": ErrorOut, "description": MEANINGS[status]} for status in sorted({*statuses, *EVERYWHERE})}

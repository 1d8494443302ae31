"""The scope that each route needs, checked before the body of a request is read."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.routing import Match
from starlette.types import Scope as RequestScope

from cineclub.api.bodies import JsonRoute
from cineclub.api.encoded_slashes import path_with_marks, without_marks
from cineclub.domain.access import Scope

SCOPE = "x-scope"
OPEN = "open"


class GuardedRoute(JsonRoute):
    """A route that documents and checks the scope that it needs; encoded slashes of a path stay inside its ids."""

    def matches(self, scope: RequestScope) -> tuple[Match, RequestScope]:
        """Return whether the route matches a request, and the parameters of its path."""
        marked = path_with_marks(scope)
        if marked is None:
            return super().matches(scope)
        match, matched = super().matches({**scope, "path": marked})
        if "path_params" in matched:
            matched["path_params"] = without_marks(matched["path_params"])
        return match, matched

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """Return the handler with a check of the key before it."""
        handle = super().get_route_handler()
        needed = (self.openapi_extra or {}).get(SCOPE)
        if needed is None:
            message = f"the route {self.path} does not name the scope it needs"
            raise ValueError(message)
        if needed == OPEN:
            return handle

        async def guarded(request: Request) -> Response:
            request.app.state.parts.access_control.authorize(request.headers.get("authorization"), needed)
            return await handle(request)

        return guarded


def document_keys(app: FastAPI) -> None:
    """Add the security scheme of keys to /openapi.json."""
    make = app.openapi

    def with_keys() -> dict[str, Any]:
        document = make()
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        return document

    app.openapi = with_keys  # type: ignore[method-assign]


def _needs(needed: Scope) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route that needs a key with this scope."""
    return {SCOPE: needed, "security": [{"key": []}]}


READ, WRITE, ADMIN, METRICS = _needs("read"), _needs("write"), _needs("admin"), _needs("metrics")
OPEN_TO_ALL: dict[str, Any] = {SCOPE: OPEN}

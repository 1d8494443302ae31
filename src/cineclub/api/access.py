"""Which key a route needs, checked before anything of the request is read."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response

from cineclub.api.bodies import JsonRoute
from cineclub.domain.access import Scope

SCOPE = "x-scope"
OPEN = "open"


class GuardedRoute(JsonRoute):
    """A route that says in its documentation which scope it needs, and checks it."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """Return the handler behind the check."""
        handle = super().get_route_handler()
        needed = (self.openapi_extra or {}).get(SCOPE)
        if needed is None:
            message = f"the route {self.path} does not say which scope it needs"
            raise ValueError(message)
        if needed == OPEN:
            return handle

        async def guarded(request: Request) -> Response:
            request.app.state.parts.doorkeeper.admit(request.headers.get("authorization"), needed)
            return await handle(request)

        return guarded


def document_keys(app: FastAPI) -> None:
    """Let /openapi.json say how a key is sent, as tools that read it expect."""
    make = app.openapi

    def with_keys() -> dict[str, Any]:
        document = make()
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        return document

    app.openapi = with_keys  # type: ignore[method-assign]


def _needs(needed: Scope) -> dict[str, Any]:
    """Return what a route adds to its documentation to need a key with this scope."""
    return {SCOPE: needed, "security": [{"key": []}]}


READ, WRITE, ADMIN, METRICS = _needs("read"), _needs("write"), _needs("admin"), _needs("metrics")
OPEN_TO_ALL: dict[str, Any] = {SCOPE: OPEN}

"""JSON bodies read in one step, where FastAPI reads the head anew, then JSON, then the model."""

import inspect
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from cineclub.api.errors import JSON_MEDIA_TYPE


class JsonRoute(APIRoute):
    """A route that reads a sound body at once; any other goes FastAPI's way, which says what is wrong with it."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """Return the handler; FastAPI's own where the endpoint takes more than a body and the request."""
        handle = super().get_route_handler()
        model, endpoint = _body_of(self.endpoint), self.endpoint
        if model is None:
            return handle

        async def read_at_once(request: Request) -> Response:
            if request.headers.get("content-type") != JSON_MEDIA_TYPE:
                return await handle(request)
            try:
                body = model.model_validate_json(await request.body())
            except (ValidationError, ClientDisconnect):
                return await handle(request)
            answer: Response = await endpoint(body=body, request=request)
            return answer

        return read_at_once


def _body_of(endpoint: Callable[..., object]) -> type[BaseModel] | None:
    """Return the model of an endpoint's body if it takes that and the request, answers itself, and nothing else."""
    signature = inspect.signature(endpoint)
    taken = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    model = taken.get("body")
    is_plain = set(taken) == {"body", "request"} and signature.return_annotation is Response
    is_model = isinstance(model, type) and issubclass(model, BaseModel)
    return model if is_plain and is_model and inspect.iscoroutinefunction(endpoint) else None

"""The application: routes, errors, measurement and the life of what runs beside them."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

import cineclub
from cineclub.api import errors
from cineclub.api.access import document_keys
from cineclub.api.middleware import ErrorBoundary
from cineclub.api.rendered_lists import RenderedLists
from cineclub.api.routes import (
    dashboard,
    documentation,
    drift,
    models,
    monitoring,
    movies,
    operations,
    predictions,
    ratings,
    trainings,
)
from cineclub.api.shield import HEADERS, Shield
from cineclub.serving import ApiParts

DESCRIPTION = """\
Recommends films from ratings in PostgreSQL, and proves that a new model is better before it serves.

Ids are those of your own system, as JSON text or integers; `42` and `"42"` name the same user. Every error is
`{"error": {"code": …, "message": …}}`, and the message says what to do next.
"""
TAGS = [
    {"name": "predictions", "description": "Which films to recommend to whom, and why."},
    {"name": "movies", "description": "The catalogue: search, what is popular, what is like what."},
    {"name": "ratings", "description": "Ratings as they are given; the next answer knows them."},
    {"name": "training", "description": "Train, follow, cancel: one training at a time, in a process of its own."},
    {"name": "models", "description": "Which model serves."},
    {"name": "monitoring", "description": "What became of what was recommended, and whether ratings change."},
    {"name": "operations", "description": "For the machines that watch this one."},
]

ROUTES = (predictions, movies, ratings, trainings, models, monitoring, drift, operations, documentation, dashboard)


def create_app(parts: ApiParts) -> FastAPI:
    """Return the application over these parts; they start and stop with it.

    Where several processes serve it, ``state.is_first`` is cleared in all but one before it starts.
    """

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for service in (*parts.services, *(parts.services_once if app.state.is_first else ())):
                await service.start()
                stack.push_async_callback(service.stop)
            yield

    app = FastAPI(
        title="cineclub",
        version=cineclub.__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours is in /metrics and in the log
        lifespan=life,
    )
    app.state.parts = parts
    app.state.rendered = RenderedLists()
    app.state.is_first = True
    for module in ROUTES:
        app.include_router(module.router)
    document_keys(app)
    errors.install(app)
    app.add_middleware(ErrorBoundary)
    app.add_middleware(Shield, allowed_hosts=parts.doors.allowed_hosts, max_body_bytes=parts.doors.max_body_bytes)
    app.add_middleware(ErrorBoundary, headers=HEADERS, metrics=parts.metrics)  # under the shield itself, and measured
    return app

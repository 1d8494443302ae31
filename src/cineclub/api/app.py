"""The application: routes, errors, middleware, and the services that start and stop with it."""

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
from cineclub.api.security_middleware import HEADERS, SecurityMiddleware
from cineclub.bootstrap.parts import ApiParts

DESCRIPTION = """\
Recommends films from ratings in PostgreSQL, and proves that a new model is better before it serves.

Ids are those of your own system, as JSON strings or integers; `42` and `"42"` are the same user. Every error is
`{"error": {"code": …, "message": …}}`, and the message says what to do next.
"""
TAGS = [
    {"name": "predictions", "description": "Recommended films with their reasons."},
    {"name": "movies", "description": "The catalogue: search, popular films, similar films."},
    {"name": "ratings", "description": "Writing and deleting ratings; the next recommendations use them."},
    {"name": "training", "description": "Start, follow and cancel trainings: one at a time, in a process of its own."},
    {"name": "models", "description": "Versions, promotions and rollbacks."},
    {"name": "monitoring", "description": "Outcomes of recommendations, online comparisons, and drift of ratings."},
    {"name": "operations", "description": "Health, readiness and metrics for monitoring systems."},
]

ROUTES = (predictions, movies, ratings, trainings, models, monitoring, drift, operations, documentation, dashboard)


def create_app(parts: ApiParts) -> FastAPI:
    """Return the application of these parts; their services start and stop with it.

    If several processes serve it, all but one clear ``state.is_first`` before it starts.
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
        telemetry={"tracing": False, "metrics": False, "logs": False},  # see /metrics and the log
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
    app.add_middleware(
        SecurityMiddleware,
        allowed_hosts=parts.host_policy.allowed_hosts,
        max_body_bytes=parts.host_policy.max_body_bytes,
    )
    app.add_middleware(ErrorBoundary, headers=HEADERS, observe=parts.metrics.observe_request)
    return app

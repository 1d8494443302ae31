"""/health, /ready and /metrics, for monitoring systems."""

import contextlib
from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from cineclub.api.access import METRICS, OPEN_TO_ALL, GuardedRoute
from cineclub.api.routes.dependencies import Parts, failures
from cineclub.api.schemas import HealthOut, ReadyOut
from cineclub.domain.errors import CineclubError

router = APIRouter(tags=["operations"], route_class=GuardedRoute)

NOT_READY = 503


@router.get("/health", response_model=HealthOut, openapi_extra=OPEN_TO_ALL)
async def health() -> dict[str, str]:
    """Return that the process is alive, without asking the database."""
    return {"status": "alive"}


@router.get(
    "/ready",
    response_model=ReadyOut,
    responses={NOT_READY: {"model": ReadyOut, "description": "it cannot recommend yet"}},
    openapi_extra=OPEN_TO_ALL,
)
async def ready(parts: Parts, response: Response) -> dict[str, Any]:
    """Return whether the service can recommend, from a model or popular films.

    The status stays 200 while the database is unavailable and recommendations come from memory.
    """
    is_reachable = await parts.is_database_reachable()
    live = parts.live.current()
    has_popular = False
    if live is None:
        with contextlib.suppress(CineclubError):
            has_popular = bool(await parts.histories.popular(1))
    is_ready = live is not None or has_popular
    response.status_code = 200 if is_ready else NOT_READY
    return {
        "ready": is_ready,
        "degraded": is_ready and not is_reachable,
        "database": "reachable" if is_reachable else "away",
        "model": {"name": live.fitted.recipe.model, "version": live.version} if live else None,
        "popular": has_popular,
    }


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **failures()},
    openapi_extra=METRICS,
)
async def metrics(parts: Parts) -> Response:
    """Return all metrics in Prometheus' text format."""
    body, media_type = await run_in_threadpool(parts.metrics.exposition)  # with many processes it takes a while
    return Response(body, media_type=media_type)

"""/health, /ready and /metrics: for the machines that watch this one."""

import contextlib
from typing import Any

from fastapi import APIRouter, Response

from cineclub.api.access import METRICS, OPEN_TO_ALL, GuardedRoute
from cineclub.api.routes.wiring import Parts, failures
from cineclub.api.schemas import HealthOut, ReadyOut
from cineclub.domain.errors import CineclubError

router = APIRouter(tags=["operations"], route_class=GuardedRoute)

NOT_READY = 503


@router.get("/health", response_model=HealthOut, openapi_extra=OPEN_TO_ALL)
async def health() -> dict[str, str]:
    """Say that the process lives; it asks nothing of anybody."""
    return {"status": "alive"}


@router.get(
    "/ready",
    response_model=ReadyOut,
    responses={NOT_READY: {"model": ReadyOut, "description": "no answer yet"}},
    openapi_extra=OPEN_TO_ALL,
)
async def ready(parts: Parts, response: Response) -> dict[str, Any]:
    """Say whether recommendations can be answered: from a model, or from the popular films.

    Stays 200 while the database is away and answers come from memory.
    """
    is_reachable = await parts.is_database_reachable()
    live = parts.live.current()
    has_popular = live is None and await _has_popular(parts)
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
    """Return every metric in Prometheus' text format."""
    body, media_type = parts.metrics.exposition()
    return Response(body, media_type=media_type)


async def _has_popular(parts: Parts) -> bool:
    """Say whether the popular list can be given."""
    with contextlib.suppress(CineclubError):
        return bool(await parts.histories.popular(1))
    return False

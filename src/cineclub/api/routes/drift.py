"""/monitoring/drift: checks of drift, their history, and the baselines."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from cineclub.api.access import ADMIN, METRICS, GuardedRoute
from cineclub.api.drift_schemas import BaselinesOut, DriftHistoryOut, DriftOut, PinRequest
from cineclub.api.fields import Text
from cineclub.api.routes.dependencies import Parts, failures
from cineclub.bootstrap.parts import ApiParts
from cineclub.domain.documents import to_document
from cineclub.domain.drift.documents import check_document
from cineclub.domain.drift.records import StoredBaseline

router = APIRouter(tags=["monitoring"], route_class=GuardedRoute)

Threshold = Annotated[
    float | None,
    Query(ge=0.1, le=1000, description="a smaller change of a figure, in percent, is OK; unset: the setting"),
]
Window = Annotated[Text | None, Query(description="length of the window, such as 7d or 24h; unset: the setting")]
Until = Annotated[Text | None, Query(description="end of the window: a time in ISO 8601 with its offset, or newest")]
Limit = Annotated[int, Query(ge=1, le=1000, description="number of checks")]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="checks before this check_id")]


@router.get("/monitoring/drift", response_model=DriftOut, responses=failures(422, 503), openapi_extra=METRICS)
async def drift(
    parts: Parts, threshold_pct: Threshold = None, window: Window = None, until: Until = None
) -> dict[str, Any]:
    """Check the newest ratings and recommendations for drift, and record the check; a result is cached for a minute.

    The verdict is `ALERT`, `OK` or `NOT_ENOUGH_DATA`. The window is compared with earlier windows of the same length:
    those before the model in production was trained, and those of the pinned baseline. The check only adds an entry to
    the history: the service acts on its scheduled checks alone.
    """
    request = parts.drift.usual.replaced(window, threshold_pct, until)
    return check_document(await parts.drift.recent_check(request))


@router.get(
    "/monitoring/drift/history", response_model=DriftHistoryOut, responses=failures(422, 503), openapi_extra=METRICS
)
async def history(parts: Parts, limit: Limit = 100, before: Before = None) -> dict[str, Any]:
    """Return the checks, newest first; for the next page set `before` to the last check_id of this one."""
    return {"checks": to_document(await parts.drift.history(limit, before))}


@router.get("/monitoring/drift/baseline", response_model=BaselinesOut, responses=failures(503), openapi_extra=METRICS)
async def baseline(parts: Parts) -> dict[str, Any]:
    """Return the baseline of the model in production, and the pinned one."""
    return await _baselines(parts)


@router.post(
    "/monitoring/drift/baseline", response_model=BaselinesOut, responses=failures(404, 422, 503), openapi_extra=ADMIN
)
async def pin(body: PinRequest, parts: Parts) -> dict[str, Any]:
    """Pin the baseline of a version, or a new baseline from the ratings now, in place of the pinned one.

    A new baseline reads all ratings: a few seconds, a minute or more with tens of millions.
    """
    await parts.drift.pin(body.version)
    return await _baselines(parts)


@router.delete("/monitoring/drift/baseline", response_model=BaselinesOut, responses=failures(503), openapi_extra=ADMIN)
async def unpin(parts: Parts) -> dict[str, Any]:
    """Unpin the baseline: windows are then compared with the baseline of the model in production alone."""
    await parts.drift.unpin()
    return await _baselines(parts)


async def _baselines(parts: ApiParts) -> dict[str, Any]:
    """Return both baselines as JSON."""
    baselines = await parts.drift.baselines()
    return {
        "model_version": baselines.model_version,
        "model": baselines.model and _document(baselines.model),
        "pinned": baselines.pinned and _document(baselines.pinned),
    }


def _document(stored: StoredBaseline) -> dict[str, Any]:
    """Return a baseline as JSON."""
    baseline = stored.baseline
    return {
        "model_version": stored.model_version,
        "taken_at": stored.taken_at,
        "window_days": baseline.window_days,
        "n_windows": len(baseline.windows),
        "whole": to_document(baseline.whole),
        "windows": to_document(baseline.windows),
    }

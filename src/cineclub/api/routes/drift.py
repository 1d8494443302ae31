"""/monitoring/drift: whether ratings and answers differ from what was normal, and what normal is."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from cineclub.api.access import ADMIN, METRICS, GuardedRoute
from cineclub.api.drift_schemas import BaselinesOut, DriftHistoryOut, DriftOut, PinRequest
from cineclub.api.routes.wiring import Parts, failures
from cineclub.domain.documents import to_document
from cineclub.ports import KeptBaseline
from cineclub.serving import ApiParts

router = APIRouter(tags=["monitoring"], route_class=GuardedRoute)

Threshold = Annotated[
    float | None,
    Query(ge=0.1, le=1000, description="a figure that changes by fewer percent is OK; unset: the setting's"),
]
Window = Annotated[str | None, Query(description="how much is checked, such as 7d or 24h; unset: the setting's")]
Until = Annotated[str | None, Query(description="end of the window: a time in ISO 8601 with its offset, or newest")]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many")]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="checks before this check_id")]


@router.get("/monitoring/drift", response_model=DriftOut, responses=failures(422, 503), openapi_extra=METRICS)
async def drift(
    parts: Parts, threshold_pct: Threshold = None, window: Window = None, until: Until = None
) -> dict[str, Any]:
    """Compare the newest ratings and answers with what was normal, and keep the check; a minute old at most.

    The verdict is `ALERT`, `OK` or `NOT_ENOUGH_DATA`. Normal is what earlier windows of the same length were like:
    those before the model in production was trained, and those of the pinned baseline. Nothing follows from this
    request but a line in the history: the service acts on the checks that it makes by itself.
    """
    question = parts.drift.usual.asked_as(window, threshold_pct, until)
    document: dict[str, Any] = to_document(await parts.drift.recent_check(question))
    return document


@router.get(
    "/monitoring/drift/history", response_model=DriftHistoryOut, responses=failures(422, 503), openapi_extra=METRICS
)
async def history(parts: Parts, limit: Limit = 100, before: Before = None) -> dict[str, Any]:
    """Return the checks that were made, newest first; the list goes on before the last that you have."""
    return {"checks": to_document(await parts.drift.history(limit, before))}


@router.get("/monitoring/drift/baseline", response_model=BaselinesOut, responses=failures(503), openapi_extra=METRICS)
async def baseline(parts: Parts) -> dict[str, Any]:
    """Return what windows are compared with: the baseline of the model in production, and the pinned one."""
    return await _baselines(parts)


@router.post(
    "/monitoring/drift/baseline", response_model=BaselinesOut, responses=failures(404, 422, 503), openapi_extra=ADMIN
)
async def pin(body: PinRequest, parts: Parts) -> dict[str, Any]:
    """Pin a baseline, that of a version or one taken from the ratings now, in place of the pinned one.

    To take one reads all ratings: a few seconds, a minute or more with tens of millions.
    """
    await parts.drift.pin(body.version)
    return await _baselines(parts)


@router.delete("/monitoring/drift/baseline", response_model=BaselinesOut, responses=failures(503), openapi_extra=ADMIN)
async def unpin(parts: Parts) -> dict[str, Any]:
    """Let no baseline be pinned: windows are compared with that of the model in production alone."""
    await parts.drift.unpin()
    return await _baselines(parts)


async def _baselines(parts: ApiParts) -> dict[str, Any]:
    """Return both baselines as JSON shows them."""
    production, pinned = await parts.drift.baselines()
    return {
        "model_version": production.model_version,
        "model": None if production.kept is None else _document(production.kept),
        "pinned": None if pinned is None else _document(pinned),
    }


def _document(kept: KeptBaseline) -> dict[str, Any]:
    """Return a baseline as JSON shows it."""
    taken = kept.baseline
    return {
        "model_version": kept.model_version,
        "taken_at": kept.taken_at,
        "window_days": taken.window_days,
        "n_windows": len(taken.windows),
        "whole": to_document(taken.whole),
        "windows": [to_document(one) for one in taken.windows],
    }

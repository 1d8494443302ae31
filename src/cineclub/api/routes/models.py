"""/models/: which model serves, what served before, and a person's decision to change it."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.concurrency import run_in_threadpool

from cineclub.api.access import ADMIN, READ, GuardedRoute
from cineclub.api.presentation import production_document, promotion_document, refusal_document, version_document
from cineclub.api.routes.wiring import Parts, failures
from cineclub.api.schemas import DecisionRequest, ModelsOut, ProductionOut, PromotionOut, VersionDetailOut
from cineclub.domain.errors import NotFound
from cineclub.serving import ApiParts

router = APIRouter(tags=["models"], route_class=GuardedRoute)

MAX_HISTORY = 1000

Limit = Annotated[int, Query(ge=1, le=100, description="how many")]
Before = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="versions with smaller numbers than this one")]
PromotionsBefore = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="promotions before this promotion_id")]
RefusalsBefore = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="refusals before this refusal_id")]
Version = Annotated[int, Path(ge=1, le=2**31 - 1, description="a version's number")]


@router.get("/models/", response_model=ModelsOut, responses=failures(422, 503), openapi_extra=READ)
async def models(
    parts: Parts,
    limit: Limit = 20,
    before: Before = None,
    promotions_before: PromotionsBefore = None,
    refusals_before: RefusalsBefore = None,
) -> dict[str, Any]:
    """Return the versions with their verdicts, what served since when and why, and what was refused, newest first.

    Each of the three lists has `limit` entries at most, and goes on before the last that you have.
    """
    return await run_in_threadpool(_models, parts, limit, before, promotions_before, refusals_before)


@router.get("/models/production", response_model=ProductionOut, responses=failures(404), openapi_extra=READ)
async def production(parts: Parts) -> dict[str, Any]:
    """Return the model that answers now, and why it does."""
    live, promotion = parts.live.current(), parts.live.promotion
    if live is None or promotion is None:
        message = "no model is in production yet: start a training with POST /training/"
        raise NotFound(message)
    return production_document(promotion, live)


@router.get(
    "/models/{version:number}", response_model=VersionDetailOut, responses=failures(404, 422, 503), openapi_extra=READ
)
async def one_version(version: Version, parts: Parts) -> dict[str, Any]:
    """Return everything known of a version: how it was judged, what it learned from, when it served."""
    return await run_in_threadpool(_version, parts, version)


@router.post(
    "/models/rollback",
    response_model=PromotionOut,
    responses=failures(404, 409, 422, 503),
    openapi_extra=ADMIN,
)
async def roll_back(body: DecisionRequest, parts: Parts) -> dict[str, Any]:
    """Let the version serve again that served before; a second rollback goes further back.

    It is loaded in a fresh process first. Answers come from it within seconds.
    """
    await parts.promoter.roll_back(body.reason)
    return await _serving(parts)


@router.post(
    "/models/{version}/promote",
    response_model=PromotionOut,
    responses=failures(404, 409, 422, 503),
    openapi_extra=ADMIN,
)
async def promote(version: Version, body: DecisionRequest, parts: Parts) -> dict[str, Any]:
    """Let a registered version serve, whatever the gate said of it.

    It is loaded in a fresh process first. Answers come from it within seconds.
    """
    await parts.promoter.promote(version, body.reason)
    return await _serving(parts)


async def _serving(parts: Parts) -> dict[str, Any]:
    """Return what was decided just now."""
    newest = await run_in_threadpool(parts.promotions.recent, 1)
    return promotion_document(newest[0])


def _models(
    parts: ApiParts, limit: int, before: int | None, promotions_before: int | None, refusals_before: int | None
) -> dict[str, Any]:
    """Return versions, history and refusals; blocks."""
    serving = next(iter(parts.promotions.recent(1)), None)
    book = parts.promotions.versions
    return {
        "versions": [version_document(known, serving) for known in book.recent(limit, before)],
        "promotions": [promotion_document(one) for one in parts.promotions.recent(limit, promotions_before)],
        "refusals": [refusal_document(one) for one in book.refusals(limit, refusals_before)],
    }


def _version(parts: ApiParts, version: int) -> dict[str, Any]:
    """Return what is known of a version; blocks."""
    book = parts.promotions.versions
    known = book.get(version)
    promotions = parts.promotions.recent(MAX_HISTORY)
    served = [one for one in promotions if one.manifest_sha256 == known.registered.manifest_sha256]
    return {
        **version_document(known, next(iter(promotions), None)),
        "tags": dict(known.tags),
        "promotions": [promotion_document(one) for one in served],
        "refusals": [refusal_document(one) for one in book.refusals(MAX_HISTORY) if one.version == version],
    }

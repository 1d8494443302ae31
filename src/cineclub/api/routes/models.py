"""/models/: versions, the promotion history, and promotions and rollbacks by a person."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.concurrency import run_in_threadpool

from cineclub.api.access import ADMIN, READ, GuardedRoute
from cineclub.api.model_schemas import DecisionRequest, ModelsOut, ProductionOut, PromotionOut, VersionDetailOut
from cineclub.api.presentation import production_document, promotion_document, version_document
from cineclub.api.routes.dependencies import Parts, failures
from cineclub.bootstrap.parts import ApiParts
from cineclub.domain.errors import NotFound

router = APIRouter(tags=["models"], route_class=GuardedRoute)

MAX_HISTORY = 1000

Limit = Annotated[int, Query(ge=1, le=100, description="number of entries of each list")]
Before = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="versions before this version")]
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
    """Return the versions with their verdicts, the promotion history, and the refused promotions, newest first.

    Each of the three lists has at most `limit` entries; for its next page set its `before` to the last entry's number.
    """
    return await run_in_threadpool(_models, parts, limit, before, promotions_before, refusals_before)


@router.get("/models/production", response_model=ProductionOut, responses=failures(404), openapi_extra=READ)
async def production(parts: Parts) -> dict[str, Any]:
    """Return the model in production, with the reason of its promotion."""
    live, promotion = parts.live.current(), parts.live.promotion
    if live is None or promotion is None:
        message = "no model is in production yet: start a training with POST /training/"
        raise NotFound(message)
    return production_document(promotion, live)


@router.get(
    "/models/{version:number}", response_model=VersionDetailOut, responses=failures(404, 422, 503), openapi_extra=READ
)
async def one_version(version: Version, parts: Parts) -> dict[str, Any]:
    """Return a version: its evaluation, its data, and its promotions and refusals."""
    return await run_in_threadpool(_version, parts, version)


@router.post(
    "/models/rollback", response_model=PromotionOut, responses=failures(404, 409, 422, 503), openapi_extra=ADMIN
)
async def roll_back(body: DecisionRequest, parts: Parts) -> dict[str, Any]:
    """Put the previous version into production again; a second rollback goes further back.

    The version is first loaded in a fresh process. It serves within seconds.
    """
    return await _made(parts, await parts.promoter.roll_back(body.reason))


@router.post(
    "/models/{version}/promote",
    response_model=PromotionOut,
    responses=failures(404, 409, 422, 503),
    openapi_extra=ADMIN,
)
async def promote(version: Version, body: DecisionRequest, parts: Parts) -> dict[str, Any]:
    """Put a registered version into production, regardless of the gate's verdict.

    The version is first loaded in a fresh process. It serves within seconds.
    """
    return await _made(parts, await parts.promoter.promote(version, body.reason))


async def _made(parts: Parts, promotion_id: int) -> dict[str, Any]:
    """Return the promotion of a request, which another request may have followed already."""
    promotions = await run_in_threadpool(parts.promotions.recent, 1, promotion_id + 1)
    return promotion_document(promotions[0])


def _models(
    parts: ApiParts, limit: int, before: int | None, promotions_before: int | None, refusals_before: int | None
) -> dict[str, Any]:
    """Return versions, promotions and refusals; blocks."""
    serving = next(iter(parts.promotions.recent(1)), None)
    return {
        "versions": [version_document(known, serving) for known in parts.promotions.recent_versions(limit, before)],
        "promotions": [
            promotion_document(promotion) for promotion in parts.promotions.recent(limit, promotions_before)
        ],
        "refusals": parts.promotions.refusals(limit, refusals_before),
    }


def _version(parts: ApiParts, version: int) -> dict[str, Any]:
    """Return a version with its promotions and refusals; blocks."""
    known = parts.promotions.version(version)
    promotions = parts.promotions.recent(MAX_HISTORY)
    served = [promotion for promotion in promotions if promotion.manifest_sha256 == known.registered.manifest_sha256]
    return {
        **version_document(known, next(iter(promotions), None)),
        "tags": dict(known.tags),
        "promotions": [promotion_document(promotion) for promotion in served],
        "refusals": [refusal for refusal in parts.promotions.refusals(MAX_HISTORY) if refusal.version == version],
    }

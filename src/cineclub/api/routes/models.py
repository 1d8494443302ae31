"""/models/: which model serves, what served before, and a person's decision to change it."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.concurrency import run_in_threadpool

from cineclub.api.presentation import production_document, promotion_document
from cineclub.api.routes.wiring import Parts, failures
from cineclub.api.schemas import DecisionRequest, ModelsOut, ProductionOut, PromotionOut
from cineclub.domain.errors import NotFound

router = APIRouter(tags=["models"])

Limit = Annotated[int, Query(ge=1, le=100, description="how many")]
Version = Annotated[int, Path(ge=1, le=2**31 - 1, description="a version's number")]


@router.get("/models/", response_model=ModelsOut, responses=failures(422, 503))
async def history(parts: Parts, limit: Limit = 20) -> dict[str, Any]:
    """Return what was promoted, when, why and by whom, newest first; the first serves now."""
    promotions = await run_in_threadpool(parts.promotions.recent, limit)
    return {"promotions": [promotion_document(promotion) for promotion in promotions]}


@router.get("/models/production", response_model=ProductionOut, responses=failures(404))
async def production(parts: Parts) -> dict[str, Any]:
    """Return the model that answers now, and why it does."""
    live, promotion = parts.live.current(), parts.live.promotion
    if live is None or promotion is None:
        message = "no model is in production yet: start a training with POST /training/"
        raise NotFound(message)
    return production_document(promotion, live)


@router.post("/models/rollback", response_model=PromotionOut, responses=failures(404, 409, 422, 503))
async def roll_back(body: DecisionRequest, parts: Parts) -> dict[str, Any]:
    """Let the version serve again that served before; a second rollback goes further back.

    It is loaded in a fresh process first. Answers come from it within seconds.
    """
    await parts.promoter.roll_back(body.reason)
    return await _serving(parts)


@router.post("/models/{version}/promote", response_model=PromotionOut, responses=failures(404, 409, 422, 503))
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

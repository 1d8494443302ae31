"""/models/: which model serves."""

from typing import Any

from fastapi import APIRouter

from cineclub.api.presentation import production_document
from cineclub.api.routes.wiring import Parts, failures
from cineclub.api.schemas import ProductionOut
from cineclub.domain.errors import NotFound

router = APIRouter(tags=["models"])


@router.get("/models/production", response_model=ProductionOut, responses=failures(404))
async def production(parts: Parts) -> dict[str, Any]:
    """Return the model that answers now, and why it does."""
    live, promotion = parts.live.current(), parts.live.promotion
    if live is None or promotion is None:
        message = "no model is in production yet: start a training with POST /training/"
        raise NotFound(message)
    return production_document(promotion, live)

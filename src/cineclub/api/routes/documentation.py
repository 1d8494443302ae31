"""/docs: the documentation as one HTML page, without scripts and without another server."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from cineclub.api.documentation_page import page_of

router = APIRouter(include_in_schema=False)


@router.get("/docs", response_class=HTMLResponse)
async def docs(request: Request) -> str:
    """Return the documentation of every route, made from /openapi.json."""
    return page_of(request.app.openapi(), str(request.base_url).rstrip("/"))

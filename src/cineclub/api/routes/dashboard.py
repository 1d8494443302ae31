"""The page at /: static files without data; a browser gets all data from the public API."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

from cineclub.domain.errors import NotFound

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parents[1] / "dashboard"
INDEX = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page; ``tag`` is the ETag, which changes with the content."""

    content: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, file: Path) -> "Asset":
        """Read a file of the package."""
        content = file.read_bytes()
        return cls(content, MEDIA_TYPES[file.suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')

    def response_to(self, request: Request) -> Response:
        """Return the file, or 304 if the browser has it already."""
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY, "ETag": self.tag}
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=NOT_MODIFIED, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


ASSETS = {file.name: Asset.of(file) for file in sorted(FOLDER.iterdir()) if file.suffix in MEDIA_TYPES}


@router.get("/")
async def page(request: Request) -> Response:
    """Return the page itself."""
    return ASSETS[INDEX].response_to(request)


@router.get("/assets/{name}")
async def asset(name: str, request: Request) -> Response:
    """Return a script, the style sheet or the icon of the page."""
    if name not in ASSETS:
        message = "the page has no such file: reload it"
        raise NotFound(message)
    return ASSETS[name].response_to(request)

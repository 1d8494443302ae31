"""Slashes inside ids: ``%2F`` in a path belongs to an id, and no route takes it for the slash before its own words.

Servers decode a path before routes see it. Without this, ``/users/x%2Fratings`` would be the ratings of the user ``x``
instead of the user ``x/ratings``.
"""

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

INSIDE = "\udc2f"
"""Stands for an encoded slash while a route is matched; no decoded path can contain a lone surrogate."""


def path_with_marks(scope: MutableMapping[str, Any]) -> str | None:
    """Return the decoded path of a request with its encoded slashes marked; None if it has none."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%2" not in raw:
        return None
    text = raw.decode("latin-1")
    marked = text.replace("%2F", INSIDE).replace("%2f", INSIDE)
    return unquote(marked) if marked != text else None


def without_marks(params: MutableMapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a path with slashes in place of the marks."""
    return {name: value.replace(INSIDE, "/") if isinstance(value, str) else value for name, value in params.items()}

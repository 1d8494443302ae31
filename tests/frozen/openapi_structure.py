"""What of an OpenAPI document is a promise: everything but its prose."""

from typing import Any

PROSE = {"description", "summary", "title", "examples", "example"}
NAMES_AS_KEYS = {"properties", "schemas", "paths", "responses", "mapping", "headers"}


def without_prose(schema: Any, *, keys_are_names: bool = False) -> Any:
    """Return a schema without its prose; a property may be called ``title`` or ``description``."""
    if isinstance(schema, list):
        return [without_prose(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: without_prose(inner, keys_are_names=not keys_are_names and name in NAMES_AS_KEYS)
        for name, inner in schema.items()
        if keys_are_names or name not in PROSE
    }

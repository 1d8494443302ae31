"""Values as JSON documents for reports, logs and the registry."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import numpy as np


def to_document(value: Any) -> Any:
    """Return a value in JSON types: dataclasses as objects, arrays as lists, NaN and infinities as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_document(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_document(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(inner) for inner in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    """Return a value without parts in JSON types."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, np.ndarray | np.generic):
        return to_document(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value

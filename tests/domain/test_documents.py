"""Strict JSON documents of arbitrary values."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from cineclub.domain.documents import to_document


@dataclass(frozen=True, slots=True)
class Sample:
    """A dataclass with nested values."""

    name: str
    parts: tuple[float, ...]


def test_values_of_every_kind_become_strict_json() -> None:
    """Dataclasses, arrays, times and non-finite numbers become strict JSON."""
    value = {
        "sample": Sample("one", (1.5, float("nan"), float("inf"))),
        "array": np.array([1, 2]),
        "number": np.float32(0.5),
        "missing": np.float64("nan"),
        "at": datetime(2020, 1, 2, tzinfo=UTC),
    }
    assert json.loads(json.dumps(to_document(value), allow_nan=False)) == {
        "sample": {"name": "one", "parts": [1.5, None, None]},
        "array": [1, 2],
        "number": 0.5,
        "missing": None,
        "at": "2020-01-02T00:00:00+00:00",
    }

"""Comparison of a refitted version with its original, byte by byte."""

import json

import numpy as np
import pytest

from cineclub.domain.training import reproduction
from cineclub.domain.training.reproduction import (
    ArrayDifference,
    EnvironmentDifference,
    Reproduction,
    arrays_of,
    differences_of,
    environment_differences,
)
from small_models import fitted_model


def test_the_same_bytes_are_equal() -> None:
    """Equal arrays have no differences."""
    assert differences_of(arrays_of(fitted_model()), arrays_of(fitted_model())) == ()


def test_values_that_differ_are_counted_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Differing values are counted in every chunk; the sign of a zero counts, since its bytes differ."""
    monkeypatch.setattr(reproduction, "VALUES_AT_ONCE", 3)
    before = {"weights": np.array([[1, -4, 0], [2, 3, 0.5]], np.float32)}
    after = {"weights": np.array([[1, -4, -0.0], [2, 3.25, 0.5]], np.float32)}
    assert differences_of(before, after) == (ArrayDifference("weights", "values", 2, 0.25, 4.0),)


def test_shapes_types_and_missing_arrays_differ() -> None:
    """Arrays that cannot be compared by value are named."""
    before = {"a": np.zeros(2), "b": np.zeros(2), "c": np.zeros(2), "e": np.zeros(0)}
    after = {"a": np.zeros(3), "b": np.zeros(2, np.float32), "d": np.zeros(2), "e": np.zeros(0)}
    assert [(difference.name, difference.what) for difference in differences_of(before, after)] == [
        ("a", "shape"),
        ("b", "type"),
        ("c", "only registered"),
        ("d", "only fitted again"),
    ]


def test_the_environment_is_compared_by_name() -> None:
    """Packages that were not recorded are unknown."""
    differences = environment_differences(
        {"numpy": "2.1", "python": "3.12"}, {"numpy": "2.2", "python": "3.12", "numba": "1"}
    )
    assert differences == (EnvironmentDifference("numba", "unknown", "1"), EnvironmentDifference("numpy", "2.1", "2.2"))


def test_the_document_names_the_outcome() -> None:
    """The document states the outcome in one word."""
    equal = Reproduction(7, "popular()", "ab", 3, (), ())
    other = Reproduction(7, "popular()", "ab", 3, (ArrayDifference("a", "shape"),), ())
    assert (equal.to_json()["outcome"], other.to_json()["outcome"]) == ("equal", "different")
    assert json.loads(json.dumps(other.to_json()))["differences"][0]["what"] == "shape"

"""Differences between a registered model and its reproduction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.documents import to_document
from cineclub.domain.recommend.recommender import FittedModel

VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class ArrayDifference:
    """One array that is not the same byte for byte.

    Attributes:
        name: of the array.
        what: the kind of the difference.
        n_different: the number of different values; None if they cannot be compared.
        largest: the largest absolute difference; None if they cannot be compared.
        largest_value: the largest absolute registered value, as the scale of the difference; None likewise.
    """

    name: str
    what: Literal["values", "shape", "type", "only registered", "only fitted again"]
    n_different: int | None = None
    largest: float | None = None
    largest_value: float | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentDifference:
    """A library, a processor or a number of threads that has changed since the version was fitted."""

    name: str
    then: str
    now: str


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The comparison of a registered version with a second fit.

    Attributes:
        version: the number of the version.
        recipe: its recipe, as text.
        snapshot_sha256: the ratings it was fitted on.
        n_arrays: the number of compared arrays.
        differences: the arrays that differ; none if the models are equal.
        environment: changes of the environment, a possible cause.
    """

    version: int
    recipe: str
    snapshot_sha256: str
    n_arrays: int
    differences: tuple[ArrayDifference, ...]
    environment: tuple[EnvironmentDifference, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every array is the same byte for byte."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """Return the reproduction as a JSON document."""
        outcome = "equal" if self.is_equal else "different"
        document: dict[str, Any] = to_document(self)
        return {"outcome": outcome, **document}


def arrays_of(fitted: FittedModel) -> dict[str, NDArray[np.generic]]:
    """Return every array of a model by name: its vocabulary, its popularity and those of its recommender."""
    of_recommender = {name: np.asarray(array) for name, array in fitted.recommender.arrays().items()}
    return {"movie_ids": fitted.movie_ids, "popularity": fitted.popularity, **of_recommender}


def differences_of(
    registered: Mapping[str, NDArray[np.generic]], again: Mapping[str, NDArray[np.generic]]
) -> tuple[ArrayDifference, ...]:
    """Return the differences between two sets of arrays by name, in alphabetic order; none if all bytes are equal."""
    names = sorted({*registered, *again})
    differences = [_difference(name, registered.get(name), again.get(name)) for name in names]
    return tuple(difference for difference in differences if difference is not None)


def environment_differences(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[EnvironmentDifference, ...]:
    """Return the changes from ``then`` to ``now`` in alphabetic order; a missing name counts as unknown."""
    names = sorted({*then, *now})
    pairs = ((name, then.get(name, "unknown"), now.get(name, "unknown")) for name in names)
    return tuple(EnvironmentDifference(name, before, after) for name, before, after in pairs if before != after)


def _difference(
    name: str, registered: NDArray[np.generic] | None, again: NDArray[np.generic] | None
) -> ArrayDifference | None:
    """Return the difference between two arrays of one name; None if they are equal."""
    if registered is None or again is None:
        return ArrayDifference(name, "only fitted again" if registered is None else "only registered")
    if registered.shape != again.shape:
        return ArrayDifference(name, "shape")
    if registered.dtype != again.dtype:
        return ArrayDifference(name, "type")
    return _difference_of_values(name, registered.reshape(-1), again.reshape(-1))


def _difference_of_values(
    name: str, registered: NDArray[np.generic], again: NDArray[np.generic]
) -> ArrayDifference | None:
    """Return the difference between flat arrays of one shape and type, computed in pieces; None if bytes are equal."""
    n_different, largest, largest_value = 0, 0.0, 0.0
    for start in range(0, len(registered), VALUES_AT_ONCE):
        before, after = registered[start : start + VALUES_AT_ONCE], again[start : start + VALUES_AT_ONCE]
        largest_value = max(largest_value, float(np.abs(before.astype(np.float64)).max()))
        if before.tobytes() == after.tobytes():
            continue
        gaps = np.abs(before.astype(np.float64) - after.astype(np.float64))
        n_different += int(np.count_nonzero((_bytes_of(before) != _bytes_of(after)).any(axis=1)))
        largest = max(largest, float(gaps.max()))
    return ArrayDifference(name, "values", n_different, largest, largest_value) if n_different else None


def _bytes_of(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return the bytes of flat values, shape (n, bytes each)."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.dtype.itemsize)

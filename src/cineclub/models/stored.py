"""Arrays of an artifact, checked before a model is made of them."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact

Scalar = TypeVar("Scalar", bound=np.generic)


class PartOfArrays(Mapping[str, NDArray[np.generic]]):
    """The arrays of one model among those of several: names that begin with its prefix, without the prefix."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> None:
        """Take all arrays and the prefix of the model's names."""
        self.prefix = prefix
        self._arrays = {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        """Return the array of a name without the prefix."""
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        """Return the names without the prefix."""
        return iter(self._arrays)

    def __len__(self) -> int:
        """Return the number of arrays."""
        return len(self._arrays)


def stored(
    arrays: Mapping[str, NDArray[np.generic]], name: str, dtype: type[Scalar], shape: tuple[int | None, ...]
) -> NDArray[Scalar]:
    """Return the array of a name; ``None`` in ``shape`` allows any length.

    Raises:
        BrokenArtifact: it is missing, or has another dtype or shape.
    """
    array = arrays.get(name)
    label = arrays.prefix + name if isinstance(arrays, PartOfArrays) else name
    if array is None:
        message = f"the model's array {label} is missing: train again or roll back to another version"
        raise BrokenArtifact(message)
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(dtype):
        message = (
            f"the model's array {label} is {array.dtype}{list(array.shape)} where {np.dtype(dtype)}{list(shape)} "
            "belongs: train again or roll back to another version"
        )
        raise BrokenArtifact(message)
    return array  # type: ignore[return-value]


def one_value(value: float) -> NDArray[np.float32]:
    """Return a number as an array of shape (1,), so that it can be stored as an array."""
    return np.array([value], np.float32)

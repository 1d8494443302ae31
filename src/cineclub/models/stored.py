"""Arrays as they come back from an artifact, checked before anything is answered from them."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact

Scalar = TypeVar("Scalar", bound=np.generic)


class PartOfArrays(Mapping[str, NDArray[np.generic]]):
    """The arrays of one model among those of several: those whose names begin with its prefix, without it."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> None:
        """Take all arrays, and the beginning of the names of those that belong here."""
        self.prefix = prefix
        self._arrays = {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        """Return the array of a name without the prefix."""
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        """Return the names without the prefix."""
        return iter(self._arrays)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._arrays)


def stored(
    arrays: Mapping[str, NDArray[np.generic]], name: str, dtype: type[Scalar], shape: tuple[int | None, ...]
) -> NDArray[Scalar]:
    """Return the array of a name; ``None`` in ``shape`` stands for any length.

    Raises:
        BrokenArtifact: it is missing, or has another dtype or shape.
    """
    found = arrays.get(name)
    label = arrays.prefix + name if isinstance(arrays, PartOfArrays) else name
    if found is None:
        message = f"the model's array {label} is missing: train again or roll back to another version"
        raise BrokenArtifact(message)
    fits = len(found.shape) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, found.shape, strict=True)
    )
    if not fits or found.dtype != np.dtype(dtype):
        message = (
            f"the model's array {label} is {found.dtype}{list(found.shape)} where {np.dtype(dtype)}{list(shape)} "
            "belongs: train again or roll back to another version"
        )
        raise BrokenArtifact(message)
    return found  # type: ignore[return-value]


def one_value(value: float) -> NDArray[np.float32]:
    """Return a number as an array of shape (1,), so that it is stored like everything else."""
    return np.array([value], np.float32)

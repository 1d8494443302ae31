"""Hyperparameters as values: each is declared once, with its default and its allowed values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from cineclub.domain.errors import InvalidInput
from cineclub.domain.recommend.recipe import Hyperparameter


@dataclass(frozen=True, slots=True)
class Range:
    """The values from ``lowest`` to ``highest``, both included; whole numbers only if ``lowest`` is an int."""

    lowest: float
    highest: float

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are allowed."""
        return isinstance(self.lowest, int)

    def holds(self, value: object) -> bool:
        """Return whether a value is a number of this range; NaN and booleans never are."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.lowest <= value <= self.highest and (isinstance(value, int) or not self.is_whole)

    def __str__(self) -> str:
        """Return for example ``a whole number from 1 to 512``."""
        return f"a {'whole ' if self.is_whole else ''}number from {self.lowest:g} to {self.highest:g}"


@dataclass(frozen=True, slots=True)
class Words:
    """One of a few words."""

    words: tuple[str, ...]

    def holds(self, value: object) -> bool:
        """Return whether a value is one of the words."""
        return value in self.words

    def __str__(self) -> str:
        """Return for example ``one of cosine, pearson``."""
        return f"one of {', '.join(self.words)}"


def within(default: float, lowest: float, highest: float) -> Any:
    """Return a dataclass field with a default and a range, whole numbers if ``lowest`` is an int."""
    return field(default=default, metadata={"allowed": Range(lowest, highest)})


def one_of(default: str, *others: str) -> Any:
    """Return a dataclass field that holds one of a few words."""
    return field(default=default, metadata={"allowed": Words((default, *others))})


def half_life() -> Any:
    """Return the field of a history's half-life in ratings, by which older ones count less; 0: all count alike."""
    return within(0.0, 0.0, 1_000_000.0)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The hyperparameters of one model, declared as fields made by ``within`` or ``one_of``."""

    def __post_init__(self) -> None:
        """Refuse a value that its field does not allow."""
        for declared in fields(self):
            allowed: Range | Words = declared.metadata["allowed"]
            if not allowed.holds(value := getattr(self, declared.name)):
                message = f"{declared.name} must be {allowed}, not {value!r}"
                raise InvalidInput(message)

    @classmethod
    def of(cls, values: Mapping[str, Hyperparameter]) -> Self:
        """Return the hyperparameters of a recipe, with defaults for those that it does not name.

        Raises:
            InvalidInput: a name that does not exist, or a value outside its range.
        """
        names = [declared.name for declared in fields(cls)]
        unknown = sorted(set(values) - set(names))
        if unknown:
            message = f"unknown hyperparameters {', '.join(unknown)}: there are {', '.join(names) or 'none'}"
            raise InvalidInput(message)
        return cls(**values)

    def by_name(self) -> dict[str, Hyperparameter]:
        """Return every hyperparameter, for a recipe."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class NoHyperparameters(Hyperparameters):
    """The hyperparameters of a model without any."""

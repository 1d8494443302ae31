"""A recipe: the name of a model and its hyperparameters, comparable and printable."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

Hyperparameter = int | float | str | bool
POPULAR = "popular"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model's name with its hyperparameters; recipes are equal when all of these are."""

    model: str
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return, for example, ``svd(learning_rate=0.005, n_factors=64)``; hyperparameters in alphabetic order."""
        inside = ", ".join(f"{name}={value}" for name, value in sorted(self.hyperparameters.items()))
        return f"{self.model}({inside})"

    @property
    def title(self) -> str:
        """The model for a table; that of popular says whose likes count: of all time, or of the last days.

        >>> Recipe("popular", {"half_life_days": 7.0}).title
        'popular, 7 days'
        """
        if self.model != POPULAR:
            return self.model
        half_life, window = (float(self.hyperparameters.get(name, 0)) for name in ("half_life_days", "window_days"))
        if not half_life and not window:
            return f"{POPULAR}, all time"
        days = half_life or window
        unit = "day" if days == 1 else "days"
        return f"{POPULAR}, {days:g} {unit}" if half_life else f"{POPULAR}, last {days:g} {unit}"

    def __hash__(self) -> int:
        """Hash what ``==`` compares."""
        return hash((self.model, frozenset(self.hyperparameters.items())))

    def to_json(self) -> str:
        """Return the recipe as canonical JSON: the same recipe always gives the same text."""
        return json.dumps({"model": self.model, "hyperparameters": dict(self.hyperparameters)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """Return the recipe that ``to_json`` wrote."""
        fields = json.loads(text)
        return cls(fields["model"], fields["hyperparameters"])

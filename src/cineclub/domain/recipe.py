"""A recipe: the name of a model and its hyperparameters, comparable and printable."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

Hyperparameter = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which model, fitted how. Two recipes are equal when name and every hyperparameter are."""

    model: str
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return for example ``svd(learning_rate=0.005, n_factors=64)``, hyperparameters in alphabetic order."""
        inside = ", ".join(f"{name}={value}" for name, value in sorted(self.hyperparameters.items()))
        return f"{self.model}({inside})"

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

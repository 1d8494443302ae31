"""What probation rolled back, and what the gate does with it: live outcomes outweigh another look at old ratings.

Without this the next nightly training would find the same recipe best on the same ratings and promote it again, to be
rolled back again. So for as long as a setback is fresh the gate holds what was rolled back; a person can promote it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Protocol

from cineclub.domain.recipe import Recipe

PROBATION = "probation"
PERSON = "person"


class PromotedRecipe(Protocol):
    """One row of the history of what served."""

    @property
    def version(self) -> int:
        """The version that served from then on."""
        ...

    @property
    def promoted_at(self) -> datetime:
        """Since when."""
        ...

    @property
    def promoted_by(self) -> str:
        """Who put it there."""
        ...

    @property
    def recipe(self) -> Recipe:
        """How it was fitted."""
        ...


@dataclass(frozen=True, slots=True)
class Setback:
    """A version that probation rolled back: its number, its recipe, and when."""

    version: int
    recipe: Recipe
    rolled_back_at: datetime

    def bars(self, recipe: Recipe, production: Recipe) -> bool:
        """Say whether a recipe must not replace production's for now.

        The recipe that was rolled back must not, nor the same model with other hyperparameters, which every search
        chooses a little differently; production's own recipe may be refitted, unless it is what was rolled back.
        """
        return recipe == self.recipe or (recipe.model == self.recipe.model and recipe != production)


def setbacks_of(newest_first: Sequence[PromotedRecipe], since: datetime) -> tuple[Setback, ...]:
    """Return what probation rolled back since a time; not a model that a person has promoted afterwards."""
    found = []
    chosen_by_people: set[str] = set()
    for row, before in pairwise(newest_first):
        if row.promoted_at < since:
            break
        if row.promoted_by == PERSON:
            chosen_by_people.add(row.recipe.model)
        if row.promoted_by == PROBATION and before.recipe.model not in chosen_by_people:
            found.append(Setback(before.version, before.recipe, row.promoted_at))
    return tuple(found)


def barring(setbacks: Sequence[Setback], recipe: Recipe, production: Recipe) -> Setback | None:
    """Return the newest setback that keeps a recipe from replacing production's; None if none does."""
    return next((one for one in setbacks if one.bars(recipe, production)), None)

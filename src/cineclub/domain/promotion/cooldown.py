"""The cool-down after a rollback by probation: for some time the gate holds the recipe that was rolled back.

Live outcomes outweigh another evaluation on old ratings. Without the cool-down the next nightly training would find the
same recipe best on the same ratings, and promote it again. A person can promote it at any time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cineclub.domain.promotion.records import Promotion
from cineclub.domain.recommend.recipe import Recipe

PROBATION = "probation"
PERSON = "person"


@dataclass(frozen=True, slots=True)
class RecentRollback:
    """A version that probation rolled back, its recipe, and the time of the rollback."""

    version: int
    recipe: Recipe
    rolled_back_at: datetime

    def blocks(self, recipe: Recipe, production: Recipe) -> bool:
        """Return whether a recipe must not replace production's during the cool-down.

        The recipe that was rolled back is blocked, and so is the same model with other hyperparameters, because each
        search chooses slightly different ones. Production's own recipe may be refitted unless it was rolled back.
        """
        return recipe == self.recipe or (recipe.model == self.recipe.model and recipe != production)


def recent_rollbacks_of(newest_first: Sequence[Promotion], since: datetime) -> tuple[RecentRollback, ...]:
    """Return the rollbacks by probation since a time, without models that a person has promoted afterwards."""
    rollbacks = []
    chosen_by_people: set[str] = set()
    for promotion, before in pairwise(newest_first):
        if promotion.promoted_at < since:
            break
        if promotion.promoted_by == PERSON:
            chosen_by_people.add(promotion.recipe.model)
        if promotion.promoted_by == PROBATION and before.recipe.model not in chosen_by_people:
            rollbacks.append(RecentRollback(before.version, before.recipe, promotion.promoted_at))
    return tuple(rollbacks)


def blocking_rollback(
    recent_rollbacks: Sequence[RecentRollback], recipe: Recipe, production: Recipe
) -> RecentRollback | None:
    """Return the newest rollback that blocks a recipe from replacing production's; None if none does."""
    return next((rollback for rollback in recent_rollbacks if rollback.blocks(recipe, production)), None)

"""Judging models on ratings at hand, without a registry: the training's own trial as a tool."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cineclub.domain.documents import to_document
from cineclub.domain.errors import NotEnoughData
from cineclub.domain.filtering import FilterReport
from cineclub.domain.ratings import RatingLog
from cineclub.domain.recipe import Recipe
from cineclub.domain.scoreboard import Scoreboard, Trial, filtered, rows_of
from cineclub.domain.splitting import SplitKind, split_ratings
from cineclub.domain.training_plan import TrainingPlan
from cineclub.flows import METERS
from cineclub.models import catalogue


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A scoreboard and how it came about: the same call on the same ratings gives the same numbers."""

    split: SplitKind
    test_fraction: float
    seed: int
    filter: FilterReport
    n_held_out: int
    n_users_without_history: int
    scoreboard: Scoreboard

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as a JSON document."""
        return {
            "split": self.split,
            "test_fraction": self.test_fraction,
            "seed": self.seed,
            "filter": to_document(self.filter),
            "n_held_out": self.n_held_out,
            "n_users_without_history": self.n_users_without_history,
            "models": to_document(list(rows_of(self.scoreboard.candidates))),
            "left_out": to_document(self.scoreboard.left_out),
        }


def evaluate_ratings(
    log: RatingLog,
    models: Sequence[str],
    split: SplitKind,
    test_fraction: float,
    seed: int,
    progress: Callable[[Recipe, float], None] = lambda _recipe, _fraction: None,
    plan: TrainingPlan | None = None,
) -> Evaluation:
    """Return how the models do on a split of a log, each with its default recipe.

    Args:
        log: the ratings to split.
        models: names of the catalogue; empty means all.
        split: ``time`` cuts everybody at one moment, ``last-out`` and ``random`` serve comparisons with papers.
        test_fraction: the share of the ratings to hold out.
        seed: what the random split and the fits derive from.
        progress: told which recipe is under way and the finished fraction of all; may raise to stop.
        plan: the filter's limits and the length of the lists; the defaults of the training if None.

    Raises:
        InvalidInput: an unknown model.
        NotEnoughData: nothing is left to learn from, or nobody to judge.
    """
    limits = plan or TrainingPlan()
    recipes = [catalogue.default_recipe(name) for name in models or tuple(catalogue.CATALOGUE)]
    parts = split_ratings(log, split, test_fraction, np.random.default_rng(seed))
    ratings, report = filtered(parts.fit, limits.min_ratings_per_user, limits.min_ratings_per_movie)
    if not len(parts.window):
        message = "nobody has both known and held-out ratings: hold out a larger fraction, or use the split last-out"
        raise NotEnoughData(message)
    trial = Trial(ratings, parts.window, limits.top_k, seed, catalogue.fit, METERS)
    return Evaluation(
        split=split,
        test_fraction=test_fraction,
        seed=seed,
        filter=report,
        n_held_out=len(parts.window.held_out),
        n_users_without_history=parts.window.n_users_without_history,
        scoreboard=trial.run_all(recipes, progress),
    )

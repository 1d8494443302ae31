"""Evaluation of models on given ratings, without a registry, by the folds of the training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from cineclub.domain.documents import to_document
from cineclub.domain.errors import NotEnoughData
from cineclub.domain.evaluation.plan import MANY_RATINGS, SearchKind, TrainingPlan
from cineclub.domain.evaluation.prequential import AnySplit, split_ratings
from cineclub.domain.evaluation.progress import RecipeProgress, ignore_progress, part_of
from cineclub.domain.evaluation.scoreboard import Fold, Scoreboard, grid_points, rows_of
from cineclub.domain.evaluation.search import search
from cineclub.domain.evaluation.splitting import SplitKind
from cineclub.domain.promotion.backtest import fold_of
from cineclub.domain.ratings.filtering import FilterReport
from cineclub.domain.ratings.log import RatingLog
from cineclub.flows import fit_within_memory
from cineclub.models import catalogue
from cineclub.runtime.machine import METERS

SEARCHED = "svd"


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """A scoreboard with its split and filter; the same call on the same ratings gives the same numbers."""

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
            "grid": to_document(list(rows_of(self.scoreboard.grid))),
            "left_out": to_document(self.scoreboard.left_out),
        }


def evaluate_ratings(
    log: RatingLog,
    models: Sequence[str],
    split: SplitKind,
    test_fraction: float,
    seed: int,
    progress: RecipeProgress = ignore_progress,
    plan: TrainingPlan | None = None,
    searched: SearchKind | Literal["none"] = "auto",
) -> EvaluationReport:
    """Return the evaluations of models on a split of a log.

    Args:
        log: the ratings to split.
        models: names of the catalogue; empty means all, or those for many ratings if there are many. A prequential
            split has the baselines too.
        split: ``prequential`` walks the newest ratings in the order of time, as a training does; ``time``, ``last-out``
            and ``random`` serve comparisons with papers.
        test_fraction: the share of the ratings to hold out.
        seed: of the random split and the fits.
        progress: receives the recipe under way and the finished fraction of all; may raise to stop.
        plan: the filter's limits and the length of the lists; the defaults of the training if None.
        searched: the search of the models' grids, on a split of the same kind within the ratings to fit on, so that
            no recipe is chosen on the ratings it is evaluated on; ``auto``: SVD's grid by halving if there are many
            ratings, else default recipes alone.

    Raises:
        InvalidInput: an unknown model.
        NotEnoughData: no ratings are left to fit on, or no users to evaluate.
    """
    limits = replace(
        plan or TrainingPlan(), models=tuple(models), seed=seed, search="auto" if searched == "none" else searched
    )
    limits = limits.sized(len(log))
    names = limits.models or tuple(catalogue.CATALOGUE)
    tuned = _tuned_names(names, len(log), searched)
    recipes = [catalogue.default_recipe(name) for name in names]
    if split == "prequential":
        recipes = list(dict.fromkeys((*recipes, *catalogue.BASELINES)))
    parts = split_ratings(log, split, test_fraction, np.random.default_rng(seed))
    fold, report = _fold(parts, limits)
    if tuned:  # first, because it raises if there are no users to evaluate
        tuning, _ = _fold(split_ratings(parts.fit, split, test_fraction, np.random.default_rng(seed)), limits)
    board = fold.run_all(recipes, part_of(progress, 0, 1 + len(tuned)))
    for nth, name in enumerate(tuned, start=1):
        board = _with_tuned(board, fold, tuning, name, limits, part_of(progress, nth, 1 + len(tuned)))
    return EvaluationReport(
        split=split,
        test_fraction=test_fraction,
        seed=seed,
        filter=report,
        n_held_out=len(fold.window.held_out),
        n_users_without_history=fold.window.n_users_without_history,
        scoreboard=board,
    )


def _with_tuned(
    board: Scoreboard, fold: Fold, tuning: Fold, name: str, limits: TrainingPlan, progress: RecipeProgress
) -> Scoreboard:
    """Return the scoreboard with the best point of a model's grid, chosen on the tuning fold, added."""
    points = grid_points(catalogue.default_recipe(name), catalogue.CATALOGUE[name].grid)
    searched = search(tuning, points, limits.search, limits.searched_user_share, progress)
    chosen = [searched.best().recipe] if searched.candidates and not board.of(searched.best().recipe) else []
    best = fold.run_all(chosen, lambda recipe, _fraction: progress(recipe, 1.0))
    left_out = searched.left_out + best.left_out
    return board.with_grid(Scoreboard(best.candidates, left_out, searched.grid or searched.candidates))


def _tuned_names(names: Sequence[str], n_ratings: int, searched: SearchKind | Literal["none"]) -> list[str]:
    """Return the models whose grids are searched: SVD alone on many ratings with ``auto``, else all with a grid."""
    if searched == "none":
        return []
    if searched == "auto":
        return [name for name in names if name == SEARCHED and n_ratings > MANY_RATINGS]
    return [name for name in names if catalogue.CATALOGUE[name].grid]


def _fold(split: AnySplit, plan: TrainingPlan) -> tuple[Fold, FilterReport]:
    """Return the fold of a split, and the report of the filter.

    Raises:
        NotEnoughData: no user can be evaluated, or the filter left no ratings.
    """
    if not len(split.window):
        message = "nobody has both known and held-out ratings: hold out a larger fraction, or use the split last-out"
        raise NotEnoughData(message)
    return fold_of(split, plan, fit_within_memory, METERS)

"""Judging models on ratings at hand, without a registry: the training's own trial as a tool."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from cineclub.domain.documents import to_document
from cineclub.domain.errors import NotEnoughData
from cineclub.domain.filtering import FilterReport
from cineclub.domain.ratings import RatingLog
from cineclub.domain.scoreboard import Scoreboard, Trial, filtered, grid_points, rows_of
from cineclub.domain.search import Tell, search
from cineclub.domain.splitting import Split, SplitKind, split_ratings
from cineclub.domain.training_plan import MANY_RATINGS, SearchKind, TrainingPlan
from cineclub.flows import METERS, fit_within_memory
from cineclub.models import catalogue

SEARCHED = "svd"


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
            "grid": to_document(list(rows_of(self.scoreboard.grid))),
            "left_out": to_document(self.scoreboard.left_out),
        }


def evaluate_ratings(
    log: RatingLog,
    models: Sequence[str],
    split: SplitKind,
    test_fraction: float,
    seed: int,
    progress: Tell = lambda _recipe, _fraction: None,
    plan: TrainingPlan | None = None,
    searched: SearchKind | Literal["none"] = "auto",
) -> Evaluation:
    """Return how the models do on a split of a log.

    Args:
        log: the ratings to split.
        models: names of the catalogue; empty means all, or those for many ratings where there are many.
        split: ``time`` cuts everybody at one moment, ``last-out`` and ``random`` serve comparisons with papers.
        test_fraction: the share of the ratings to hold out.
        seed: what the random split and the fits derive from.
        progress: told which recipe is under way and the finished fraction of all; may raise to stop.
        plan: the filter's limits and the length of the lists; the defaults of the training if None.
        searched: how to search the models' grids, on a split of the same kind within the ratings to learn from, so
            that nothing is chosen by what it is judged on; ``auto``: SVD's grid by halving where there are many
            ratings, else default recipes alone.

    Raises:
        InvalidInput: an unknown model.
        NotEnoughData: nothing is left to learn from, or nobody to judge.
    """
    limits = replace(
        plan or TrainingPlan(), models=tuple(models), seed=seed, search="auto" if searched == "none" else searched
    )
    limits = limits.sized(len(log))
    names = limits.models or tuple(catalogue.CATALOGUE)
    tuned = _tuned_names(names, len(log), searched)
    recipes = [catalogue.default_recipe(name) for name in names]
    parts = split_ratings(log, split, test_fraction, np.random.default_rng(seed))
    trial, report = _trial(parts, limits)
    if tuned:  # first, because it may find nobody to judge
        tuning, _ = _trial(split_ratings(parts.fit, split, test_fraction, np.random.default_rng(seed)), limits)
    board = trial.run_all(recipes, _part(progress, 0, 1 + len(tuned)))
    for nth, name in enumerate(tuned, start=1):
        board = _with_tuned(board, trial, tuning, name, limits, _part(progress, nth, 1 + len(tuned)))
    return Evaluation(
        split=split,
        test_fraction=test_fraction,
        seed=seed,
        filter=report,
        n_held_out=len(trial.window.held_out),
        n_users_without_history=trial.window.n_users_without_history,
        scoreboard=board,
    )


def _with_tuned(
    board: Scoreboard, trial: Trial, tuning: Trial, name: str, limits: TrainingPlan, tell: Tell
) -> Scoreboard:
    """Return the scoreboard joined by the point of a model's grid that is best where grids are searched."""
    points = grid_points(catalogue.default_recipe(name), catalogue.CATALOGUE[name].grid)
    found = search(tuning, points, limits.search, limits.searched_user_share, tell)
    chosen = [found.best().recipe] if found.candidates and not board.of(found.best().recipe) else []
    best = trial.run_all(chosen, lambda recipe, _fraction: tell(recipe, 1.0))
    left_out = found.left_out + best.left_out
    return board.with_grid(Scoreboard(best.candidates, left_out, found.grid or found.candidates))


def _tuned_names(names: Sequence[str], n_ratings: int, searched: SearchKind | Literal["none"]) -> list[str]:
    """Return the models whose grids are searched: all when asked for, else SVD alone where there are many ratings."""
    if searched == "none":
        return []
    if searched == "auto":
        return [name for name in names if name == SEARCHED and n_ratings > MANY_RATINGS]
    return [name for name in names if catalogue.CATALOGUE[name].grid]


def _trial(parts: Split, limits: TrainingPlan) -> tuple[Trial, FilterReport]:
    """Return the common ground of the candidates of a split, and what the filter left of it."""
    ratings, report = filtered(parts.fit, limits.min_ratings_per_user, limits.min_ratings_per_movie)
    if not len(parts.window):
        message = "nobody has both known and held-out ratings: hold out a larger fraction, or use the split last-out"
        raise NotEnoughData(message)
    window = parts.window.sampled(limits.max_judged_users, np.random.default_rng(limits.seed))
    return Trial(ratings, window, limits.top_k, limits.seed, fit_within_memory, METERS), report


def _part(progress: Tell, nth: int, n_parts: int) -> Tell:
    """Return the progress of one part of the evaluation."""
    return lambda recipe, fraction: progress(recipe, (nth + fraction) / n_parts)

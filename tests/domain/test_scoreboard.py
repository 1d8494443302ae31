"""Candidates are evaluated in order, refused ones are named, and the best is returned."""

import numpy as np
import pytest
from log_strategies import log_of

from cineclub.domain.errors import InvalidInput, NotEnoughData, TrainingCancelled
from cineclub.domain.evaluation.scoreboard import Fold, Meters, Scoreboard, grid_points, rng_of
from cineclub.domain.evaluation.splitting import split_at
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel, Progress


def refuse(recipe: Recipe, _ratings: RatingMatrix, _rng: np.random.Generator, progress: Progress) -> FittedModel:
    """A catalogue that refuses every fit as too large."""
    progress(0.5)
    message = f"{recipe.model} is too large"
    raise InvalidInput(message)


@pytest.fixture
def fold() -> Fold:
    """A fold of two users, one of them evaluated, with models that refuse to be fitted."""
    split = split_at(log_of([(1, 1, 4.0, 0), (1, 2, 4.0, 9), (2, 2, 4.0, 1)]), 5)
    matrix = RatingMatrix.from_log(split.fit)
    return Fold(matrix, split.window, 2, 0, refuse, Meters(lambda: 0.0, lambda: 0))


def test_a_refused_candidate_is_left_out_with_its_reason(fold: Fold) -> None:
    """A refused candidate has its reason in the scoreboard; without any candidate the error has it."""
    board = fold.run_all([Recipe("ease")])
    assert [left.reason for left in board.left_out] == ["ease is too large"]
    with pytest.raises(NotEnoughData, match="ease is too large"):
        board.best()


def test_a_cancelled_run_stops_at_once(fold: Fold) -> None:
    """An exception of the progress callback is not a refusal."""

    def cancel(_recipe: Recipe, _fraction: float) -> None:
        message = "stopped"
        raise TrainingCancelled(message)

    with pytest.raises(TrainingCancelled):
        fold.run_all([Recipe("ease"), Recipe("knn")], cancel)


def test_a_grid_has_a_point_for_every_combination() -> None:
    """Values of the grid replace the defaults; the other defaults stay."""
    points = grid_points(
        Recipe("svd", {"n_factors": 8, "n_epochs": 20}), {"n_factors": (1, 2), "learning_rate": (0.1,)}
    )
    assert points == [
        Recipe("svd", {"n_factors": n_factors, "n_epochs": 20, "learning_rate": 0.1}) for n_factors in (1, 2)
    ]


def test_the_randomness_of_a_fit_depends_on_the_seed_and_the_model_alone() -> None:
    """Two points of a grid have the same random start; another model or seed has another."""
    draws = [rng_of(seed, Recipe(model, points)).random() for seed, model, points in SEEDED]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


SEEDED = [(0, "svd", {"n_factors": 8}), (0, "svd", {"n_factors": 9}), (0, "random", {}), (1, "svd", {})]


def test_an_empty_search_adds_nothing() -> None:
    """A grid whose points were all refused leaves the candidates unchanged."""
    assert Scoreboard(()).with_grid(Scoreboard(())) == Scoreboard(())

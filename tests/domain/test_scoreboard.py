"""Candidates are tried in order, refused ones are named, and the best is found."""

import numpy as np
import pytest
from log_strategies import log_of

from cineclub.domain.errors import InvalidInput, NotEnoughData, TrainingCancelled
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel, Progress
from cineclub.domain.scoreboard import Meters, Scoreboard, Trial, grid_points, rng_of
from cineclub.domain.splitting import split_at


def refuse(recipe: Recipe, _ratings: RatingMatrix, _rng: np.random.Generator, progress: Progress) -> FittedModel:
    """A catalogue that finds everything too large."""
    progress(0.5)
    message = f"{recipe.model} is too large"
    raise InvalidInput(message)


@pytest.fixture
def trial() -> Trial:
    """Two people, one of them judged, and models that refuse to be fitted."""
    split = split_at(log_of([(1, 1, 4.0, 0), (1, 2, 4.0, 9), (2, 2, 4.0, 1)]), 5)
    matrix = RatingMatrix.from_log(split.fit)
    return Trial(matrix, split.window, 2, 0, refuse, Meters(lambda: 0.0, lambda: 0))


def test_a_refused_candidate_is_left_out_with_its_reason(trial: Trial) -> None:
    """The scoreboard says why, and where nothing is left the error says it too."""
    board = trial.run_all([Recipe("ease")])
    assert [left.reason for left in board.left_out] == ["ease is too large"]
    with pytest.raises(NotEnoughData, match="ease is too large"):
        board.best()


def test_a_cancelled_run_stops_at_once(trial: Trial) -> None:
    """What progress raises is no refusal."""

    def cancel(_recipe: Recipe, _fraction: float) -> None:
        message = "stopped"
        raise TrainingCancelled(message)

    with pytest.raises(TrainingCancelled):
        trial.run_all([Recipe("ease"), Recipe("knn")], cancel)


def test_a_grid_has_a_point_for_every_combination() -> None:
    """Values of the grid take the place of the defaults, which stay otherwise."""
    points = grid_points(
        Recipe("svd", {"n_factors": 8, "n_epochs": 20}), {"n_factors": (1, 2), "learning_rate": (0.1,)}
    )
    assert points == [
        Recipe("svd", {"n_factors": n_factors, "n_epochs": 20, "learning_rate": 0.1}) for n_factors in (1, 2)
    ]


def test_the_randomness_of_a_fit_depends_on_the_seed_and_the_model_alone() -> None:
    """Two points of a grid start alike; another model or seed does not."""
    draws = [rng_of(seed, Recipe(model, points)).random() for seed, model, points in SEEDED]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


SEEDED = [(0, "svd", {"n_factors": 8}), (0, "svd", {"n_factors": 9}), (0, "random", {}), (1, "svd", {})]


def test_an_empty_search_adds_nothing() -> None:
    """A grid of which every point was refused leaves the candidates as they are."""
    assert Scoreboard(()).with_grid(Scoreboard(())) == Scoreboard(())

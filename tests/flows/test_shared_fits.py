"""Points of a search that differ in predictions alone share a fit, and are the models that a fit of their own gives."""

from dataclasses import replace

import numpy as np
import pytest
from tastes import log_of_tastes

from cineclub.domain.evaluation.scoreboard import grid_points, rng_of, with_fit_of
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel, SharesFits
from cineclub.models import catalogue

MATRIX = RatingMatrix.from_log(log_of_tastes())


def fitted(recipe: Recipe) -> FittedModel:
    """Return the model of a recipe, fitted anew."""
    return catalogue.fit(recipe, MATRIX, rng_of(0, recipe), lambda _fraction: None)


@pytest.mark.parametrize("name", ["ease", "slist", "blend"])
def test_a_shared_fit_is_the_model_of_a_fit_of_its_own(name: str) -> None:
    """Every point of the grid that shares the fit of the point before it has the arrays of its own fit, bit for bit."""
    points = grid_points(catalogue.default_recipe(name), catalogue.CATALOGUE[name].grid)
    last, n_shared = fitted(points[0]), 0
    for point in points[1:]:
        own, shared = fitted(point), with_fit_of(last, point)
        if shared is not None:
            n_shared += 1
            assert shared.recipe == own.recipe == point
            expected, actual = own.recommender.arrays(), shared.recommender.arrays()
            assert expected.keys() == actual.keys()
            assert all(np.array_equal(expected[key], actual[key]) for key in expected)
        last = shared or own
    assert n_shared >= len(points) // 2


def test_only_recipes_that_predict_otherwise_share_a_fit() -> None:
    """Another model, another penalty, and a model without such hyperparameters are fitted anew."""
    ease = fitted(catalogue.default_recipe("ease"))
    assert isinstance(ease.recommender, SharesFits)
    recipe = ease.recipe
    another_penalty = replace(recipe, hyperparameters={**recipe.hyperparameters, "regularization": 1.0})
    assert with_fit_of(ease, another_penalty) is None
    assert with_fit_of(ease, catalogue.default_recipe("slist")) is None
    svd = fitted(catalogue.default_recipe("svd"))
    assert with_fit_of(svd, replace(svd.recipe, hyperparameters={**svd.recipe.hyperparameters, "n_factors": 2})) is None

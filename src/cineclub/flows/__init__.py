"""One module per drawing, its steps in the drawing's order."""

import numpy as np

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel, Progress
from cineclub.models import catalogue
from cineclub.runtime.machine import available_memory_bytes


def fit_within_memory(
    recipe: Recipe, ratings: RatingMatrix, rng: np.random.Generator, progress: Progress
) -> FittedModel:
    """Return the recipe's model of a matrix, fitted only if the free memory suffices.

    Raises:
        InvalidInput: the recipe is wrong, or the fit needs more memory than is free.
        NotEnoughData: there is no rating to learn from.
    """
    return catalogue.fit(recipe, ratings, rng, progress, available_memory_bytes())

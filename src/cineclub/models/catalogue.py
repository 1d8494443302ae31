"""The catalogue of models: fits by recipe, hyperparameters, search grids, and restoring from arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact, InvalidInput, NotEnoughData
from cineclub.domain.evaluation.plan import SVD_GRID
from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.log import RatingScale, UserRatings
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.ratings.popularity import popularity_of
from cineclub.domain.recommend.recipe import Hyperparameter, Recipe
from cineclub.domain.recommend.recommender import FittedModel, History, Progress, Recommender
from cineclub.models.bayesian_mf import BayesianMf, BayesianMfHyperparameters
from cineclub.models.bias import Bias, BiasHyperparameters
from cineclub.models.blend import Blend, BlendHyperparameters
from cineclub.models.combination import Combination, CombinationHyperparameters
from cineclub.models.ease import Ease, EaseHyperparameters
from cineclub.models.hyperparameters import Hyperparameters, NoHyperparameters
from cineclub.models.ials import Ials, IalsHyperparameters
from cineclub.models.knn import Knn, KnnHyperparameters
from cineclub.models.popular import Popular, PopularHyperparameters
from cineclub.models.random import Random
from cineclub.models.slist import Slist, SlistHyperparameters
from cineclub.models.svd import Svd, SvdHyperparameters

GIB = 2**30


class Trainable(Recommender, Protocol):
    """A recommender that can be fitted."""

    @classmethod
    def fit(cls, ratings: RatingMatrix, hyperparameters: Any, rng: np.random.Generator, progress: Progress) -> Self:
        """Return the model of a matrix; the same matrix, hyperparameters and generator give the same arrays."""
        ...

    @classmethod
    def needed_bytes(cls, hyperparameters: Any, extent: Extent) -> int:
        """Return the approximate peak memory of a fit in bytes, without the matrix itself."""
        ...


@dataclass(frozen=True, slots=True)
class Trainer:
    """One model of the catalogue.

    Attributes:
        model: its class.
        hyperparameters: the class of its hyperparameters, with their defaults.
        grid: the values of a search; empty without a search. Hyperparameters of predictions alone come last, so that
            points beside each other share a fit.
        takes_filtered: whether users and movies with few ratings are left out of its fit; else it gets all ratings, and
            its vocabulary is the whole catalogue.
    """

    model: type[Trainable]
    hyperparameters: type[Hyperparameters] = NoHyperparameters
    grid: Mapping[str, Sequence[Hyperparameter]] = field(default_factory=dict)
    takes_filtered: bool = True


_TRAINERS = (
    Trainer(Random),
    Trainer(
        Popular,
        PopularHyperparameters,
        grid={"half_life_days": (1.0, 3.0, 7.0, 30.0)},
        takes_filtered=False,
    ),
    Trainer(Bias, BiasHyperparameters),
    Trainer(Knn, KnnHyperparameters, grid={"n_neighbours": (40, 100, 200), "shrinkage": (10.0, 25.0, 100.0)}),
    Trainer(Svd, SvdHyperparameters, grid=SVD_GRID),
    Trainer(BayesianMf, BayesianMfHyperparameters),
    Trainer(
        Ease,
        EaseHyperparameters,
        grid={"regularization": (100.0, 300.0, 1000.0), "history_half_life": (0.0, 20.0, 5.0)},
    ),
    Trainer(
        Slist,
        SlistHyperparameters,
        grid={
            "regularization": (150.0, 500.0),
            "transition_half_life": (3.0, 20.0),
            "history_half_life": (2.0, 4.0, 8.0),
        },
    ),
    Trainer(
        Ials,
        IalsHyperparameters,
        grid={
            "unobserved_weight": (0.1, 1.0, 3.0),
            "regularization": (6.0, 8.0, 11.0),
            "dislike_weight": (0.0, 0.1),
        },
    ),
    Trainer(
        Blend,
        BlendHyperparameters,
        grid={
            "transition_half_life": (3.0, 20.0),
            "ials_vote": (0.25, 0.5, 1.0),
            "history_half_life": (2.0, 8.0),
        },
    ),
    Trainer(
        Combination,
        CombinationHyperparameters,
        grid={"learned_on": ("newest", "last-out")},
        takes_filtered=False,
    ),
)

TRENDS = tuple(
    Recipe(Popular.name, PopularHyperparameters(half_life_days=days).by_name()) for days in (1.0, 3.0, 7.0, 30.0)
)
"""Popular by the likes of the last days."""

FLOORS = (Recipe(Popular.name, PopularHyperparameters().by_name()), *TRENDS)
"""Popular of all time and by the likes of the last days: the best of them is the floor of every decision."""

BASELINES = (
    *FLOORS,
    Recipe(Bias.name, BiasHyperparameters().by_name()),
    Recipe(Random.name, NoHyperparameters().by_name()),
)
"""Recipes that every prequential table has."""

CATALOGUE: Mapping[str, Trainer] = {trainer.model.name: trainer for trainer in _TRAINERS}
"""Every model, the simplest first."""


def default_recipe(name: str) -> Recipe:
    """Return the recipe of a model with all hyperparameters at their defaults.

    Raises:
        InvalidInput: there is no model of that name.
    """
    return Recipe(name, _trainer(name).hyperparameters().by_name())


def completed(recipe: Recipe) -> Recipe:
    """Return a recipe of an earlier release with the hyperparameters that its model has gained since, at defaults."""
    if recipe.model not in CATALOGUE:
        return recipe
    return Recipe(recipe.model, {**default_recipe(recipe.model).hyperparameters, **recipe.hyperparameters})


def fit(
    recipe: Recipe,
    ratings: RatingMatrix,
    rng: np.random.Generator,
    progress: Progress,
    memory_limit_bytes: int | None = None,
) -> FittedModel:
    """Return the recipe's model of a matrix, with its vocabulary and the movies' popularity.

    Args:
        recipe: the model; hyperparameters that it does not name take their defaults.
        ratings: the ratings to fit on.
        rng: the generator of its random choices.
        progress: receives the finished fraction; may raise to stop.
        memory_limit_bytes: the memory that the fit may take beside the matrix; None for no limit.

    Raises:
        InvalidInput: an unknown model or hyperparameter, a value outside its range, or more memory needed than allowed.
        NotEnoughData: there is no rating to learn from.
    """
    trainer = _trainer(recipe.model)
    hyperparameters = trainer.hyperparameters.of(recipe.hyperparameters)
    if not ratings.n_ratings:
        message = "there are no ratings to learn from: import some with `cineclub import PATH`"
        raise NotEnoughData(message)
    if not trainer.takes_filtered:
        ratings = ratings.of_all
    _check_memory(recipe.model, trainer.model.needed_bytes(hyperparameters, ratings.extent), memory_limit_bytes)
    progress(0.0)
    recommender = trainer.model.fit(ratings, hyperparameters, rng, progress)
    progress(1.0)
    fitted_recipe = Recipe(recipe.model, hyperparameters.by_name())
    return FittedModel(fitted_recipe, recommender, ratings.movie_ids, popularity_of(ratings), ratings.scale)


def restore(
    recipe: Recipe,
    arrays: Mapping[str, NDArray[np.generic]],
    movie_ids: NDArray[np.int64],
    popularity: NDArray[np.float32],
    scale: RatingScale,
) -> FittedModel:
    """Return the fitted model of the arrays of an artifact.

    Raises:
        InvalidInput: there is no model of the recipe's name.
        BrokenArtifact: an array is missing or does not fit the others.
    """
    recommender = _trainer(recipe.model).model.from_arrays(arrays)
    n_scored = len(recommender.scores(History.of(UserRatings.none(), movie_ids)))
    if not n_scored == len(movie_ids) == len(popularity):
        message = f"the model scores {n_scored} films and names {len(movie_ids)}: train again or roll back"
        raise BrokenArtifact(message)
    return FittedModel(recipe, recommender, movie_ids, popularity, scale)


def _check_memory(name: str, needed_bytes: int, limit_bytes: int | None) -> None:
    """Refuse a fit that would exceed the memory limit."""
    if limit_bytes is not None and needed_bytes > limit_bytes:
        message = (
            f"{name} needs about {needed_bytes / GIB:.1f} GiB to learn from these ratings, and "
            f"{limit_bytes / GIB:.1f} GiB are free: raise min_ratings_per_movie, choose other models, or find a larger "
            "machine"
        )
        raise InvalidInput(message)


def _trainer(name: str) -> Trainer:
    """Return the trainer of a name."""
    trainer = CATALOGUE.get(name)
    if trainer is None:
        message = f"there is no model {name!r}: there are {', '.join(CATALOGUE)}"
        raise InvalidInput(message)
    return trainer

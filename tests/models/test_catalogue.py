"""The catalogue of models: names, refusals, memory limits and light imports."""

import subprocess
import sys

import numpy as np
import pytest
from small_ratings import drawn_matrix, ignore

from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.models.catalogue import CATALOGUE, default_recipe, fit

NAMES = ["random", "popular", "bias", "knn", "svd", "bayesian_mf", "ease", "slist", "ials", "blend", "combination"]
HEAVY = ("numba", "scipy", "pandas", "pyarrow", "mlflow")


def test_the_models_of_the_training_flow_are_there() -> None:
    """The candidates of the training flow and the baseline are in the catalogue."""
    assert list(CATALOGUE) == NAMES


def test_importing_the_catalogue_imports_numpy_alone() -> None:
    """Importing the catalogue loads no compiler or solver."""
    code = f"import sys, cineclub.models.catalogue; print([name for name in {HEAVY} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_an_unknown_model_is_refused_with_those_there_are() -> None:
    """The message lists the names of the models."""
    with pytest.raises(InvalidInput, match=f"'oracle'.*{', '.join(NAMES)}"):
        default_recipe("oracle")


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_fitted_model_names_every_hyperparameter(name: str) -> None:
    """An empty recipe is completed with all hyperparameters, so that it can be fitted again."""
    assert fit(Recipe(name), drawn_matrix(), np.random.default_rng(0), ignore).recipe == default_recipe(name)


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_grid_holds_valid_values_only(name: str) -> None:
    """Every value of a grid is valid for its model."""
    trainer = CATALOGUE[name]
    for label, values in trainer.grid.items():
        for value in values:
            assert trainer.hyperparameters.of({label: value}).by_name()[label] == value


@pytest.mark.parametrize("name", sorted(set(CATALOGUE) - {"random"}))
def test_a_fit_that_needs_more_memory_than_there_is_never_starts(name: str) -> None:
    """A fit that needs too much memory is refused before it allocates, with the need and the next step."""
    fractions: list[float] = []
    with pytest.raises(InvalidInput, match=f"{name} needs about .* GiB .*min_ratings_per_movie"):
        fit(default_recipe(name), drawn_matrix(), np.random.default_rng(0), fractions.append, memory_limit_bytes=100)
    assert not fractions


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_the_memory_needed_grows_with_the_ratings(name: str) -> None:
    """A hundred times the users, films and ratings need more memory."""
    trainer = CATALOGUE[name]
    small, large = (
        trainer.model.needed_bytes(trainer.hyperparameters(), Extent(n, n, 10 * n)) for n in (1_000, 100_000)
    )
    assert 0 < small < large


def test_nothing_is_learned_from_nothing() -> None:
    """An empty matrix is refused with the next step."""
    empty = np.empty(0, np.int64)
    log = RatingLog.from_columns(empty, empty, empty.astype(np.float32), empty, RatingScale(1, 5))
    with pytest.raises(NotEnoughData, match="cineclub import"):
        fit(default_recipe("popular"), RatingMatrix.from_log(log), np.random.default_rng(0), ignore)


def test_a_whole_number_serves_as_a_decimal_one_but_not_the_other_way() -> None:
    """An integer is accepted for a float hyperparameter, and 2.5 factors are refused."""
    assert CATALOGUE["ease"].hyperparameters.of({"regularization": 300}) == CATALOGUE["ease"].hyperparameters()
    with pytest.raises(InvalidInput, match="n_factors must be a whole number from 1 to 512"):
        CATALOGUE["svd"].hyperparameters.of({"n_factors": 2.5})

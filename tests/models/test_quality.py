"""Quality of the models on real ratings."""

from pathlib import Path

import numpy as np
import pytest
from real_ratings import log_of_folder, newest_tenth

from cineclub.domain.evaluation.evaluate import Evaluation, evaluate
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.models import catalogue
from cineclub.models.baseline import Baseline
from cineclub.models.svd import SvdHyperparameters, trained_factors

MAX_RMSE = {"bias": 1.0, "knn": 0.97, "svd": 0.99, "bayesian_mf": 0.95}
PEER_RMSE = {100_836: 0.8830, 100_004: 0.9008}
"""What Surprise 1.1.5 reaches on exactly the split below, with the same hyperparameters, by number of ratings.

The first is ml-latest-small as it stands, the second the older edition of it that the demo ratings are.
"""
MAX_BEHIND_PEER = 0.003
"""Four seeds of the peer differ by 0.0016 on one split; this is about twice that."""
MIN_NDCG = {"popular": 0.06, "knn": 0.09, "ease": 0.10, "slist": 0.06, "ials": 0.09, "blend": 0.09}


@pytest.fixture(scope="module")
def real_log(ml_small: Path) -> RatingLog:
    """The real ratings."""
    return log_of_folder(ml_small)


@pytest.fixture(scope="module")
def evaluations(real_log: RatingLog) -> dict[str, Evaluation]:
    """Every model of the catalogue, evaluated on the newest tenth."""
    ratings, split = newest_tenth(real_log)
    return {
        name: evaluate(
            catalogue.fit(catalogue.default_recipe(name), ratings, np.random.default_rng(0), lambda _fraction: None),
            split.window,
            10,
        )
        for name in catalogue.CATALOGUE
    }


def ndcg_of(evaluation: Evaluation) -> float:
    """Return the mean of the primary metric."""
    return evaluation.metrics()["ndcg_at_10"]


@pytest.mark.parametrize("name", sorted(MIN_NDCG))
def test_lists_are_good_enough(name: str, evaluations: dict[str, Evaluation]) -> None:
    """The ranking metric of each model stays above its floor."""
    assert ndcg_of(evaluations[name]) >= MIN_NDCG[name]


@pytest.mark.parametrize("name", sorted(MAX_RMSE))
def test_predicted_stars_are_close_enough(name: str, evaluations: dict[str, Evaluation]) -> None:
    """The RMSE of folded-in users stays below its ceiling."""
    assert evaluations[name].rmse <= MAX_RMSE[name]


def test_models_stand_in_the_expected_order(evaluations: dict[str, Evaluation]) -> None:
    """Personal models beat popularity, and popularity beats chance."""
    order = sorted(("random", "popular", "knn", "ease"), key=lambda name: ndcg_of(evaluations[name]))
    assert order[0] == "random"
    assert order[1] == "popular"


def test_the_sampled_model_has_the_lowest_rating_error(evaluations: dict[str, Evaluation]) -> None:
    """Without a grid, the mean over samples has a lower RMSE than each single model."""
    errors = {name: evaluation.rmse for name, evaluation in evaluations.items() if evaluation.predicts_stars}
    assert min(errors, key=lambda name: errors[name]) == "bayesian_mf"
    assert errors["bayesian_mf"] < errors["svd"] - 0.01


@pytest.mark.parametrize("name", ["knn", "svd"])
def test_models_of_taste_predict_stars_better_than_means(name: str, evaluations: dict[str, Evaluation]) -> None:
    """Models of taste have a lower RMSE than means of films and users."""
    assert evaluations[name].rmse < evaluations["bias"].rmse


def test_trained_vectors_predict_held_out_ratings_as_published_models_do(real_log: RatingLog) -> None:
    """On a random fifth SVD beats damped means, with the RMSE of another implementation."""
    rng = np.random.default_rng(0)
    is_held_out = rng.random(len(real_log)) < 0.2
    ratings = RatingMatrix.from_log(real_log.take(~is_held_out))
    mean = ratings.ratings.mean(dtype=np.float64)
    factors = trained_factors(ratings, SvdHyperparameters(64, 20, 0.005, 0.02), rng, lambda _fraction: None)
    held_out = real_log.take(is_held_out)
    known = np.isin(held_out.movie_ids, ratings.movie_ids) & np.isin(held_out.user_ids, ratings.user_ids)
    held_out = held_out.take(known)
    movies = np.searchsorted(ratings.movie_ids, held_out.movie_ids)
    users = np.searchsorted(ratings.user_ids, held_out.user_ids)
    products = (factors.user_factors[users] * factors.movie_factors[movies]).sum(axis=1)
    unit = (5 - 0.5) / 4
    predicted = mean + unit * (factors.user_offsets[users] + factors.movie_offsets[movies] + products)
    rmse = np.sqrt(np.mean((np.clip(predicted, 0.5, 5) - held_out.ratings) ** 2))
    means = mean + Baseline.fit(ratings, 5, 5).movie_offsets[movies]
    assert rmse < PEER_RMSE[len(real_log)] + MAX_BEHIND_PEER
    assert rmse < np.sqrt(np.mean((means - held_out.ratings) ** 2))

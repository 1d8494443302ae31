"""The list quality of the benchmarks equals cineclub's evaluation."""

import sys
from pathlib import Path

import numpy as np

from cineclub.domain.evaluation.evaluate import evaluate
from cineclub.domain.evaluation.splitting import split_last_out
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.models import catalogue

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from generated_ratings import Size, generate
from list_quality import quality_of
from ours import lists


def test_lists_have_the_quality_of_the_evaluation() -> None:
    """nDCG@10 and recall@20 equal those of the evaluation for each user."""
    split = split_last_out(generate(Size.of(20_000), 0).log(), 0.2)
    ratings = RatingMatrix.from_log(split.fit)
    fitted = catalogue.fit(Recipe("knn", {}), ratings, np.random.default_rng(0), lambda _fraction: None)
    quality = quality_of(lists(fitted, split.window, 20), split.window)
    assert np.allclose(quality.ndcg, evaluate(fitted, split.window, 10).per_user["ndcg"], equal_nan=True)
    assert np.allclose(quality.recall, evaluate(fitted, split.window, 20).per_user["recall"], equal_nan=True)
    assert quality.mean_ndcg > 0

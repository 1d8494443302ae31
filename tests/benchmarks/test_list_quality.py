"""Peers and models are judged by the same measure that cineclub judges by."""

import sys
from pathlib import Path

import numpy as np

from cineclub.domain.evaluation import judge
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recipe import Recipe
from cineclub.domain.splitting import split_last_out
from cineclub.models import catalogue

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from generated_ratings import Size, generate
from list_quality import quality_of
from ours import lists


def test_lists_are_worth_what_the_evaluation_says() -> None:
    """nDCG@10 of lists of 20 is that of the evaluation, and recall@20 too, person by person."""
    split = split_last_out(generate(Size.of(20_000), 0).log(), 0.2)
    ratings = RatingMatrix.from_log(split.fit)
    fitted = catalogue.fit(Recipe("knn", {}), ratings, np.random.default_rng(0), lambda _fraction: None)
    quality = quality_of(lists(fitted, split.window, 20), split.window)
    assert np.allclose(quality.ndcg, judge(fitted, split.window, 10).per_user["ndcg"], equal_nan=True)
    assert np.allclose(quality.recall, judge(fitted, split.window, 20).per_user["recall"], equal_nan=True)
    assert quality.mean_ndcg > 0

"""Small fitted models with films."""

from datetime import UTC, datetime

import numpy as np

from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale, SnapshotIdentity
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.models import catalogue

IDENTITY = SnapshotIdentity(60, datetime(2024, 5, 1, 12, 30, tzinfo=UTC), "ab" * 32)


def fitted_model(name: str = "ease", seed: int = 0) -> FittedModel:
    """Return a model of 60 ratings of 12 films by 10 people."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(10 * 12)[:60]
    log = RatingLog.from_columns(
        (pairs // 12).astype(np.int64),
        (pairs % 12 * 3 + 5).astype(np.int64),
        rng.choice(np.arange(0.5, 5.5, 0.5, dtype=np.float32), 60),
        np.arange(60, dtype=np.int64) * 1_000_000,
        RatingScale(0.5, 5.0),
    )
    matrix = RatingMatrix.from_log(log)
    return catalogue.fit(catalogue.default_recipe(name), matrix, np.random.default_rng(1), lambda _fraction: None)


def movies_of(fitted: FittedModel) -> list[Movie]:
    """Return a film for each position of the vocabulary, in reverse order."""
    ids = reversed(fitted.movie_ids.tolist())
    return [Movie(nth, f"x{nth}", f"Amélie {nth}", 2001, ("Comedy", "Romance"), "0211915", None) for nth in ids]

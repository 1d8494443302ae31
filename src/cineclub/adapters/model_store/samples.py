"""Sample histories and the fitted model's scores for them, which a loaded copy must reproduce."""

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.cold_start import score_movies
from cineclub.domain.recommend.recommender import FittedModel

HISTORY_LENGTHS = (0, 1, 3, 10, 30)
RATING_STEPS = 9
SEED = 20_260
RELATIVE_TOLERANCE = 1e-3


def sample_histories(fitted: FittedModel) -> list[UserRatings]:
    """Return synthetic histories, the same for equal vocabularies and scales; the first one is empty."""
    rng = np.random.default_rng(SEED)
    steps = np.linspace(fitted.scale.lowest, fitted.scale.highest, RATING_STEPS, dtype=np.float32)
    histories = []
    for length in (min(length, len(fitted.movie_ids)) for length in HISTORY_LENGTHS):
        movie_ids, ratings = rng.choice(fitted.movie_ids, length, replace=False), rng.choice(steps, length)
        histories.append(UserRatings(movie_ids, ratings, np.arange(length, dtype=np.int64) * 1_000_000))
    return histories


def sample_scores(fitted: FittedModel) -> NDArray[np.float32]:
    """Return the scores for the sample histories, shape (n_histories, n_movies)."""
    scores = [score_movies(fitted, history).scores for history in sample_histories(fitted)]
    return np.stack(scores).astype(np.float32)


def are_same_scores(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> bool:
    """Return whether scores agree, but for rounding, which may differ between processes."""
    if expected.shape != actual.shape or not np.isfinite(actual).all():
        return False
    spread = float(np.ptp(expected)) if expected.size else 0.0
    return bool(np.allclose(actual, expected, rtol=RELATIVE_TOLERANCE, atol=RELATIVE_TOLERANCE * spread))

"""A few invented histories with the fitted model's answers: what a loaded copy must answer too."""

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.cold_start import answer
from cineclub.domain.ratings import UserRatings
from cineclub.domain.recommender import FittedModel

HISTORY_LENGTHS = (0, 1, 3, 10, 30)
RATING_STEPS = 9
SEED = 20_260
RELATIVE_TOLERANCE = 1e-3


def sample_histories(fitted: FittedModel) -> list[UserRatings]:
    """Return invented people, the same for the same vocabulary and scale, the first of whom has rated nothing."""
    rng = np.random.default_rng(SEED)
    steps = np.linspace(fitted.scale.lowest, fitted.scale.highest, RATING_STEPS, dtype=np.float32)
    return [_invented(fitted.movie_ids, steps, min(length, len(fitted.movie_ids)), rng) for length in HISTORY_LENGTHS]


def _invented(
    movie_ids: NDArray[np.int64], steps: NDArray[np.float32], length: int, rng: np.random.Generator
) -> UserRatings:
    """Return the history of somebody who rated ``length`` films, one a second."""
    return UserRatings(
        movie_ids=rng.choice(movie_ids, length, replace=False),
        ratings=rng.choice(steps, length),
        rated_at=np.arange(length, dtype=np.int64) * 1_000_000,
    )


def sample_scores(fitted: FittedModel) -> NDArray[np.float32]:
    """Return what each invented person is answered, shape (n_people, n_movies)."""
    scores = [answer(fitted, history).scores for history in sample_histories(fitted)]
    return np.stack(scores).astype(np.float32)


def are_same_answers(expected: NDArray[np.float32], given: NDArray[np.float32]) -> bool:
    """Say whether two sets of answers agree, but for the rounding that another process may do differently."""
    if expected.shape != given.shape or not np.isfinite(given).all():
        return False
    spread = float(np.ptp(expected)) if expected.size else 0.0
    return bool(np.allclose(given, expected, rtol=RELATIVE_TOLERANCE, atol=RELATIVE_TOLERANCE * spread))

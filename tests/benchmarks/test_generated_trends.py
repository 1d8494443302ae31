"""The trends in generated ratings: reproducible, in canonical order, and real."""

import sys
from pathlib import Path

import numpy as np
import pytest

from cineclub.domain.ratings.canonical_order import canonical_order
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from generated_ratings import Size, generate
from generated_trends import with_trends

N_RATINGS = 100_000


@pytest.fixture(scope="module")
def plain() -> RatingLog:
    """A small generated log without trends."""
    return generate(Size.of(N_RATINGS), seed=0).log()


def share_within(log: RatingLog, days: int) -> float:
    """Return the mean share of the ratings of a film in its densest days, over films with at least 30 ratings."""
    shares = []
    for movie in np.unique(log.movie_ids)[np.unique(log.movie_ids, return_counts=True)[1] >= 30]:
        of_movie = np.bincount(log.rated_at[log.movie_ids == movie] // (days * MICROSECONDS_PER_DAY))
        shares.append(of_movie.max() / of_movie.sum())
    return float(np.mean(shares))


def test_the_same_seed_gives_the_same_trends(plain: RatingLog) -> None:
    """Two runs are equal, another seed is not; order and pairs stay as a log needs them."""
    log, again, other = with_trends(plain, 0), with_trends(plain, 0), with_trends(plain, 1)
    assert np.array_equal(log.movie_ids, again.movie_ids)
    assert not np.array_equal(log.movie_ids, other.movie_ids)
    assert canonical_order(log.user_ids, log.movie_ids, log.rated_at) is None
    assert len(np.unique(log.user_ids * 10**6 + log.movie_ids)) == len(log) == N_RATINGS


def test_films_have_a_time(plain: RatingLog) -> None:
    """With trends the ratings of a film are crowded into fewer days."""
    assert share_within(with_trends(plain, 0), 60) > 1.25 * share_within(plain, 60)

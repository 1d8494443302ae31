"""The generated ratings of the benchmarks are realistic and reproducible."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from cineclub.domain.ratings.canonical_order import canonical_order
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.threads import threads

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import generated_ratings
from generated_ratings import Rows, Size, generate, generated_log

N_RATINGS = 200_000


@pytest.fixture(scope="module")
def rows() -> Rows:
    """The rows of a small generated world."""
    return generate(Size.of(N_RATINGS), seed=0)


@pytest.fixture(scope="module")
def log(rows: Rows) -> RatingLog:
    """The same rows as a log."""
    return rows.log()


def test_the_same_seed_gives_the_same_ratings_on_any_number_of_threads(rows: Rows) -> None:
    """One thread gives the same bytes as several; another seed gives others."""
    with threads(1):
        again = generate(Size.of(N_RATINGS), seed=0)
    assert all(np.array_equal(column, column_again) for column, column_again in zip(rows, again, strict=True))
    assert not np.array_equal(rows.movie_ids, generate(Size.of(N_RATINGS), seed=1).movie_ids)


def test_there_are_as_many_as_asked_for_in_canonical_order_and_no_pair_twice(log: RatingLog) -> None:
    """The ratings have the requested number, canonical order and no repeated pair."""
    assert len(log) == N_RATINGS
    assert canonical_order(log.user_ids, log.movie_ids, log.rated_at) is None
    assert len(np.unique(log.user_ids * 10**6 + log.movie_ids)) == N_RATINGS


def test_people_and_movies_are_long_tailed(log: RatingLog) -> None:
    """Every user has at least 20 ratings, few have many; 2 % of the films have at least 20 % of the ratings."""
    of_user, of_movie = np.bincount(log.user_ids)[1:], np.bincount(log.movie_ids)
    assert of_user.min() >= 20
    assert 55 <= np.median(of_user) <= 95
    assert 1.5 * np.median(of_user) < of_user.mean() < 180
    assert np.sort(of_movie)[-len(of_movie) // 50 :].sum() > 0.2 * N_RATINGS


def test_ratings_are_half_stars_spread_as_real_ones(log: RatingLog) -> None:
    """Mean and standard deviation are close to those of MovieLens."""
    assert set(np.unique(log.ratings * 2)) <= set(range(1, 11))
    assert 3.2 < log.ratings.mean() < 3.8
    assert 0.9 < log.ratings.std() < 1.2


def test_what_comes_next_follows_from_what_came_last(rows: Rows) -> None:
    """A film's most frequent successor follows it far more often than any other film."""
    n_movies = int(rows.movie_ids.max()) + 1
    is_last = np.zeros(N_RATINGS, np.bool_)
    is_last[rows.starts[1:] - 1] = True
    before, after = rows.movie_ids[:-1][~is_last[:-1]], rows.movie_ids[1:][~is_last[:-1]]
    popular = np.argsort(np.bincount(before, minlength=n_movies))[-20:]
    share_after_any = np.bincount(after, minlength=n_movies) / len(after)
    lifts = []
    for movie in popular:
        counts = np.bincount(after[before == movie], minlength=n_movies)
        commonest = int(np.argmax(counts))
        lifts.append(counts[commonest] / counts.sum() / share_after_any[commonest])
    assert np.median(lifts) > 3


def test_a_second_call_reads_the_file_of_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: RatingLog
) -> None:
    """Reading the cached file gives the same log as generating."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = generated_log(N_RATINGS)
    monkeypatch.delattr(generated_ratings, "generate")
    second = generated_log(N_RATINGS)
    for name in ("user_ids", "movie_ids", "ratings", "rated_at"):
        assert np.array_equal(getattr(first, name), getattr(log, name))
        assert np.array_equal(getattr(second, name), getattr(log, name))

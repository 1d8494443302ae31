"""Halving finds what the whole grid finds on data with a clear winner, fits less, and says what it stopped."""

import numpy as np
import pytest

from cineclub.domain.errors import InvalidInput
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import RatingLog, RatingScale
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel, Progress
from cineclub.domain.scoreboard import Meters, Trial, grid_points
from cineclub.domain.search import search
from cineclub.domain.splitting import split_last_out
from cineclub.domain.training_plan import MANY_RATINGS, TrainingPlan
from cineclub.models import catalogue

POINTS = grid_points(Recipe("ease"), {"regularization": (5.0, 30.0, 300.0, 1e4, 1e5, 1e6)})


def log_of_circles(n_users: int = 180, n_movies: int = 60) -> RatingLog:
    """Everybody likes films near their own place on a circle, and dislikes a few others."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(n_users), 14)
    near = (users * 7 + rng.integers(0, 12, len(users))) % n_movies
    movies = np.where(rng.random(len(users)) < 0.8, near, rng.integers(0, n_movies, len(users)))
    _, first = np.unique(users * n_movies + movies, return_index=True)
    stars = np.where(movies == near, 5, 2)[first].astype(np.float32)
    times = rng.permutation(len(first)).astype(np.int64)
    return RatingLog.from_columns(users[first], movies[first], stars, times, RatingScale(0.5, 5))


class Fits:
    """The catalogue's fit, and how many users each fit learned from."""

    def __init__(self) -> None:
        """Start with none."""
        self.n_users: list[int] = []

    def __call__(
        self, recipe: Recipe, ratings: RatingMatrix, rng: np.random.Generator, progress: Progress
    ) -> FittedModel:
        """Fit and count."""
        self.n_users.append(ratings.n_users)
        return catalogue.fit(recipe, ratings, rng, progress)


@pytest.fixture
def fits() -> Fits:
    """No fit yet."""
    return Fits()


@pytest.fixture
def trial(fits: Fits) -> Trial:
    """180 people judged on their last films."""
    split = split_last_out(log_of_circles(), 0.2)
    return Trial(RatingMatrix.from_log(split.fit), split.window, 10, 0, fits, Meters(lambda: 0.0, lambda: 0))


def test_halving_stops_hopeless_points_early(trial: Trial, fits: Fits) -> None:
    """Six points on a ninth of the users, the best two at once on all; what stopped is named with its score."""
    whole = search(trial, POINTS, "grid", 1.0, lambda _recipe, _fraction: None)
    fits.n_users.clear()
    halved = search(trial, POINTS, "halving", 1.0, lambda _recipe, _fraction: None)
    assert fits.n_users == [20] * 6 + [180] * 2
    assert len(halved.candidates) + len(halved.left_out) == len(POINTS)
    assert all("stopped early: nDCG" in left.reason for left in halved.left_out)
    assert halved.best().primary >= 0.9 * whole.best().primary


def test_a_search_on_some_users_fits_its_winner_on_all(trial: Trial, fits: Fits) -> None:
    """The winner can be compared with other candidates: it has learned from the same ratings; the points stay apart."""
    found = search(trial, POINTS, "grid", 0.5, lambda _recipe, _fraction: None)
    assert fits.n_users == [90] * len(POINTS) + [180]
    assert len(found.candidates) == 1
    assert len(found.grid) == len(POINTS)
    assert found.candidates[0].recipe == max(found.grid, key=lambda candidate: candidate.primary).recipe


def test_the_progress_of_a_search_only_rises(trial: Trial) -> None:
    """From nothing to all, through every round."""
    told: list[float] = []
    search(trial, POINTS, "halving", 1.0, lambda _recipe, fraction: told.append(fraction))
    assert told == sorted(told)
    assert told[0] < 0.1
    assert told[-1] == pytest.approx(1.0)


def test_a_share_of_the_users_is_drawn_by_the_seed(trial: Trial) -> None:
    """The same share twice is the same users, whose ratings are all there and whose films are those they rated."""
    one, other = trial.of_user_share(0.25).ratings, trial.of_user_share(0.25).ratings
    assert np.array_equal(one.user_ids, other.user_ids)
    assert one.n_users == 45
    whole = trial.ratings
    for row in range(one.n_users):
        of_whole = int(np.searchsorted(whole.user_ids, one.user_ids[row]))
        films = whole.movie_ids[whole.movie_indices[whole.row_starts[of_whole] : whole.row_starts[of_whole + 1]]]
        assert np.array_equal(one.movie_ids[one.movie_indices[one.row_starts[row] : one.row_starts[row + 1]]], films)
    assert np.array_equal(np.unique(one.movie_indices), np.arange(one.n_movies))


def test_a_sampled_window_keeps_everything_of_whom_it_keeps(trial: Trial) -> None:
    """Known and held-out ratings of the people drawn are theirs; a window that is small enough stays as it is."""
    window = trial.window
    sampled = window.sampled(20, np.random.default_rng(0))
    assert len(sampled) == 20
    for row, user_id in enumerate(sampled.user_ids):
        of_window = int(np.searchsorted(window.user_ids, user_id))
        assert np.array_equal(sampled.known_of(row).movie_ids, window.known_of(of_window).movie_ids)
        assert np.array_equal(sampled.held_out_of(row).movie_ids, window.held_out_of(of_window).movie_ids)
    assert window.sampled(10_000, np.random.default_rng(0)) is window


def test_many_ratings_bring_the_plan_for_many() -> None:
    """What the caller leaves open follows from the size; what the caller sets stays."""
    small, large = TrainingPlan().sized(MANY_RATINGS), TrainingPlan().sized(MANY_RATINGS + 1)
    assert (small.search, small.models, small.searched_user_share) == ("grid", (), 1.0)
    assert (large.search, large.searched_user_share, large.tunes_leader) == ("halving", 0.1, False)
    assert "svd" in large.models
    asked = TrainingPlan(models=("ease",), search="grid").sized(MANY_RATINGS + 1)
    assert (asked.models, asked.search, asked.searched_user_share) == (("ease",), "grid", 1.0)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_an_impossible_share_is_refused(share: float) -> None:
    """The message names the setting and its range."""
    with pytest.raises(InvalidInput, match="searched_user_share must be above 0"):
        TrainingPlan(searched_user_share=share)

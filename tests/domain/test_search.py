"""Successive halving and grid search on data with a clear winner."""

import numpy as np
import pytest

from cineclub.domain.errors import InvalidInput
from cineclub.domain.evaluation.plan import MANY_RATINGS, TrainingPlan
from cineclub.domain.evaluation.scoreboard import Fold, Meters, filtered, grid_points
from cineclub.domain.evaluation.search import search
from cineclub.domain.evaluation.splitting import split_last_out
from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel, Progress
from cineclub.models import catalogue

POINTS = grid_points(catalogue.default_recipe("ease"), {"regularization": (5.0, 30.0, 300.0, 1e4, 1e5, 1e6)})


def log_of_circles(n_users: int = 180, n_movies: int = 60) -> RatingLog:
    """Return a log in which users like films near their place on a circle, and dislike a few others."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(n_users), 14)
    near = (users * 7 + rng.integers(0, 12, len(users))) % n_movies
    movies = np.where(rng.random(len(users)) < 0.8, near, rng.integers(0, n_movies, len(users)))
    _, first = np.unique(users * n_movies + movies, return_index=True)
    stars = np.where(movies == near, 5, 2)[first].astype(np.float32)
    times = rng.permutation(len(first)).astype(np.int64)
    return RatingLog.from_columns(users[first], movies[first], stars, times, RatingScale(0.5, 5))


class Fits:
    """The catalogue's fit, which counts the users of each fit."""

    def __init__(self) -> None:
        """Start without fits."""
        self.n_users: list[int] = []

    def __call__(
        self, recipe: Recipe, ratings: RatingMatrix, rng: np.random.Generator, progress: Progress
    ) -> FittedModel:
        """Fit a model and count its users."""
        self.n_users.append(ratings.n_users)
        return catalogue.fit(recipe, ratings, rng, progress)


@pytest.fixture
def fits() -> Fits:
    """A counter of fits."""
    return Fits()


@pytest.fixture
def fold(fits: Fits) -> Fold:
    """A fold of 180 users evaluated on their last films."""
    split = split_last_out(log_of_circles(), 0.2)
    return Fold(RatingMatrix.from_log(split.fit), split.window, 10, 0, fits, Meters(lambda: 0.0, lambda: 0))


def test_halving_stops_hopeless_points_early(fold: Fold, fits: Fits) -> None:
    """Of six points on a ninth of the users the best two are fitted on all; stopped points keep their score."""
    whole = search(fold, POINTS, "grid", 1.0, lambda _recipe, _fraction: None)
    fits.n_users.clear()
    halved = search(fold, POINTS, "halving", 1.0, lambda _recipe, _fraction: None)
    assert fits.n_users == [20] * 6 + [180] * 2
    assert len(halved.candidates) + len(halved.left_out) == len(POINTS)
    assert len(halved.left_out) == 4
    assert all("stopped early: nDCG" in left.reason for left in halved.left_out)
    assert halved.best().primary >= 0.9 * whole.best().primary


def test_a_search_on_some_users_fits_its_winner_on_all(fold: Fold, fits: Fits) -> None:
    """The winner is fitted on all users and joins the candidates; the other points stay in the grid."""
    board = search(fold, POINTS, "grid", 0.5, lambda _recipe, _fraction: None)
    assert fits.n_users == [90] * len(POINTS) + [180]
    assert len(board.candidates) == 1
    assert len(board.grid) == len(POINTS)
    assert board.candidates[0].recipe == max(board.grid, key=lambda candidate: candidate.primary).recipe


def test_the_progress_of_a_search_only_rises(fold: Fold) -> None:
    """Progress rises from 0 to 1 through every round."""
    fractions: list[float] = []
    search(fold, POINTS, "halving", 1.0, lambda _recipe, fraction: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.1
    assert fractions[-1] == pytest.approx(1.0)


def test_a_share_of_the_users_is_drawn_by_the_seed(fold: Fold) -> None:
    """Equal shares and seeds give the same users, with all their ratings and films."""
    first, second = fold.of_user_share(0.25).ratings, fold.of_user_share(0.25).ratings
    assert np.array_equal(first.user_ids, second.user_ids)
    assert first.n_users == 45
    whole = fold.ratings
    for row in range(first.n_users):
        of_whole = int(np.searchsorted(whole.user_ids, first.user_ids[row]))
        movies = whole.movie_ids[whole.movie_indices[whole.row_starts[of_whole] : whole.row_starts[of_whole + 1]]]
        assert np.array_equal(
            first.movie_ids[first.movie_indices[first.row_starts[row] : first.row_starts[row + 1]]], movies
        )
    assert np.array_equal(np.unique(first.movie_indices), np.arange(first.n_movies))


def test_a_sampled_window_keeps_everything_of_whom_it_keeps(fold: Fold) -> None:
    """A sampled window keeps known and held-out ratings of its users; a small window stays whole."""
    window = fold.window
    sampled = window.sampled(20, np.random.default_rng(0))
    assert len(sampled) == 20
    for row, user_id in enumerate(sampled.user_ids):
        of_window = int(np.searchsorted(window.user_ids, user_id))
        assert np.array_equal(sampled.known_of(row).movie_ids, window.known_of(of_window).movie_ids)
        assert np.array_equal(sampled.held_out_of(row).movie_ids, window.held_out_of(of_window).movie_ids)
    assert window.sampled(10_000, np.random.default_rng(0)) is window


def test_many_ratings_bring_the_plan_for_many() -> None:
    """Unset options follow from the number of ratings; set ones stay."""
    small, large = TrainingPlan().sized(MANY_RATINGS), TrainingPlan().sized(MANY_RATINGS + 1)
    assert (small.search, small.models, small.searched_user_share) == ("grid", (), 1.0)
    assert (large.search, large.searched_user_share, large.tunes_leader) == ("halving", 0.1, False)
    assert "svd" in large.models
    plan = TrainingPlan(models=("ease",), search="grid").sized(MANY_RATINGS + 1)
    assert (plan.models, plan.search, plan.searched_user_share) == (("ease",), "grid", 1.0)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_an_impossible_share_is_refused(share: float) -> None:
    """The message names the setting with its range."""
    with pytest.raises(InvalidInput, match="searched_user_share must be above 0"):
        TrainingPlan(searched_user_share=share)


@pytest.mark.parametrize(("user_share", "expected"), [(1.0, [180] * 5), (0.5, [90] * 6)])
def test_what_is_a_candidate_already_is_not_fitted_again(
    fold: Fold, fits: Fits, user_share: float, expected: list[int]
) -> None:
    """A known point is taken as it is, where all points and where only the winner are fitted on the whole fold."""
    whole = search(fold, POINTS, "grid", user_share, lambda _recipe, _fraction: None)
    known = fold.run_all([whole.best().recipe]).candidates
    fits.n_users.clear()
    again = search(fold, POINTS, "grid", user_share, lambda _recipe, _fraction: None, known)
    assert fits.n_users == expected
    assert again.best() is known[0]
    assert [candidate.recipe for candidate in again.candidates] == [candidate.recipe for candidate in whole.candidates]


def test_a_share_of_the_users_keeps_what_the_filter_left_out() -> None:
    """A model of all ratings learns from a share of those of the people who were left out, too."""
    log = log_of_circles()
    lonely = RatingLog.from_columns(
        np.append(log.user_ids, 1000 + np.arange(40)),
        np.append(log.movie_ids, np.arange(40)),
        np.append(log.ratings, np.full(40, 5, np.float32)),
        np.append(log.rated_at, np.arange(40)),
        log.scale,
    )
    matrix, _ = filtered(lonely, 5, 5)
    split = split_last_out(log, 0.2)
    fold = Fold(matrix, split.window, 10, 0, Fits(), Meters(lambda: 0.0, lambda: 0)).of_user_share(0.5)
    assert fold.ratings.n_users == 90
    learned = np.unique(fold.ratings.of_all.user_ids)
    assert np.isin(fold.ratings.user_ids, learned).all()
    assert np.count_nonzero(learned >= 1000) == 20
    assert matrix.of_all.n_users == 220
    assert matrix.of_all is matrix.of_all

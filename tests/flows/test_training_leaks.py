"""No model learns from ratings at or after the cut that it is evaluated on."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from tastes import HOUR, log_of_tastes

from cineclub.domain.errors import NotEnoughData
from cineclub.domain.evaluation.evaluate import evaluate
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.prequential import split_ratings
from cineclub.domain.evaluation.scoreboard import Fold
from cineclub.domain.evaluation.splitting import SplitKind
from cineclub.domain.promotion.backtest import DeployedPeriod, deployed_backtest
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.batch_ranking import NO_MOVIE
from cineclub.flows import fit_within_memory
from cineclub.flows.training import TrainingData, TrainingFlow
from cineclub.models import catalogue
from cineclub.runtime.machine import METERS

PLAN = TrainingPlan(min_ratings_per_user=2, min_ratings_per_movie=2)


def with_catalogue_of_today(log: RatingLog) -> RatingLog:
    """Return a log whose catalogue has all films that any log of these tests rates, as a snapshot has, and others."""
    return log.within(np.concatenate((log_of_tastes().movie_ids, [999_999], 1_000_000 + np.arange(len(log)))))


def filtered(log: RatingLog, plan: TrainingPlan = PLAN) -> TrainingData:
    """Return the training data that the filter step makes of a log."""
    flow = TrainingFlow(*([None] * 6), lambda _progress: None, plan, "a training", lambda: datetime.now(UTC), "0")
    return flow.filter_users_and_movies(log)


def made_nonsense(log: RatingLog, cut: int) -> RatingLog:
    """Return the log with every rating at or after the cut moved to another film, at the lowest stars."""
    is_late = log.rated_at >= cut
    movie_ids = np.where(is_late, 1_000_000 + np.arange(len(log)), log.movie_ids)
    ratings = np.where(is_late, np.float32(log.scale.lowest), log.ratings)
    return with_catalogue_of_today(RatingLog.from_columns(log.user_ids, movie_ids, ratings, log.rated_at, log.scale))


def arrays_of(fold: Fold, name: str) -> dict[str, np.ndarray]:
    """Return the arrays that a model learned in a fold."""
    fitted = fold.fit(catalogue.default_recipe(name), lambda _fraction: None)
    return {**fitted.recommender.arrays(), "movie_ids": fitted.movie_ids, "popularity": fitted.popularity}


@pytest.mark.parametrize("name", list(catalogue.CATALOGUE))
@pytest.mark.parametrize("window", ["validation", "test"])
def test_ratings_after_the_cut_change_nothing_that_is_fitted(name: str, window: str) -> None:
    """Replacing every later rating leaves each model's arrays equal to the last bit."""
    log = with_catalogue_of_today(log_of_tastes())
    data = filtered(log)
    cut = data.cuts.validation_start if window == "validation" else data.cuts.test_starts[-1]
    nonsense = filtered(made_nonsense(log, cut))
    folds = (
        training_data.validation if window == "validation" else training_data.rolling.folds[-1]
        for training_data in (data, nonsense)
    )
    expected, actual = (arrays_of(fold, name) for fold in folds)
    assert expected.keys() == actual.keys()
    assert all(np.array_equal(expected[key], actual[key]) for key in expected)


def with_other_movies_from(log: RatingLog, moment: int) -> RatingLog:
    """Return the log with every rating from a moment on moved to another film; the stars stay."""
    movie_ids = np.where(log.rated_at >= moment, 1_000_000 + np.arange(len(log)), log.movie_ids)
    return with_catalogue_of_today(
        RatingLog.from_columns(log.user_ids, movie_ids, log.ratings, log.rated_at, log.scale)
    )


def deployed_fold(log: RatingLog, start: int) -> Fold:
    """Return the fold of models as deployed at a moment, fitted on somewhat older ratings."""
    plan = replace(PLAN, wanted_judged_users=5)
    period = DeployedPeriod(start, start - HOUR)
    backtest = deployed_backtest(log, period, (), plan, fit_within_memory, METERS)
    assert backtest is not None
    return backtest.folds[-1]


def pair_of_folds(kind: str) -> tuple[Fold, Fold, int]:
    """Return a fold, the same one with all ratings from the middle of its window on replaced, and that middle."""
    log = with_catalogue_of_today(log_of_tastes())
    data = filtered(log)

    def fold_of(log: RatingLog) -> Fold:
        if kind == "deployed":
            return deployed_fold(log, data.cuts.test_starts[-1])
        of_log = filtered(log)
        return of_log.validation if kind == "validation" else of_log.rolling.folds[-1]

    fold = fold_of(log)
    middle = int(np.median(fold.window.moments))
    return fold, fold_of(with_other_movies_from(log, middle)), middle


RECIPES = [*(catalogue.default_recipe(name) for name in catalogue.CATALOGUE), *catalogue.TRENDS]


@pytest.mark.parametrize("kind", ["validation", "test", "deployed"])
def test_later_ratings_move_no_context_and_no_list_of_an_earlier_row(kind: str) -> None:
    """With every rating from the middle of the window on replaced, the rows before it are the same to the last bit.

    Their contexts, histories, lists and ratings are compared, of every model and every trend; the later ones differ.
    """
    fold, changed, middle = pair_of_folds(kind)
    n_before = int(np.searchsorted(fold.window.moments, middle))
    assert 20 < n_before < len(fold.window)
    assert np.array_equal(fold.window.rows[:n_before], changed.window.rows[:n_before])
    rows, movie_ids = np.arange(len(fold.window)), fold.ratings.movie_ids
    of_both = (list(each.window.contexts_of(movie_ids, rows)) for each in (fold, changed))
    equal = [np.array_equal(ours.counts, theirs.counts) for ours, theirs in zip(*of_both, strict=True)]
    assert all(equal[:n_before])
    assert not any(equal[-5:])
    for recipe in RECIPES:
        models = [each.fit(recipe, lambda _fraction: None) for each in (fold, changed)]
        first, second = (model.recommender.arrays() for model in models)
        assert all(np.array_equal(first[name], second[name]) for name in first)
        ours, theirs = (evaluate(model, each.window, 5) for model, each in zip(models, (fold, changed), strict=True))
        for name in ("user_ids", "n_known", "recommended", "squared_errors", "movie_ids"):
            assert np.array_equal(getattr(ours, name)[:n_before], getattr(theirs, name)[:n_before]), (recipe, name)


@pytest.mark.parametrize("kind", ["validation", "test", "deployed"])
def test_no_list_holds_a_film_that_nobody_has_rated_yet(kind: str) -> None:
    """The catalogue of now tells which films will be rated; every model lists a film from its first rating on."""
    _, changed, _ = pair_of_folds(kind)
    window = changed.window
    everything = with_other_movies_from(with_catalogue_of_today(log_of_tastes()), int(np.median(window.moments)))
    movie_ids, first = np.unique(everything.movie_ids[np.argsort(everything.rated_at)], return_index=True)
    since = dict(zip(movie_ids.tolist(), np.sort(everything.rated_at)[first].tolist(), strict=True))
    for recipe in RECIPES:
        lists = evaluate(changed.fit(recipe, lambda _fraction: None), window, 5).recommended
        for moment, movies in zip(window.moments.tolist(), lists.tolist(), strict=True):
            assert all(since[movie] < moment for movie in movies if movie != NO_MOVIE), recipe


def test_what_is_fitted_beside_a_deployed_model_knows_no_later_film() -> None:
    """A film that came after the ratings that production learned from is unknown, unless production knows it."""
    log = with_catalogue_of_today(log_of_tastes())
    start = filtered(log).cuts.test_starts[-1]
    fold = deployed_fold(with_other_movies_from(log, start), start)
    for name in ("popular", "combination"):
        assert fold.fit(catalogue.default_recipe(name), lambda _fraction: None).movie_ids.max() < 1000


@pytest.mark.parametrize("split", ["time", "last-out", "random"])
def test_the_evaluation_of_a_file_by_users_has_no_catalogue_of_later_films(split: SplitKind) -> None:
    """A film that is held out alone is unknown to what is fitted."""
    log = with_catalogue_of_today(log_of_tastes())
    fit = split_ratings(log, split, 0.2, np.random.default_rng(0)).fit
    assert RatingMatrix.of_catalogue(fit).movie_ids.tolist() == np.unique(fit.movie_ids).tolist()


def test_no_training_row_is_later_than_its_cut() -> None:
    """The training matrices of both folds end before their windows begin."""
    data = filtered(log_of_tastes())
    assert data.validation.ratings.rated_at.max() < data.cuts.validation_start
    for fold, start in zip(data.rolling.folds, data.cuts.test_starts, strict=True):
        assert fold.ratings.rated_at.max() < start <= fold.window.held_out.rated_at.min()
    assert data.validation.window.held_out.rated_at.max() < data.cuts.test_start


def test_the_filter_never_hides_what_an_evaluated_person_has_seen() -> None:
    """A film too rare for training stays in the known ratings of its users."""
    log = log_of_tastes()
    rare = filtered(log, replace(PLAN, min_ratings_per_movie=30))
    usual = filtered(log)
    assert rare.rolling.folds[-1].ratings.n_movies < usual.rolling.folds[-1].ratings.n_movies
    assert np.array_equal(rare.rolling.folds[-1].window.log.movie_ids, usual.rolling.folds[-1].window.log.movie_ids)


def test_hopelessly_few_ratings_are_refused_with_what_to_do() -> None:
    """The message names the limits that leave no ratings."""
    with pytest.raises(NotEnoughData, match="lower min_ratings_per_user"):
        filtered(log_of_tastes(n_users=4), replace(PLAN, min_ratings_per_user=100))

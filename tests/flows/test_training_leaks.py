"""No fitted number comes from a rating at or after the cut it is judged on."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from tastes import log_of_tastes

from cineclub.domain.errors import NotEnoughData
from cineclub.domain.ratings import RatingLog
from cineclub.domain.scoreboard import Trial
from cineclub.domain.training_plan import TrainingPlan
from cineclub.flows.training import Kept, TrainingFlow
from cineclub.models import catalogue

PLAN = TrainingPlan(min_ratings_per_user=2, min_ratings_per_movie=2)


def filtered(log: RatingLog, plan: TrainingPlan = PLAN) -> Kept:
    """What the training's filter step makes of a log."""
    flow = TrainingFlow(None, None, lambda _progress: None, plan, "a training", lambda: datetime.now(UTC), "0")
    return flow.filter_users_and_movies(log)


def made_nonsense(log: RatingLog, cut: int) -> RatingLog:
    """The log with every rating at or after the cut given to another film, at the lowest stars, by the same person."""
    is_late = log.rated_at >= cut
    movie_ids = np.where(is_late, 1_000_000 + np.arange(len(log)), log.movie_ids)
    ratings = np.where(is_late, np.float32(log.scale.lowest), log.ratings)
    return RatingLog.from_columns(log.user_ids, movie_ids, ratings, log.rated_at, log.scale)


def arrays_of(trial: Trial, name: str) -> dict[str, np.ndarray]:
    """Everything a model learned in a trial."""
    fitted = trial.fit(catalogue.default_recipe(name), lambda _fraction: None)
    return {**fitted.recommender.arrays(), "movie_ids": fitted.movie_ids, "popularity": fitted.popularity}


@pytest.mark.parametrize("name", list(catalogue.CATALOGUE))
@pytest.mark.parametrize("window", ["validation", "test"])
def test_ratings_after_the_cut_change_nothing_that_is_fitted(name: str, window: str) -> None:
    """With nonsense in place of every later rating, each model's arrays stay equal to the last bit."""
    log = log_of_tastes()
    kept = filtered(log)
    cut = kept.cuts.validation_start if window == "validation" else kept.cuts.test_starts[-1]
    nonsense = filtered(made_nonsense(log, cut))
    trials = (one.validation if window == "validation" else one.tests[-1] for one in (kept, nonsense))
    expected, found = (arrays_of(trial, name) for trial in trials)
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[key], found[key]) for key in expected)


def test_no_training_row_is_later_than_its_cut() -> None:
    """The matrices of the two trials end before their windows begin."""
    kept = filtered(log_of_tastes())
    assert kept.validation.ratings.rated_at.max() < kept.cuts.validation_start
    for trial, start in zip(kept.tests, kept.cuts.test_starts, strict=True):
        assert trial.ratings.rated_at.max() < start <= trial.window.held_out.rated_at.min()
    assert kept.validation.window.held_out.rated_at.max() < kept.cuts.test_start


def test_the_filter_never_hides_what_a_judged_person_has_seen() -> None:
    """A film too rare to learn from is still known of those who rated it."""
    log = log_of_tastes()
    rare = filtered(log, replace(PLAN, min_ratings_per_movie=30))
    usual = filtered(log)
    assert rare.tests[-1].ratings.n_movies < usual.tests[-1].ratings.n_movies
    assert np.array_equal(rare.tests[-1].window.known.movie_ids, usual.tests[-1].window.known.movie_ids)


def test_hopelessly_few_ratings_are_refused_with_what_to_do() -> None:
    """The sentence names the limits that left nothing."""
    with pytest.raises(NotEnoughData, match="lower min_ratings_per_user"):
        filtered(log_of_tastes(n_users=4), replace(PLAN, min_ratings_per_user=100))

"""Popular and Bias are damped: few ratings never win."""

import numpy as np
from small_ratings import drawn_matrix, history_of, ignore

from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import RatingLog, RatingScale
from cineclub.models.bias import Bias, BiasHyperparameters
from cineclub.models.popular import Popular, PopularHyperparameters

NEVER_DRAWN = np.random.default_rng(0)


def loved_by_three() -> RatingMatrix:
    """Film 0 has three ratings at the top, film 1 has sixty of four stars, film 2 sixty of two."""
    counts, stars = (3, 60, 60), (5.0, 4.0, 2.0)
    movies = np.repeat(np.arange(3), counts)
    users = np.concatenate([np.arange(count) for count in counts])
    ratings = np.repeat(np.array(stars, np.float32), counts)
    return RatingMatrix.from_log(
        RatingLog.from_columns(users, movies, ratings, np.zeros(len(users), np.int64), RatingScale(0.5, 5))
    )


def test_a_film_with_three_top_ratings_is_not_popular() -> None:
    """What many people rate well comes before what three people love, and before what many rate badly."""
    popularity = Popular.fit(loved_by_three(), PopularHyperparameters(), NEVER_DRAWN, ignore).popularity
    assert popularity.argmax() == 1
    assert popularity[1] > 2 * popularity[0]


def test_what_is_popular_lately_comes_before_what_was_popular_once() -> None:
    """In a window of a day only the newest ratings count; films without any keep their order of all time behind."""
    day = 86_400_000_000
    movies = np.concatenate((np.repeat([0, 1], (50, 40)), np.repeat([2], 5)))
    times = np.where(movies == 2, 400 * day, np.arange(len(movies)))
    log = RatingLog.from_columns(
        np.arange(len(movies)), movies, np.full(len(movies), 4, np.float32), times, RatingScale(0.5, 5)
    )
    matrix = RatingMatrix.from_log(log)
    all_time, lately = (
        Popular.fit(matrix, PopularHyperparameters(window_days), NEVER_DRAWN, ignore).popularity
        for window_days in (0.0, 1.0)
    )
    assert np.argsort(-all_time).tolist() == [0, 1, 2]
    assert np.argsort(-lately).tolist() == [2, 0, 1]


def test_three_top_ratings_do_not_make_the_best_film() -> None:
    """Ten pseudo-ratings at the mean keep a film of three ratings below one of sixty good ones."""
    model = Bias.fit(loved_by_three(), BiasHyperparameters(), NEVER_DRAWN, ignore)
    assert model.scores(history_of({})).argmax() == 1


def test_without_damping_an_offset_is_a_plain_mean() -> None:
    """Fitted without pseudo-ratings, the residuals of every film and every user average to nothing."""
    matrix = drawn_matrix(share=1.0)
    baseline = Bias.fit(matrix, BiasHyperparameters(0.0, 0.0), NEVER_DRAWN, ignore).baseline
    means = np.bincount(matrix.movie_indices, matrix.ratings) / matrix.n_users
    np.testing.assert_allclose(baseline.movie_means(np.arange(matrix.n_movies, dtype=np.int32)), means, rtol=1e-5)


def test_a_generous_person_is_expected_to_stay_generous() -> None:
    """Ratings above the films' means raise the expectation of every other film, less than fully."""
    model = Bias.fit(drawn_matrix(), BiasHyperparameters(), NEVER_DRAWN, ignore)
    films = np.array([5, 6], np.int32)
    rise = model.predict_stars(history_of({0: 5.0, 1: 5.0}), films) - model.predict_stars(history_of({}), films)
    assert (rise > 0).all()
    assert (rise < 2).all()

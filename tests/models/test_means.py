"""Popular and Bias: damped means, which few ratings do not dominate."""

import numpy as np
from small_ratings import drawn_matrix, history_of, ignore

from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.models.bias import Bias, BiasHyperparameters
from cineclub.models.popular import Popular, PopularHyperparameters

NEVER_DRAWN = np.random.default_rng(0)


def loved_by_three() -> RatingMatrix:
    """Return ratings: three top ones of film 0, sixty of four stars of film 1, sixty of two of film 2."""
    counts, stars = (3, 60, 60), (5.0, 4.0, 2.0)
    movies = np.repeat(np.arange(3), counts)
    users = np.concatenate([np.arange(count) for count in counts])
    ratings = np.repeat(np.array(stars, np.float32), counts)
    return RatingMatrix.from_log(
        RatingLog.from_columns(users, movies, ratings, np.zeros(len(users), np.int64), RatingScale(0.5, 5))
    )


def test_a_movie_with_three_top_ratings_is_not_popular() -> None:
    """A film that many rate well ranks before one that three love and one that many rate badly."""
    popularity = Popular.fit(loved_by_three(), PopularHyperparameters(), NEVER_DRAWN, ignore).popularity
    assert popularity.argmax() == 1
    assert popularity[1] > 2 * popularity[0]


def test_what_is_popular_lately_comes_before_what_was_popular_once() -> None:
    """In a window of a day only the newest ratings count; films without any follow in their all-time order."""
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


def test_a_rating_of_a_wrong_clock_does_not_empty_the_window() -> None:
    """The window ends with the newest rating that is not a century behind all others."""
    today = 20_000 * 86_400_000_000
    rows = [(user, 1, today) for user in range(1, 9)] + [
        (user, 2, today - 90 * 86_400_000_000) for user in range(1, 20)
    ]
    users, movies, rated_at = (np.array(column) for column in zip(*rows, (30, 3, 2 * today), strict=True))
    log = RatingLog.from_columns(users, movies, np.full(len(rows) + 1, 4, np.float32), rated_at, RatingScale(0.5, 5.0))
    lately = Popular.fit(RatingMatrix.from_log(log), PopularHyperparameters(7.0), NEVER_DRAWN, ignore).popularity
    assert lately.argmax() == 0


def test_three_top_ratings_do_not_make_the_best_movie() -> None:
    """Ten pseudo-ratings at the mean keep a film with three ratings below one with sixty good ones."""
    model = Bias.fit(loved_by_three(), BiasHyperparameters(), NEVER_DRAWN, ignore)
    assert model.scores(history_of({})).argmax() == 1


def test_without_damping_an_offset_is_a_plain_mean() -> None:
    """Without damping the residuals of every film and user average to zero."""
    matrix = drawn_matrix(share=1.0)
    baseline = Bias.fit(matrix, BiasHyperparameters(0.0, 0.0), NEVER_DRAWN, ignore).baseline
    means = np.bincount(matrix.movie_indices, matrix.ratings) / matrix.n_users
    np.testing.assert_allclose(baseline.movie_means(np.arange(matrix.n_movies, dtype=np.int32)), means, rtol=1e-5)


def test_a_generous_person_is_expected_to_stay_generous() -> None:
    """Ratings above the films' means raise the prediction of every other film, by less than the difference."""
    model = Bias.fit(drawn_matrix(), BiasHyperparameters(), NEVER_DRAWN, ignore)
    movies = np.array([5, 6], np.int32)
    rise = model.predict_stars(history_of({0: 5.0, 1: 5.0}), movies) - model.predict_stars(history_of({}), movies)
    assert (rise > 0).all()
    assert (rise < 2).all()

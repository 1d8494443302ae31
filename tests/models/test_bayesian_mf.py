"""Bayesian matrix factorisation: conditional distributions, and predictions as the mean over samples."""

from pathlib import Path

import numpy as np
import pytest
from real_ratings import log_of_folder
from small_ratings import dense_of, drawn_matrix, history_of, ignore

from cineclub.domain.evaluation.evaluate import evaluate
from cineclub.domain.evaluation.splitting import split_at_random
from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.threads import threads
from cineclub.models import catalogue
from cineclub.models.bayesian_mf import BayesianMf, BayesianMfHyperparameters
from cineclub.models.kernels.bayesian_mf import Drawn, Given, Link, RatedRows, draw_links, draw_vectors
from cineclub.models.rating_habits import STEADINESS_WEIGHT, LogCounts

WIDTH = 4


def fitted(matrix: RatingMatrix, seed: int = 0, **hyperparameters: float) -> BayesianMf:
    """Return the model of a short chain."""
    chosen = {"n_factors": 3, "n_epochs": 12, "n_samples": 5} | hyperparameters
    return BayesianMf.fit(matrix, BayesianMfHyperparameters.of(chosen), np.random.default_rng(seed), ignore)


def rows_of(matrix: RatingMatrix) -> RatedRows:
    """Return the ratings of a matrix by user."""
    return RatedRows(matrix.row_starts, matrix.movie_indices, matrix.ratings)


def drawn_given(matrix: RatingMatrix, rng: np.random.Generator) -> Given:
    """Return a random state that users' vectors are conditioned on."""
    root = rng.standard_normal((WIDTH, WIDTH))
    return Given(
        vectors=rng.standard_normal((matrix.n_movies, WIDTH)).astype(np.float32),
        weights=np.sqrt(rng.gamma(4, size=matrix.n_movies) / 4).astype(np.float32),
        precisions=rng.gamma(4, size=matrix.n_users),
        prior_means=rng.standard_normal((matrix.n_users, WIDTH)).astype(np.float32),
        prior_precision=root @ root.T + np.eye(WIDTH),
    )


def posterior_of(matrix: RatingMatrix, given: Given, user: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of a user's vector by the plain formula."""
    rated = matrix.movie_indices[matrix.row_starts[user] : matrix.row_starts[user + 1]]
    ratings = matrix.ratings[matrix.row_starts[user] : matrix.row_starts[user + 1]]
    vectors = given.vectors[rated].astype(np.float64)
    features = np.hstack((np.ones((len(rated), 1)), vectors[:, 1:]))
    certainty = given.precisions[user] * given.weights[rated].astype(np.float64) ** 2
    covariance = np.linalg.inv(given.prior_precision + features.T @ (certainty[:, None] * features))
    pulls = given.prior_precision @ given.prior_means[user] + features.T @ (certainty * (ratings - vectors[:, 0]))
    return covariance @ pulls, covariance


def test_a_vector_is_drawn_from_its_conditional_distribution() -> None:
    """A draw without noise is the formula's mean, and unit noises span its covariance, for every user."""
    matrix, rng = drawn_matrix(n_movies=150), np.random.default_rng(1)
    given = drawn_given(matrix, rng)
    draws = []
    for noise in (np.zeros(WIDTH), *np.eye(WIDTH)):
        drawn = Drawn.of_zeros(matrix.n_users, WIDTH)
        draw_vectors(rows_of(matrix), given, np.tile(noise, (matrix.n_users, 1)).astype(np.float32), drawn)
        draws.append(drawn.vectors.astype(np.float64))
    for user in range(matrix.n_users):
        mean, covariance = posterior_of(matrix, given, user)
        roots = np.array([draw[user] - draws[0][user] for draw in draws[1:]]).T
        np.testing.assert_allclose(draws[0][user], mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(roots @ roots.T, covariance, rtol=1e-3, atol=1e-5)


def test_errors_are_those_of_the_drawn_vectors() -> None:
    """Squared errors from the Gram matrix equal those from the ratings."""
    matrix, rng = drawn_matrix(), np.random.default_rng(2)
    given = drawn_given(matrix, rng)
    drawn = Drawn.of_zeros(matrix.n_users, WIDTH)
    draw_vectors(rows_of(matrix), given, rng.standard_normal((matrix.n_users, WIDTH), np.float32), drawn)
    movies = given.vectors[matrix.movie_indices].astype(np.float64)
    people = drawn.vectors[matrix.user_indices].astype(np.float64)
    left = matrix.ratings - movies[:, 0] - people[:, 0] - np.sum(movies[:, 1:] * people[:, 1:], axis=1)
    weighted = left**2 * given.weights[matrix.movie_indices].astype(np.float64) ** 2
    np.testing.assert_allclose(drawn.errors, np.bincount(matrix.user_indices, weighted), rtol=1e-3)


def test_links_settle_at_the_ridge_solution() -> None:
    """Repeated draws without noise converge to the ridge regression of films on their raters."""
    matrix, rng = drawn_matrix(n_users=6, n_movies=20, share=0.5), np.random.default_rng(3)
    table = dense_of(matrix, np.ones(matrix.n_ratings)).T
    shares = 1 / np.sqrt(np.maximum(table.sum(axis=1), 1))
    wanted = rng.standard_normal((matrix.n_movies, 8)).astype(np.float32)
    links, rests = np.zeros((1, matrix.n_users, 8), np.float32), wanted[np.newaxis].copy()
    regression = shares[:, None] * table
    link = Link(rows_of(matrix), shares.astype(np.float32), np.sum(regression**2, axis=0) + 0.5)
    for _ in range(200):
        draw_links(link, np.zeros_like(links), links, rests)
    expected = np.linalg.solve(regression.T @ regression + 0.5 * np.eye(matrix.n_users), regression.T @ wanted)
    np.testing.assert_allclose(links[0], expected, atol=1e-4)
    np.testing.assert_allclose(rests[0], wanted - regression @ expected, atol=1e-4)


def plain_scores(model: BayesianMf, movies: list[int], stars: list[float], half_life: float) -> np.ndarray:
    """Return the scores of a history by the plain formulas, sample by sample."""
    scores = np.zeros(len(model.movie_offsets))
    weights = np.exp2(-np.arange(len(movies))[::-1] / half_life) if half_life else np.ones(len(movies))
    usual = LogCounts(float(model.log_counts[0]), float(model.log_counts[1]))
    for nth, noise_precision in enumerate(model.noise_precisions.astype(np.float64)):
        draws = model.movie_draws[:, nth].astype(np.float64)
        means = model.movie_means.reshape(len(draws), len(model.noise_precisions), -1)[:, nth]
        before = usual.features(np.array([len(movies)]))[0] @ model.user_coefficients[nth]
        rated = np.hstack((np.ones((len(movies), 1)), draws[movies, 1:]))
        wanted = (np.array(stars) - model.global_mean) / model.rating_unit - draws[movies, 0] - rated @ before
        gram = rated.T @ (weights[:, None] * rated)
        covariance = np.linalg.inv(model.user_precisions[nth] + noise_precision * gram)
        left = wanted - rated @ (noise_precision * covariance @ rated.T @ (weights * wanted))
        errors = left**2 @ weights + np.trace(covariance @ gram)
        own = noise_precision * (STEADINESS_WEIGHT + weights.sum()) / (STEADINESS_WEIGHT + noise_precision * errors)
        normal = model.user_precisions[nth] + own * gram
        person = before + np.linalg.solve(normal, own * rated.T @ (weights * wanted))
        scores += person[0] + means @ person[1:]
    return model.global_mean + model.rating_unit * (model.movie_offsets + scores / len(model.noise_precisions))


@pytest.mark.parametrize("half_life", [0.0, 1.5])
def test_a_person_is_solved_in_every_sample(half_life: float) -> None:
    """Scores are the mean over the samples of the expected scores, given history and precision."""
    model = fitted(drawn_matrix(), history_half_life=half_life)
    movies, stars = [0, 3, 8, 11], [5.0, 1.0, 3.5, 4.0]
    expected = plain_scores(model, movies, stars, half_life)
    np.testing.assert_allclose(
        model.scores(history_of(dict(zip(movies, stars, strict=True)))), expected, rtol=1e-4, atol=1e-4
    )


def test_many_are_scored_as_one_after_the_other() -> None:
    """Scores of a batch equal those of each history, empty ones included."""
    model = fitted(drawn_matrix())
    histories = [history_of({0: 5.0, 3: 1.0}), history_of({}), history_of({7: 2.5})]
    one_by_one = np.array([model.scores(history) for history in histories])
    np.testing.assert_allclose(model.scores_of_many(histories), one_by_one, rtol=1e-5)
    assert model.scores_of_many([]).shape == (0, len(model.movie_offsets))


def test_the_number_of_threads_changes_nothing() -> None:
    """One thread and two give equal arrays, byte for byte."""
    arrays = []
    for n_threads in (1, 2):
        with threads(n_threads):
            arrays.append(fitted(drawn_matrix(n_users=200)).arrays())
    for name, array in arrays[0].items():
        assert array.tobytes() == arrays[1][name].tobytes(), name


def test_a_wider_scale_gives_the_same_list() -> None:
    """The same ratings in points instead of stars give the same list."""
    matrix = drawn_matrix()
    points = RatingMatrix.from_log(
        RatingLog.from_columns(
            matrix.user_indices.astype(np.int64),
            matrix.movie_indices.astype(np.int64),
            matrix.ratings * np.float32(32),
            matrix.rated_at,
            RatingScale(16, 160),
        )
    )
    in_stars = fitted(matrix).scores(history_of({0: 5.0, 3: 1.0}))
    in_points = fitted(points).scores(history_of({0: 160.0, 3: 32.0}))
    np.testing.assert_allclose(in_points / 32, in_stars, rtol=1e-3)


def test_more_samples_than_sweeps_keep_every_sweep_after_the_burn_in() -> None:
    """Of twelve sweeps four are the burn-in and eight are kept, the last among them."""
    assert len(fitted(drawn_matrix(), n_samples=100).noise_precisions) == 8


def test_people_and_movies_that_are_rated_alike_are_distinguished_from_chance() -> None:
    """Where two groups like opposite films, one rating tells the group of a user."""
    users, movies = (part.ravel() for part in np.mgrid[0:60, 0:20])
    ratings = np.where(users % 2 == movies % 2, 5.0, 1.0).astype(np.float32)
    is_kept = np.random.default_rng(0).random(len(users)) < 0.5
    log = RatingLog.from_columns(
        users[is_kept], movies[is_kept], ratings[is_kept], np.zeros(is_kept.sum(), np.int64), RatingScale(0.5, 5)
    )
    stars = fitted(RatingMatrix.from_log(log), n_epochs=30).predict_stars(
        history_of({0: 5.0, 1: 1.0}), np.array([2, 3], np.int32)
    )
    assert stars[0] > 4
    assert stars[1] < 2


def test_held_out_ratings_are_predicted_better_than_by_descent(ml_small: Path) -> None:
    """On a random fifth of real ratings the untuned RMSE lies far below that of SVD."""
    split = split_at_random(log_of_folder(ml_small), 0.2, np.random.default_rng(0))
    ratings = RatingMatrix.from_log(split.fit)
    rmse = {
        name: evaluate(catalogue.fit(Recipe(name), ratings, np.random.default_rng(0), ignore), split.window, 10).rmse
        for name in ("svd", "bayesian_mf")
    }
    assert rmse["bayesian_mf"] < rmse["svd"] - 0.03

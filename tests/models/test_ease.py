"""EASE: the weights of its closed form, from likes alone."""

import numpy as np
import pytest
from small_ratings import dense_of, drawn_matrix, history_of, ignore

from cineclub.domain import threads
from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.models import movie_weights
from cineclub.models.ease import Ease, EaseHyperparameters
from cineclub.models.kernels import closed_form
from cineclub.models.movie_weights import DenseWeights, SparseWeights

MILLION = 1_000_000


def fitted(matrix: RatingMatrix, regularization: float, history_half_life: float = 0.0) -> Ease:
    """Return the model of a matrix."""
    return Ease.fit(matrix, EaseHyperparameters(regularization, history_half_life), np.random.default_rng(0), ignore)


def plain_weights(matrix: RatingMatrix, regularization: float) -> np.ndarray:
    """Return the weights by EASE's formula."""
    likes = dense_of(matrix, matrix.ratings >= 4)
    inverse = np.linalg.inv(likes.T @ likes + regularization * np.eye(matrix.n_movies))
    expected = -inverse / inverse.diagonal()
    np.fill_diagonal(expected, 0)
    return expected


@pytest.mark.parametrize("block", [1, 4, 1000])
def test_weights_are_those_of_the_plain_formula(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The in-place solution equals inverting the whole matrix, for any block size."""
    monkeypatch.setattr(closed_form, "BLOCK_MOVIES", block)
    matrix = drawn_matrix()
    weights = fitted(matrix, 7.0).weights
    assert isinstance(weights, DenseWeights)
    np.testing.assert_allclose(weights.weights, plain_weights(matrix, 7.0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("regularization", "precision"), [(7.0, np.float32), (0.001, np.float64)])
def test_badly_conditioned_weights_are_solved_in_double_precision(regularization: float, precision: type) -> None:
    """Badly conditioned weights are solved in double precision, and both ways are accurate."""
    matrix = drawn_matrix(n_users=400, share=0.6)
    likes = dense_of(matrix, matrix.ratings >= 4).sum(axis=0).astype(np.float32)
    assert closed_form.precision_for(likes, np.full(15, regularization, np.float32)) is precision
    weights = fitted(matrix, regularization).weights
    assert isinstance(weights, DenseWeights)
    np.testing.assert_allclose(weights.weights, plain_weights(matrix, regularization), rtol=1e-3, atol=1e-5)


def test_movies_without_likes_have_no_weights() -> None:
    """A film without likes has no weights, and the others have those of the plain formula."""
    drawn = drawn_matrix(n_users=400, share=0.6)
    stars = np.where(np.isin(drawn.movie_indices, (0, 6, 14)), np.float32(2), drawn.ratings)
    matrix = RatingMatrix(
        drawn.user_ids, drawn.movie_ids, drawn.row_starts, drawn.movie_indices, stars, drawn.rated_at, drawn.scale
    )
    weights = fitted(matrix, 7.0).weights
    assert isinstance(weights, DenseWeights)
    np.testing.assert_allclose(weights.weights, plain_weights(matrix, 7.0), rtol=1e-4, atol=1e-6)
    assert np.flatnonzero(~weights.has_weights).tolist() == [0, 6, 14]


def test_the_sparse_form_is_the_dense_one_when_it_may_choose_every_movie(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all films as candidates the sparse form equals the closed form."""
    matrix = drawn_matrix(n_users=400, share=0.6)
    monkeypatch.setattr(movie_weights, "MOST_DENSE_MOVIES", 0)
    model = fitted(matrix, 7.0)
    assert isinstance(model.weights, SparseWeights)
    expected = plain_weights(matrix, 7.0)
    for movie in range(matrix.n_movies):
        np.testing.assert_allclose(model.scores(history_of({movie: 5.0})), expected[movie], rtol=1e-3, atol=1e-4)


def test_the_sparse_form_takes_the_most_informative_movies(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two candidates for each film the weights are those of a ridge regression on them."""
    matrix = drawn_matrix()
    monkeypatch.setattr(movie_weights, "MOST_DENSE_MOVIES", 0)
    monkeypatch.setattr(movie_weights, "N_CHOSEN_MOVIES", 2)
    model = fitted(matrix, 7.0)
    likes = dense_of(matrix, matrix.ratings >= 4)
    gram = likes.T @ likes
    for movie in range(matrix.n_movies):
        strength = gram[:, movie] / np.sqrt(gram.diagonal() + 7)
        strength[movie] = 0
        chosen = np.sort(np.argsort(-strength, kind="stable")[:2])
        expected = np.zeros(matrix.n_movies)
        expected[chosen] = np.linalg.solve(gram[np.ix_(chosen, chosen)] + 7 * np.eye(2), gram[chosen, movie])
        weights = model.weights.weights_to_items(
            np.arange(matrix.n_movies, dtype=np.int32), np.array([movie], np.int32)
        )
        np.testing.assert_allclose(weights[0], expected, rtol=1e-3, atol=1e-4)


def test_any_number_of_threads_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread and two give the same sparse weights."""
    monkeypatch.setattr(movie_weights, "MOST_DENSE_MOVIES", 0)
    matrix = drawn_matrix(n_users=200, n_movies=60)
    with threads.threads(1):
        alone = fitted(matrix, 7.0).arrays()
    with threads.threads(2):
        shared = fitted(matrix, 7.0).arrays()
    assert all(alone[name].tobytes() == shared[name].tobytes() for name in alone)


def test_only_liked_movies_move_the_scores() -> None:
    """A user with dislikes only is new to EASE, and a dislike changes no score."""
    model = fitted(drawn_matrix(), 7.0)
    assert not model.uses(history_of({0: 1.0, 3: 3.5})).any()
    with_dislike, without = history_of({2: 5.0, 0: 1.0}), history_of({2: 5.0})
    assert model.uses(with_dislike).tolist() == [True, False]
    assert np.array_equal(model.scores(with_dislike), model.scores(without))
    assert not np.array_equal(model.scores(without), model.scores(history_of({})))


def test_older_likes_count_less_by_the_half_life() -> None:
    """With a half-life of one the previous like counts half, whatever was disliked in between."""
    matrix = drawn_matrix()
    weights = plain_weights(matrix, 7.0)
    scores = fitted(matrix, 7.0, history_half_life=1.0).scores(history_of({2: 5.0, 0: 1.0, 9: 4.0}))
    np.testing.assert_allclose(scores, weights[9] + weights[2] / 2, rtol=1e-4, atol=1e-6)


def test_a_movie_that_nobody_liked_with_another_is_not_used() -> None:
    """A like without weights leaves the user new, so that they get popular films."""
    log = RatingLog.from_columns(
        np.array([1, 1, 2]),
        np.array([1, 2, 3]),
        np.array([5, 5, 5], np.float32),
        np.array([0, 0, 0]),
        RatingScale(0.5, 5),
    )
    model = fitted(RatingMatrix.from_log(log), 1.0)
    assert model.uses(history_of({0: 5.0, 1: 5.0, 2: 5.0})).tolist() == [True, True, False]


def test_sixty_thousand_movies_fit_into_eight_gigabytes() -> None:
    """The sparse form of 60,000 films needs no table of all pairs and at most eight gigabytes."""
    large = Extent(n_users=162_000, n_movies=59_000, n_ratings=25 * MILLION)
    assert Ease.needed_bytes(EaseHyperparameters(), large) < 8_000 * MILLION

"""EASE gives the weights of its closed form, and listens to likes alone."""

import numpy as np
import pytest
from small_ratings import dense_of, drawn_matrix, history_of, ignore

from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import RatingLog, RatingScale
from cineclub.models.ease import Ease, EaseHyperparameters
from cineclub.models.kernels import ease


def fitted(matrix: RatingMatrix, regularization: float) -> Ease:
    """The model of a matrix."""
    return Ease.fit(matrix, EaseHyperparameters(regularization), np.random.default_rng(0), ignore)


@pytest.mark.parametrize("block", [1, 4, 1000])
def test_weights_are_those_of_the_plain_formula(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The in-place triangular solve equals inverting the whole matrix, for any block size."""
    monkeypatch.setattr(ease, "BLOCK_MOVIES", block)
    matrix = drawn_matrix()
    likes = dense_of(matrix, matrix.ratings >= 4)
    inverse = np.linalg.inv(likes.T @ likes + 7.0 * np.eye(matrix.n_movies))
    expected = -inverse / inverse.diagonal()
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(fitted(matrix, 7.0).weights, expected, rtol=1e-4, atol=1e-6)


def test_only_liked_films_move_the_scores() -> None:
    """A person who dislikes everything is new to EASE, and a dislike changes no score."""
    model = fitted(drawn_matrix(), 7.0)
    assert not model.uses(history_of({0: 1.0, 3: 3.5})).any()
    with_dislike, without = history_of({2: 5.0, 0: 1.0}), history_of({2: 5.0})
    assert model.uses(with_dislike).tolist() == [True, False]
    assert np.array_equal(model.scores(with_dislike), model.scores(without))
    assert not np.array_equal(model.scores(without), model.scores(history_of({})))


def test_a_film_that_nobody_liked_with_another_is_not_used() -> None:
    """A like that moves no score leaves a person new, so that they get popular films and not a list of zeros."""
    log = RatingLog.from_columns(
        np.array([1, 1, 2]),
        np.array([1, 2, 3]),
        np.array([5, 5, 5], np.float32),
        np.array([0, 0, 0]),
        RatingScale(0.5, 5),
    )
    model = fitted(RatingMatrix.from_log(log), 1.0)
    assert model.uses(history_of({0: 5.0, 1: 5.0, 2: 5.0})).tolist() == [True, True, False]

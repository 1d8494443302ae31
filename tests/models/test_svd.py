"""SVD descends to the ratings it is shown, and solves a person from their history."""

import numpy as np
import pytest
from small_ratings import drawn_matrix, history_of, ignore

from cineclub.domain.errors import InvalidInput
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import RatingLog, RatingScale
from cineclub.models.svd import Svd, SvdHyperparameters


def fitted(matrix: RatingMatrix, **hyperparameters: float) -> Svd:
    """The model of a matrix."""
    return Svd.fit(matrix, SvdHyperparameters(**hyperparameters), np.random.default_rng(0), ignore)


def stretched(matrix: RatingMatrix, factor: float) -> RatingMatrix:
    """The same ratings on a scale that is ``factor`` times as wide."""
    log = RatingLog.from_columns(
        matrix.user_indices.astype(np.int64),
        matrix.movie_indices.astype(np.int64),
        matrix.ratings * np.float32(factor),
        matrix.rated_at,
        RatingScale(matrix.scale.lowest * factor, matrix.scale.highest * factor),
    )
    return RatingMatrix.from_log(log)


def test_a_person_is_the_solution_of_the_ridge_problem() -> None:
    """The offset and vector minimise the squared errors over the history plus the penalty."""
    model = fitted(drawn_matrix(), n_factors=4, fold_in_regularization=2.0)
    history = history_of({0: 5.0, 3: 1.0, 8: 3.5})
    rated = model.movie_vectors[history.movie_indices].astype(np.float64)
    wanted = (history.ratings - model.global_mean) / model.rating_unit - model.movie_offsets[history.movie_indices]
    stacked = np.vstack((rated, np.sqrt(2.0) * np.eye(5)))
    person = np.linalg.lstsq(stacked, np.concatenate((wanted, np.zeros(5))), rcond=None)[0]
    expected = model.global_mean + model.rating_unit * (model.movie_offsets + model.movie_vectors @ person)
    np.testing.assert_allclose(model.scores(history), expected, rtol=1e-4)


def test_the_descent_reproduces_what_it_is_shown() -> None:
    """With enough epochs and no penalty, the films' side explains a person who was there."""
    matrix = drawn_matrix()
    model = fitted(
        matrix, n_factors=20, n_epochs=400, learning_rate=0.02, regularization=0.0, fold_in_regularization=0.01
    )
    rows = slice(matrix.row_starts[0], matrix.row_starts[1])
    films = matrix.movie_indices[rows]
    history = history_of(dict(zip(films.tolist(), matrix.ratings[rows].tolist(), strict=True)))
    np.testing.assert_allclose(model.predict_stars(history, films), matrix.ratings[rows], atol=0.1)


def test_a_wider_scale_gives_the_same_list() -> None:
    """The same tastes told in points instead of stars are learned the same way, at the same learning rate."""
    matrix = drawn_matrix()
    in_stars = fitted(matrix).scores(history_of({0: 5.0, 3: 1.0}))
    in_points = fitted(stretched(matrix, 20)).scores(history_of({0: 100.0, 3: 20.0}))
    np.testing.assert_allclose(in_points / 20, in_stars, rtol=1e-3)


def test_a_descent_that_runs_away_is_refused() -> None:
    """Nothing infinite is ever registered: the message says which hyperparameter to lower."""
    with pytest.raises(InvalidInput, match="learning_rate"):
        fitted(drawn_matrix(share=1.0), n_epochs=200, learning_rate=1.0)

"""KNN finds the neighbours that comparing all films with all finds."""

import numpy as np
import pytest
from small_ratings import dense_of, drawn_matrix, history_of, ignore

from cineclub.domain.matrix import RatingMatrix
from cineclub.models.kernels import knn as kernel
from cineclub.models.knn import Knn, KnnHyperparameters


def fitted(matrix: RatingMatrix, n_neighbours: int, shrinkage: float = 3.0) -> Knn:
    """The model of a matrix."""
    return Knn.fit(matrix, KnnHyperparameters(n_neighbours, shrinkage), np.random.default_rng(0), ignore)


def similarity_table(matrix: RatingMatrix, n_neighbours: int, shrinkage: float = 3.0) -> np.ndarray:
    """By brute force: row the neighbour, column the film it is near to, zero where it is not among the nearest."""
    likes = dense_of(matrix, matrix.ratings >= 4)
    together = likes.T @ likes
    norms = np.sqrt(together.diagonal())
    cosines = together / np.maximum(np.outer(norms, norms), 1e-9) * together / (together + shrinkage)
    np.fill_diagonal(cosines, 0)
    for film in range(matrix.n_movies):
        order = np.lexsort((np.arange(matrix.n_movies), -np.round(cosines[:, film], 6)))
        cosines[order[n_neighbours:], film] = 0
    return cosines


def table_of(model: Knn) -> np.ndarray:
    """The model's similarities as such a table."""
    n_movies = len(model.tie_break)
    table = np.zeros((n_movies, n_movies))
    rows = np.repeat(np.arange(n_movies), np.diff(model.neighbour_starts))
    table[rows, model.neighbour_targets] = model.similarities
    return table


@pytest.mark.parametrize("n_neighbours", [1, 4, 10_000])
@pytest.mark.parametrize("block", [1, 4, 256])
def test_neighbours_are_those_of_brute_force(n_neighbours: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled blocks keep the same pairs with the same similarities, ties going to the lower index."""
    monkeypatch.setattr(kernel, "BLOCK_MOVIES", block)
    for seed in range(5):
        matrix = drawn_matrix(seed)
        expected = similarity_table(matrix, n_neighbours)
        np.testing.assert_allclose(table_of(fitted(matrix, n_neighbours)), expected, atol=1e-5)


def test_scores_and_stars_follow_their_formulas() -> None:
    """A score sums similarities to likes; stars move from the baseline by the neighbours' weighted residuals."""
    matrix = drawn_matrix()
    model, table = fitted(matrix, 5), similarity_table(matrix, 5)
    history = history_of({1: 5.0, 4: 1.0, 7: 4.0})
    np.testing.assert_allclose(model.scores(history), table[[1, 7]].sum(axis=0) + model.tie_break, atol=1e-5)
    films = np.array([0, 2, 9], np.int32)
    weights = table[[1, 4, 7]][:, films]
    pulls = (weights * model.baseline.residuals(history)[:, None]).sum(axis=0) / (weights.sum(axis=0) + 0.5)
    expected = np.clip(model.baseline.expected(history, films) + pulls, 0.5, 5)
    np.testing.assert_allclose(model.predict_stars(history, films), expected, atol=1e-5)


def test_a_film_that_is_nobodys_neighbour_is_not_used() -> None:
    """Somebody who likes only such a film is new, so that they get popular films and not a list of ties."""
    model = fitted(drawn_matrix(share=0.05), 1)
    lonely = np.flatnonzero(np.diff(model.neighbour_starts) == 0)
    assert len(lonely)
    assert not model.uses(history_of({int(lonely[0]): 5.0})).any()

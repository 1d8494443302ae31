"""KNN: the neighbours found by brute force."""

import numpy as np
import pytest
from small_ratings import dense_of, drawn_matrix, history_of, ignore

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.threads import threads
from cineclub.models import neighbours
from cineclub.models.baseline import Baseline
from cineclub.models.kernels import nearest_neighbours as kernel
from cineclub.models.knn import AMPLIFICATION, MOVIE_DAMPING, STARS_DAMPING, USER_DAMPING, Knn, KnnHyperparameters

SHRINKAGE, STAR_SHRINKAGE = 3.0, 2.0


def fitted(matrix: RatingMatrix, n_neighbours: int, similarity: str = "cosine", half_life: float = 0.0) -> Knn:
    """Return the model of a matrix, with as many neighbours for lists as for stars."""
    hyperparameters = KnnHyperparameters(
        similarity, n_neighbours, SHRINKAGE, n_neighbours, STAR_SHRINKAGE, history_half_life=half_life
    )
    return Knn.fit(matrix, hyperparameters, np.random.default_rng(0), ignore)


def similarity_table(matrix: RatingMatrix, values: np.ndarray, n_neighbours: int, shrinkage: float) -> np.ndarray:
    """Return similarities by brute force: row the neighbour, column the film, zero outside the nearest.

    NaN values are left out.
    """
    vectors, is_there = dense_of(matrix, np.nan_to_num(values)), dense_of(matrix, ~np.isnan(values))
    products, n_both = vectors.T @ vectors, is_there.T @ is_there
    norms = np.sqrt(products.diagonal())
    table = products / np.maximum(np.outer(norms, norms), 1e-9) * n_both / (n_both + shrinkage)
    np.fill_diagonal(table, 0)
    table = np.maximum(table, 0)
    for movie in range(matrix.n_movies):
        order = np.lexsort((np.arange(matrix.n_movies), -np.round(table[:, movie], 6)))
        table[order[n_neighbours:], movie] = 0
    return table


def likes_of(matrix: RatingMatrix) -> np.ndarray:
    """Return one for each like, NaN for every other rating."""
    return np.where(matrix.ratings >= 4, 1.0, np.nan)


def residuals_of(matrix: RatingMatrix) -> np.ndarray:
    """Return each rating less its baseline."""
    return Baseline.fit(matrix, MOVIE_DAMPING, USER_DAMPING).all_residuals(matrix).astype(np.float64)


def table_of_lists(model: Knn) -> np.ndarray:
    """Return the similarities of a model's lists as such a table."""
    table = np.zeros((model.of_lists.n_movies, model.of_lists.n_movies))
    rows = np.repeat(np.arange(len(table)), np.diff(model.of_lists.starts))
    table[rows, model.of_lists.targets] = model.of_lists.similarities
    return table


def table_of_stars(model: Knn) -> np.ndarray:
    """Return the similarities of a model's stars, not amplified, as such a table."""
    table = np.zeros((model.of_stars.n_movies, model.of_stars.n_movies))
    columns = np.arange(len(table))[:, None]
    table[model.of_stars.nearest, columns] = model.of_stars.similarities ** (1 / AMPLIFICATION)
    return table


def arrays_of(model: Knn) -> dict[str, bytes]:
    """Return a model's arrays as comparable values."""
    return {name: array.tobytes() for name, array in model.arrays().items()}


@pytest.mark.parametrize("n_neighbours", [1, 4, 10_000])
@pytest.mark.parametrize("pairs_per_round", [1, 100, 10**9])
def test_neighbours_are_those_of_brute_force(
    n_neighbours: int, pairs_per_round: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pairs and similarities are those of brute force for any blocks, ties broken by the lower index."""
    monkeypatch.setattr(kernel, "PAIRS_PER_ROUND", pairs_per_round)
    for seed in range(5):
        matrix = drawn_matrix(seed)
        of_likes = similarity_table(matrix, likes_of(matrix), n_neighbours, SHRINKAGE)
        model = fitted(matrix, n_neighbours)
        np.testing.assert_allclose(table_of_lists(model), of_likes, atol=1e-5)
        of_residuals = similarity_table(matrix, residuals_of(matrix), n_neighbours, STAR_SHRINKAGE)
        np.testing.assert_allclose(table_of_stars(model), of_residuals, atol=1e-5)


def test_lists_follow_the_chosen_similarity() -> None:
    """With pearson, lists use the correlation of residuals with the shrinkage of lists."""
    matrix = drawn_matrix()
    expected = similarity_table(matrix, residuals_of(matrix), 4, SHRINKAGE)
    np.testing.assert_allclose(table_of_lists(fitted(matrix, 4, "pearson")), expected, atol=1e-5)


def test_more_movies_than_bins_keep_the_nearest() -> None:
    """Of hundreds of close similarities the highest are kept."""
    matrix = drawn_matrix(n_users=60, n_movies=700)
    expected = similarity_table(matrix, residuals_of(matrix), 30, STAR_SHRINKAGE)
    table = table_of_stars(fitted(matrix, 30))
    np.testing.assert_allclose(np.sort(table, axis=0), np.sort(expected, axis=0), atol=1e-5)


@pytest.mark.parametrize("similarity", ["cosine", "pearson"])
def test_any_number_of_threads_gives_the_same_bytes(similarity: str) -> None:
    """The result does not depend on the number of threads."""
    matrix = drawn_matrix(n_users=80, n_movies=120)
    with threads(1):
        alone = arrays_of(fitted(matrix, 10, similarity))
    with threads(2):
        assert arrays_of(fitted(matrix, 10, similarity)) == alone


def test_scores_and_stars_follow_their_formulas() -> None:
    """A score sums similarities to likes; stars are the baseline plus the neighbours' weighted residuals."""
    matrix = drawn_matrix()
    model = fitted(matrix, 5, half_life=2.0)
    recency = 0.5 ** (np.array([2, 1, 0]) / 2)
    history = history_of({1: 5.0, 4: 1.0, 7: 4.0})
    votes = (table_of_lists(model)[[1, 7]] * recency[[0, 2], None]).sum(axis=0)
    np.testing.assert_allclose(model.scores(history), votes + model.tie_break, atol=1e-5)
    movies = np.array([0, 2, 9], np.int32)
    weights = table_of_stars(model)[[1, 4, 7]][:, movies] ** AMPLIFICATION * recency[:, None]
    pulls = (weights * model.baseline.residuals(history)[:, None]).sum(axis=0) / (weights.sum(axis=0) + STARS_DAMPING)
    expected = np.clip(model.baseline.expected(history, movies) + pulls, 0.5, 5)
    np.testing.assert_allclose(model.predict_stars(history, movies), expected, atol=1e-5)


def test_a_movie_that_is_nobodys_neighbour_is_not_used() -> None:
    """A user who likes only a film without neighbours is new, so that they get popular films."""
    model = fitted(drawn_matrix(share=0.05), 1)
    lonely = np.flatnonzero(np.diff(model.of_lists.starts) == 0)
    assert len(lonely)
    assert not model.uses(history_of({int(lonely[0]): 5.0})).any()


def test_a_movie_near_to_very_many_keeps_the_most_similar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A film keeps only its most similar neighbours, which bounds the time of a response."""
    matrix = drawn_matrix()
    everywhere = table_of_lists(fitted(matrix, 10_000))
    monkeypatch.setattr(neighbours, "MOST_TARGETS", 3)
    table = table_of_lists(fitted(matrix, 10_000))
    assert ((table > 0).sum(axis=1) <= 3).all()
    np.testing.assert_allclose(np.sort(table, axis=1)[:, -3:], np.sort(everywhere, axis=1)[:, -3:])


def test_residuals_of_a_matrix_are_those_of_its_histories() -> None:
    """The residuals of the fit equal those of single histories."""
    matrix = drawn_matrix()
    baseline = Baseline.fit(matrix, MOVIE_DAMPING, USER_DAMPING)
    own = slice(matrix.row_starts[3], matrix.row_starts[4])
    history = history_of(dict(zip(matrix.movie_indices[own].tolist(), matrix.ratings[own].tolist(), strict=True)))
    np.testing.assert_allclose(baseline.all_residuals(matrix)[own], baseline.residuals(history), atol=1e-5)

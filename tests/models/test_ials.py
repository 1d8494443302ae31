"""iALS: exact solutions of its objective, on both sides and for folded-in users."""

import numpy as np
import pytest
from small_ratings import dense_of, drawn_matrix, history_of, ignore

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History
from cineclub.domain.threads import threads
from cineclub.models.ials import Ials, IalsHyperparameters
from cineclub.models.kernels.ials import Observed, Penalty, solve_side

PENALTY = Penalty(unobserved_weight=0.2, regularization=0.05, exponent=0.75, typical_frequency=4.0)
MANY_STEPS = 60


def fitted(matrix: RatingMatrix, **hyperparameters: float) -> Ials:
    """Return the model of a matrix."""
    return Ials.fit(matrix, IalsHyperparameters(**hyperparameters), np.random.default_rng(0), ignore)


def solved(weights: np.ndarray, others: np.ndarray, penalty: Penalty) -> np.ndarray:
    """Return the vectors that minimise the objective by its plain formula, row by row of ``weights``."""
    vectors = np.zeros((len(weights), others.shape[1]))
    for row, of_row in enumerate(weights):
        frequency = of_row.sum() + penalty.unobserved_weight * len(others)
        normal = (others.T * (of_row + penalty.unobserved_weight)) @ others
        normal += (
            penalty.regularization
            * (frequency / penalty.typical_frequency) ** penalty.exponent
            * np.eye(others.shape[1])
        )
        vectors[row] = np.linalg.solve(normal, of_row @ others)
    return vectors


def some_weights(matrix: RatingMatrix) -> np.ndarray:
    """Return the weight of each rating: a like 1, another a quarter, the lowest 0."""
    return np.select([matrix.ratings >= 4, matrix.ratings > 1], [1, 0.25], 0).astype(np.float32)


@pytest.mark.parametrize("side", ["people", "films"])
def test_a_half_sweep_ends_at_the_exact_solution(side: str) -> None:
    """With enough conjugate gradient steps both sides equal the exact solution, up to a rotation."""
    matrix, rng = drawn_matrix(), np.random.default_rng(1)
    weights = some_weights(matrix)
    table = dense_of(matrix, weights)
    observed = Observed.by_user(matrix, weights)
    if side == "films":
        table, observed = table.T, Observed.by_movie(matrix, weights)
    start, others = (rng.standard_normal((n, 6)).astype(np.float32) for n in table.shape)
    vectors, turned = solve_side(observed, start, others, PENALTY, MANY_STEPS)
    np.testing.assert_allclose(turned @ turned.T, others @ others.T, atol=1e-4)
    expected = solved(table, others.astype(np.float64), PENALTY) @ others.T
    np.testing.assert_allclose(vectors @ turned.T, expected, atol=1e-4)


def objective(table: np.ndarray, users: np.ndarray, movies: np.ndarray) -> float:
    """Return the objective: errors on ratings, products elsewhere, and the norms of vectors."""
    products = users @ movies.T
    of_users = 0.05 * ((table.sum(axis=1) + PENALTY.unobserved_weight * len(movies)) / 4) ** 0.75
    of_movies = 0.05 * ((table.sum(axis=0) + PENALTY.unobserved_weight * len(users)) / 4) ** 0.75
    errors = (table * (1 - products) ** 2).sum() + PENALTY.unobserved_weight * (products**2).sum()
    return float(errors + (of_users * (users**2).sum(axis=1)).sum() + (of_movies * (movies**2).sum(axis=1)).sum())


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_every_half_sweep_lowers_the_objective(n_steps: int) -> None:
    """Every half-sweep lowers the objective, however few steps it takes."""
    matrix, rng = drawn_matrix(), np.random.default_rng(1)
    weights = some_weights(matrix)
    table = dense_of(matrix, weights)
    by_user, by_movie = Observed.by_user(matrix, weights), Observed.by_movie(matrix, weights)
    users, movies = (rng.standard_normal((n, 6)).astype(np.float32) for n in table.shape)
    reached = [objective(table, users, movies)]
    for _sweep in range(4):
        users, movies = solve_side(by_user, users, movies, PENALTY, n_steps)
        reached.append(objective(table, users, movies))
        movies, users = solve_side(by_movie, movies, users, PENALTY, n_steps)
        reached.append(objective(table, users, movies))
    assert reached == sorted(reached, reverse=True)


@pytest.mark.parametrize("half_life", [0.0, 2.0])
def test_a_person_is_folded_in_by_the_same_formula(half_life: float) -> None:
    """A history is folded in as a row of weights, recent ratings more with a half-life."""
    matrix = drawn_matrix()
    model = fitted(
        matrix,
        n_factors=5,
        unobserved_weight=0.2,
        regularization=0.05,
        dislike_weight=0.25,
        history_half_life=half_life,
    )
    history = history_of({0: 5.0, 3: 1.0, 8: 4.5, 6: 3.0})
    row = np.zeros((1, matrix.n_movies))
    row[0, history.movie_indices] = np.array([1, 0.25, 1, 0.25]) * history.recency_weights(half_life)
    movies = model.movie_vectors.astype(np.float64)
    expected = solved(row, movies, Penalty(0.2, 0.05, 1.0, 0.2 * (40 * 15) ** 0.5))[0] @ movies.T
    np.testing.assert_allclose(model.scores(history), expected, atol=1e-5)


def test_ratings_that_do_not_count_do_not_age_the_others() -> None:
    """Only liked films age the earlier ones."""
    model = fitted(drawn_matrix(), n_factors=5, history_half_life=1.0)
    with_dislikes, likes = history_of({0: 5.0, 3: 4.5, 8: 1.0, 6: 2.0}), history_of({0: 5.0, 3: 4.5})
    assert model.uses(with_dislikes).tolist() == [True, True, False, False]
    assert model.scores(with_dislikes).tobytes() == model.scores(likes).tobytes()


def test_a_movie_that_nobody_liked_has_no_vector_and_is_not_used() -> None:
    """A film that nobody likes has score zero for every user, and liking it leaves a user new."""
    matrix = drawn_matrix()
    ratings = np.where(matrix.movie_indices == 2, np.float32(2), matrix.ratings)
    model = fitted(RatingMatrix(**{**vars(matrix), "ratings": ratings}))
    assert not model.movie_vectors[2].any()
    assert not model.uses(history_of({2: 5.0})).any()
    assert model.scores(history_of({0: 5.0}))[2] == 0


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    """The work is divided by the data, so one thread and two learn the same vectors."""
    matrix, learned = drawn_matrix(n_users=300, n_movies=80), []
    for n_threads in (1, 2):
        with threads(n_threads):
            learned.append(fitted(matrix, n_factors=8).movie_vectors.tobytes())
    assert learned[0] == learned[1]


def test_a_batch_of_none_gives_none() -> None:
    """An empty batch gives no row of scores."""
    assert fitted(drawn_matrix()).scores_of_many(list[History]()).shape == (0, 15)

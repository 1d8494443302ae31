"""SLIST: the weights of its closed form over the order of ratings."""

import numpy as np
import pytest
from small_ratings import drawn_matrix, history_of, ignore

from cineclub.domain import threads
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.models import movie_weights
from cineclub.models.ease import Ease, EaseHyperparameters
from cineclub.models.movie_weights import DenseWeights, SparseWeights
from cineclub.models.slist import Slist, SlistHyperparameters

CHOSEN = SlistHyperparameters(
    regularization=7.0,
    degree_exponent=0.5,
    consistency=0.3,
    transition_half_life=2.0,
    dislike_weight=0.4,
    history_half_life=1.0,
)


def fitted(matrix: RatingMatrix, hyperparameters: SlistHyperparameters = CHOSEN) -> Slist:
    """Return the model of a matrix."""
    return Slist.fit(matrix, hyperparameters, np.random.default_rng(0), ignore)


def plain_weights(matrix: RatingMatrix) -> np.ndarray:
    """Return the weights by the formula, pair of ratings by pair of ratings."""
    gram, successors = np.zeros((2, matrix.n_movies, matrix.n_movies))
    for start, stop in zip(matrix.row_starts[:-1], matrix.row_starts[1:], strict=True):
        movies, liked = matrix.movie_indices[start:stop], matrix.ratings[start:stop] >= 4
        amounts = np.where(liked, 1, 0.4)
        for earlier in range(len(movies)):
            for later in range(len(movies)):
                product = amounts[earlier] * amounts[later]
                near = 0.7 * 0.5 ** (abs(later - earlier) / 2)
                gram[movies[earlier], movies[later]] += (0.3 + near) * product
                forward = 0.3 + (near if later > earlier else 0)
                successors[movies[earlier], movies[later]] += forward * product
    penalty = 7 * (gram.diagonal() / gram.diagonal().mean()) ** 0.5
    weights = np.zeros_like(gram)
    for movie in range(matrix.n_movies):
        others = np.delete(np.arange(matrix.n_movies), movie)
        regularized = gram[np.ix_(others, others)] + np.diag(penalty[others])
        weights[others, movie] = np.linalg.solve(regularized, successors[others, movie])
    return weights


def test_weights_are_those_of_the_plain_formula() -> None:
    """Counting pairs by distance and solving for all films at once equals a regression per film."""
    matrix = drawn_matrix()
    weights = fitted(matrix).weights
    assert isinstance(weights, DenseWeights)
    np.testing.assert_allclose(weights.weights, plain_weights(matrix), rtol=2e-3, atol=1e-4)


def test_the_sparse_form_is_the_dense_one_when_it_may_choose_every_movie(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all films as candidates the sparse form equals the closed form."""
    matrix = drawn_matrix(n_users=200, share=0.6)
    monkeypatch.setattr(movie_weights, "MOST_DENSE_MOVIES", 0)
    weights = fitted(matrix).weights
    assert isinstance(weights, SparseWeights)
    everything = np.arange(matrix.n_movies, dtype=np.int32)
    table = weights.weights_to_items(everything, everything).T
    np.testing.assert_allclose(table, plain_weights(matrix), rtol=5e-3, atol=5e-4)


@pytest.mark.parametrize("most_dense", [0, 1000])
def test_any_number_of_threads_gives_the_same_bytes(most_dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread and two give the same weights."""
    monkeypatch.setattr(movie_weights, "MOST_DENSE_MOVIES", most_dense)
    monkeypatch.setattr(movie_weights, "N_CHOSEN_MOVIES", 10)
    matrix = drawn_matrix(n_users=200, n_movies=60)
    with threads.threads(1):
        alone = fitted(matrix).arrays()
    with threads.threads(2):
        shared = fitted(matrix).arrays()
    assert all(alone[name].tobytes() == shared[name].tobytes() for name in alone)


def test_without_an_order_it_is_ease() -> None:
    """Without order, and with likes only, SLIST equals EASE."""
    matrix = drawn_matrix()
    consistent = SlistHyperparameters(
        regularization=7.0, degree_exponent=0.0, consistency=1.0, dislike_weight=0.0, history_half_life=0.0
    )
    ease = Ease.fit(matrix, EaseHyperparameters(7.0), np.random.default_rng(0), ignore)
    history = history_of({3: 5.0, 8: 2.0, 1: 4.0})
    assert fitted(matrix, consistent).scores(history).tobytes() == ease.scores(history).tobytes()


def test_dislikes_and_older_ratings_count_less() -> None:
    """A rating is weighted by like or dislike, and halved for every newer one."""
    matrix = drawn_matrix()
    weights = plain_weights(matrix)
    scores = fitted(matrix).scores(history_of({2: 5.0, 0: 1.0, 4: 4.0}))
    np.testing.assert_allclose(scores, weights[4] + 0.2 * weights[0] + weights[2] / 4, rtol=2e-3, atol=1e-4)


def test_the_order_of_a_history_matters() -> None:
    """Where every user rates one film right after another, it is predicted from that one and not the reverse."""
    drawn = drawn_matrix()
    movies = np.tile(np.arange(15, dtype=np.int32), 40)
    matrix = RatingMatrix(
        drawn.user_ids,
        drawn.movie_ids,
        np.arange(41, dtype=np.int64) * 15,
        movies,
        np.full(600, 5, np.float32),
        np.arange(600, dtype=np.int64),
        drawn.scale,
    )
    scores = fitted(matrix).scores(history_of({6: 5.0}))
    assert scores.argmax() == 7


@pytest.mark.parametrize("model", [Slist, Ease])
def test_a_table_of_weights_is_stored_row_by_row(model: type[Slist] | type[Ease]) -> None:
    """The weights are stored by row, because a prediction reads a row for each film of the history."""
    hyperparameters = CHOSEN if model is Slist else EaseHyperparameters(7.0)
    weights = model.fit(drawn_matrix(), hyperparameters, np.random.default_rng(0), ignore).weights
    assert isinstance(weights, DenseWeights)
    assert weights.weights.flags.c_contiguous

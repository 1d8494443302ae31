"""SVD: gradient descent on the ratings, and users solved from their history."""

import numpy as np
import pytest
from small_ratings import drawn_matrix, history_of, ignore

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.threads import threads
from cineclub.models.kernels import svd as kernel
from cineclub.models.svd import OFFSET_REGULARIZATION, Svd, SvdHyperparameters, trained_factors


def fitted(matrix: RatingMatrix, **hyperparameters: float) -> Svd:
    """Return the model of a matrix."""
    return Svd.fit(matrix, SvdHyperparameters(**hyperparameters), np.random.default_rng(0), ignore)


def stretched(matrix: RatingMatrix, factor: float) -> RatingMatrix:
    """Return the same ratings on a scale ``factor`` times as wide."""
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
    stacked = np.vstack((rated, np.diag(np.sqrt([OFFSET_REGULARIZATION, 2.0, 2.0, 2.0, 2.0]))))
    person = np.linalg.lstsq(stacked, np.concatenate((wanted, np.zeros(5))), rcond=None)[0]
    expected = model.global_mean + model.rating_unit * (model.movie_offsets + model.movie_vectors @ person)
    np.testing.assert_allclose(model.scores(history), expected, rtol=1e-4)


def test_the_descent_reproduces_what_it_is_shown() -> None:
    """With enough epochs and no penalty, the film vectors explain a training user's ratings."""
    matrix = drawn_matrix()
    model = fitted(
        matrix, n_factors=20, n_epochs=400, learning_rate=0.02, regularization=0.0, fold_in_regularization=0.01
    )
    rows = slice(matrix.row_starts[0], matrix.row_starts[1])
    movies = matrix.movie_indices[rows]
    history = history_of(dict(zip(movies.tolist(), matrix.ratings[rows].tolist(), strict=True)))
    np.testing.assert_allclose(model.predict_stars(history, movies), matrix.ratings[rows], atol=0.1)


def test_a_wider_scale_gives_the_same_list() -> None:
    """The same ratings in points instead of stars give the same list, at the same learning rate."""
    matrix = drawn_matrix()
    in_stars = fitted(matrix).scores(history_of({0: 5.0, 3: 1.0}))
    in_points = fitted(stretched(matrix, 20)).scores(history_of({0: 100.0, 3: 20.0}))
    np.testing.assert_allclose(in_points / 20, in_stars, rtol=1e-3)


def test_a_descent_that_runs_away_is_refused() -> None:
    """A diverging descent is refused, and the message names the hyperparameter to lower."""
    with pytest.raises(InvalidInput, match="learning_rate"):
        fitted(drawn_matrix(share=1.0), n_epochs=200, learning_rate=1.0)


def plainly_descended(matrix: RatingMatrix, hyperparameters: SvdHyperparameters) -> kernel.Factors:
    """Return the factors by the textbook loop over the ratings, in the kernel's order and from its start."""
    rng = np.random.default_rng(0)
    centred = (matrix.ratings - matrix.ratings.mean(dtype=np.float64)) / (
        (matrix.scale.highest - matrix.scale.lowest) / 4
    )
    factors = kernel.Factors.drawn(matrix.n_users, matrix.n_movies, hyperparameters.n_factors, rng)
    of_users, of_movies, p, q = (array.astype(np.float64) for array in factors)
    strata = kernel.Strata.of(matrix, centred.astype(np.float32))
    rate, penalty = hyperparameters.learning_rate, hyperparameters.regularization
    for _ in range(hyperparameters.n_epochs):
        order = rng.permutation(matrix.n_users)
        for shift in range(strata.n_blocks):
            for user in order:
                starts = strata.starts[(strata.user_blocks[user] + shift) % strata.n_blocks]
                for row in range(starts[user], starts[user + 1]):
                    movie = strata.movie_indices[row]
                    error = strata.centred[row] - of_users[user] - of_movies[movie] - p[user] @ q[movie]
                    of_users[user] += rate * (error - penalty * of_users[user])
                    of_movies[movie] += rate * (error - penalty * of_movies[movie])
                    p[user], q[movie] = (
                        p[user] + rate * (error * q[movie] - penalty * p[user]),
                        q[movie] + rate * (error * p[user] - penalty * q[movie]),
                    )
    return kernel.Factors(of_users, of_movies, p, q)


@pytest.mark.parametrize("n_factors", [1, 5, 8, 33])
def test_looking_ahead_descends_as_the_plain_loop_does(n_factors: int) -> None:
    """The compiled steps with products computed in advance equal the plain loop."""
    matrix, hyperparameters = drawn_matrix(), SvdHyperparameters(n_factors, 7, 0.02, 0.1)
    expected = plainly_descended(matrix, hyperparameters)
    factors = trained_factors(matrix, hyperparameters, np.random.default_rng(0), ignore)
    for name in ("user_offsets", "movie_offsets", "user_factors", "movie_factors"):
        np.testing.assert_allclose(getattr(factors, name), getattr(expected, name), atol=2e-5)
    assert not factors.movie_factors[:, n_factors:].any()


@pytest.mark.parametrize("n_blocks", [2, 3, 16])
def test_any_number_of_threads_gives_the_same_bytes(n_blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The strata depend on the ratings alone, and threads never share one."""
    monkeypatch.setattr(kernel, "FEWEST_BLOCKS", n_blocks)
    matrix, hyperparameters = drawn_matrix(n_users=200, n_movies=60), SvdHyperparameters()
    runs = []
    for n_threads in (1, 2):
        with threads(n_threads):
            runs.append(trained_factors(matrix, hyperparameters, np.random.default_rng(0), ignore))
    assert all(array.tobytes() == array_again.tobytes() for array, array_again in zip(*runs, strict=True))


def test_strata_hold_every_rating_once_and_share_no_user_or_movie() -> None:
    """The strata of a round share no user or film, and the rounds cover each rating once."""
    matrix = drawn_matrix()
    strata = kernel.Strata.of(matrix, np.arange(matrix.n_ratings, dtype=np.float32))
    seen = []
    movies_of_block: dict[int, set[int]] = {}
    for block in range(strata.n_blocks):
        for user in range(matrix.n_users):
            rows = slice(strata.starts[block, user], strata.starts[block, user + 1])
            original = strata.centred[rows].astype(np.int64)
            assert (matrix.user_indices[original] == user).all()
            assert (matrix.movie_indices[original] == strata.movie_indices[rows]).all()
            movies_of_block.setdefault(block, set()).update(strata.movie_indices[rows].tolist())
            seen += original.tolist()
    assert sorted(seen) == list(range(matrix.n_ratings))
    assert not set.intersection(*movies_of_block.values())


def test_recent_ratings_count_more_with_a_half_life() -> None:
    """With a half-life the newer of two opposite ratings weighs more; without one the order does not matter."""
    matrix = drawn_matrix()
    earlier, later = history_of({0: 5.0, 3: 1.0}), history_of({3: 1.0, 0: 5.0})
    alike, fading = fitted(matrix), fitted(matrix, history_half_life=1.0)
    np.testing.assert_allclose(alike.scores(earlier), alike.scores(later), rtol=1e-4)
    assert fading.scores(earlier)[0] < fading.scores(later)[0]

"""iALS: factors of likes, by alternating least squares on implicit feedback."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History, Prediction, Progress, nothing_moved
from cineclub.models.hyperparameters import Hyperparameters, half_life, within
from cineclub.models.stored import one_value, stored

N_STEPS = 3
"""Steps of conjugate gradients for each user and movie in a sweep; each sweep continues from the last one."""

USERS_PER_BLOCK, RATINGS_PER_BLOCK = 128, 131_072
"""Users that are solved at once: few enough that their equations stay in the cache."""


@dataclass(frozen=True, slots=True)
class IalsHyperparameters(Hyperparameters):
    """The objective and the sweeps; users are solved in predictions with the same weights and the same penalty.

    Chosen on inner splits of MovieLens ml-latest-small; on MovieTweetings, with its short histories, a smaller
    unobserved_weight and a dislike_weight of 0.1 rank better.
    """

    n_factors: int = within(64, 1, 4096)
    n_epochs: int = within(15, 1, 1000)
    unobserved_weight: float = within(1.0, 0.0001, 100.0)
    regularization: float = within(8.0, 0.01, 100_000.0)
    frequency_exponent: float = within(1.0, 0.0, 2.0)
    dislike_weight: float = within(0.0, 0.0, 1.0)
    history_half_life: float = half_life()


@dataclass(frozen=True, slots=True)
class Ials:
    """Vectors of movies; a user's vector is solved from the history, and the score is the product of both.

    Attributes:
        movie_vectors: (n_movies, n_factors) zeros for a movie without a rating of positive weight.
        unrated: (n_factors,) the sum of the squares of each factor, times the weight of an unobserved pair: the part of
            a user's equations that all users share, which is diagonal because the factors are orthogonal.
        liked_from: (1,) the rating from which a movie counts as liked.
        dislike_weight: (1,) the weight of a lower rating; that of a like is 1.
        unobserved_weight: (1,) the weight of a movie without a rating.
        regularization: (1,) the penalty of a user of the typical frequency.
        typical_frequency: (1,) the frequency at which the penalty is the regularization.
        frequency_exponent: (1,) the growth of the penalty with the frequency, the total weight of a user's movies.
        history_half_life: (1,) the number of newer ratings after which a rating counts half; 0: all count alike.
    """

    name: ClassVar[str] = "ials"
    is_personal: ClassVar[bool] = True

    movie_vectors: NDArray[np.float32]
    unrated: NDArray[np.float32]
    liked_from: NDArray[np.float32]
    dislike_weight: NDArray[np.float32]
    unobserved_weight: NDArray[np.float32]
    regularization: NDArray[np.float32]
    typical_frequency: NDArray[np.float32]
    frequency_exponent: NDArray[np.float32]
    history_half_life: NDArray[np.float32]
    has_vector: NDArray[np.bool_] = field(init=False)
    """(n_movies,) whether a movie has a vector: derived from the vectors, not stored."""

    def __post_init__(self) -> None:
        """Derive the movies that have a vector."""
        object.__setattr__(self, "has_vector", self.movie_vectors.any(axis=1))

    @classmethod
    def fit(
        cls, ratings: RatingMatrix, hyperparameters: IalsHyperparameters, rng: np.random.Generator, progress: Progress
    ) -> Self:
        """Return the movies' side of the factors."""
        from cineclub.models.kernels.ials import Penalty, alternate, on_own_axes

        liked_from = np.float32(ratings.scale.relevance_threshold)
        weights = np.where(ratings.ratings >= liked_from, np.float32(1), np.float32(hyperparameters.dislike_weight))
        typical_frequency = hyperparameters.unobserved_weight * (ratings.n_users * ratings.n_movies) ** 0.5
        drawn = rng.standard_normal((ratings.n_movies, hyperparameters.n_factors), np.float32)
        learned = alternate(
            ratings,
            weights,
            drawn / np.float32(hyperparameters.n_factors**0.5),
            Penalty(
                hyperparameters.unobserved_weight,
                hyperparameters.regularization,
                hyperparameters.frequency_exponent,
                typical_frequency,
            ),
            hyperparameters.n_epochs,
            N_STEPS,
            progress,
        )
        movie_vectors, squares = on_own_axes(learned)
        return cls(
            movie_vectors=movie_vectors,
            unrated=np.float32(hyperparameters.unobserved_weight) * squares,
            liked_from=one_value(float(liked_from)),
            dislike_weight=one_value(hyperparameters.dislike_weight),
            unobserved_weight=one_value(hyperparameters.unobserved_weight),
            regularization=one_value(hyperparameters.regularization),
            typical_frequency=one_value(typical_frequency),
            frequency_exponent=one_value(hyperparameters.frequency_exponent),
            history_half_life=one_value(hyperparameters.history_half_life),
        )

    @classmethod
    def needed_bytes(cls, hyperparameters: IalsHyperparameters, extent: Extent) -> int:
        """Return the approximate memory of a fit in bytes: the ratings both ways, and all vectors twice."""
        n_vectors = extent.n_users + extent.n_movies
        return 48 * extent.n_ratings + 8 * (hyperparameters.n_factors + 4) * n_vectors

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the product of the user's vector and each movie's, shape (n_movies,)."""
        return self.predict(history).scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the scores for each history, shape (n_histories, n_movies)."""
        lengths = np.array([len(history) for history in histories], np.int64)
        users = np.empty((len(histories), self.movie_vectors.shape[1]), np.float32)
        for rows in _blocks_of_similar_length(lengths):
            users[rows] = self._users([histories[row] for row in rows])
        scores: NDArray[np.float32] = users @ self.movie_vectors.T
        return scores

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return the mask, shape (n,), of the ratings that count and are of movies with a vector."""
        has_vector = self.has_vector.take(history.movie_indices)
        return has_vector if self.dislike_weight[0] > 0 else has_vector & (history.ratings >= self.liked_from)

    def predict(self, history: History) -> Prediction:
        """Return the scores and, as reasons, the contribution of each rating (``_users`` has the algebra)."""
        is_used = self.uses(history)
        if not is_used.any():
            return Prediction(np.zeros(len(self.movie_vectors), np.float32), is_used, nothing_moved(history))
        counted = _part_of(history, is_used)
        weights = self._weights(counted)
        roots = np.sqrt(weights)
        rated = self.movie_vectors.take(counted.movie_indices, axis=0) * roots[:, None]
        equations = Equations.of(rated, self._diagonal(weights.sum(keepdims=True)))

        def explain(movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
            added = np.zeros((len(movie_indices), len(history)), np.float32)
            added[:, is_used] = equations.pulls(self.movie_vectors[movie_indices]) * roots
            return added

        return Prediction(self.movie_vectors @ equations.user(roots), is_used, explain)

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the movies' side and the scalars."""
        return {
            "movie_vectors": self.movie_vectors,
            "unrated": self.unrated,
            "liked_from": self.liked_from,
            "dislike_weight": self.dislike_weight,
            "unobserved_weight": self.unobserved_weight,
            "regularization": self.regularization,
            "typical_frequency": self.typical_frequency,
            "frequency_exponent": self.frequency_exponent,
            "history_half_life": self.history_half_life,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        movie_vectors = stored(arrays, "movie_vectors", np.float32, (None, None))
        return cls(
            movie_vectors=movie_vectors,
            unrated=stored(arrays, "unrated", np.float32, (movie_vectors.shape[1],)),
            liked_from=stored(arrays, "liked_from", np.float32, (1,)),
            dislike_weight=stored(arrays, "dislike_weight", np.float32, (1,)),
            unobserved_weight=stored(arrays, "unobserved_weight", np.float32, (1,)),
            regularization=stored(arrays, "regularization", np.float32, (1,)),
            typical_frequency=stored(arrays, "typical_frequency", np.float32, (1,)),
            frequency_exponent=stored(arrays, "frequency_exponent", np.float32, (1,)),
            history_half_life=stored(arrays, "history_half_life", np.float32, (1,)),
        )

    def _weights(self, history: History) -> NDArray[np.float32]:
        """Return the weight of each rating by its value and its age, shape (n,)."""
        by_value: NDArray[np.float32] = np.where(history.ratings >= self.liked_from, np.float32(1), self.dislike_weight)
        half_life = float(self.history_half_life[0])
        return by_value * history.recency_weights(half_life) if half_life else by_value

    def _diagonal(self, frequencies: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the diagonal of equations, shape (..., n_factors), by the weight of a user's ratings, (..., 1)."""
        known = frequencies + self.unobserved_weight * np.float32(len(self.movie_vectors))
        penalty = self.regularization * (known / self.typical_frequency) ** self.frequency_exponent
        return np.asarray(self.unrated + penalty, np.float32)

    def _users(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the vectors, shape (n_users, n_factors), that fit histories best; zeros for an empty one.

        With W the weights, Y the vectors of the rated movies and D the diagonal, a user's vector is the solution of
        (D + Y'WY) x = Y'W 1. If a history has fewer ratings than there are factors, the smaller equations
        (1 + RYY'R / D) c = R 1 with R the roots of W give the same x = Y'R c / D.
        """
        roots, rated, diagonal = self._weighted(histories)
        if rated.shape[1] < rated.shape[2]:
            reach = rated / diagonal[:, None]
            inner = _with_diagonal(np.matmul(reach, rated.transpose(0, 2, 1)), np.ones_like(roots))
            shares = np.linalg.solve(inner, roots[:, :, None])
            users: NDArray[np.float32] = (reach.transpose(0, 2, 1) @ shares)[:, :, 0]
            return users
        normal = _with_diagonal(np.matmul(rated.transpose(0, 2, 1), rated), diagonal)
        solved: NDArray[np.float32] = np.linalg.solve(normal, rated.transpose(0, 2, 1) @ roots[:, :, None])[:, :, 0]
        return solved

    def _weighted(
        self, histories: Sequence[History]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return histories as equations of one size, the shorter ones padded with zeros.

        Returns:
            The roots of the weights of the ratings that count, shape (n_users, n), the vectors of their movies times
            these, shape (n_users, n, n_factors), and the diagonal of the equations, shape (n_users, n_factors).
        """
        counted = [_part_of(history, self.uses(history)) for history in histories]
        shape = (len(counted), max(map(len, counted), default=0))
        movies, weights = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        for row, history in enumerate(counted):
            movies[row, : len(history)] = history.movie_indices
            weights[row, : len(history)] = self._weights(history)
        diagonal = self._diagonal(weights.sum(axis=1, keepdims=True))
        roots = np.sqrt(weights)
        return roots, self.movie_vectors[movies] * roots[:, :, None], diagonal


@dataclass(frozen=True, slots=True)
class Equations:
    """The equations of one user, (D + Z'Z) x = Z'r with r the roots of the weights, set up once.

    There is one equation for each factor, or one for each rating, 1 + Z Z' / D, if those are fewer.

    Attributes:
        rated: (n, n_factors) Z, the vectors of the rated movies times the roots of their weights.
        reach: (n, n_factors) Z / D.
        matrix: (n_factors, n_factors), or (n, n) if that is smaller.
        is_short: whether there is one equation for each rating.
    """

    rated: NDArray[np.float32]
    reach: NDArray[np.float32]
    matrix: NDArray[np.float32]
    is_short: bool

    @classmethod
    def of(cls, rated: NDArray[np.float32], diagonal: NDArray[np.float32]) -> Self:
        """Return the equations of rated movies, at least one, and D, shape (n_factors,)."""
        reach = np.asarray(rated / diagonal, np.float32)
        is_short = len(rated) < len(diagonal)
        matrix = reach @ rated.T if is_short else rated.T @ rated
        matrix.ravel()[:: len(matrix) + 1] += np.float32(1) if is_short else diagonal
        return cls(rated, reach, np.asarray(matrix, np.float32), is_short)

    def user(self, roots: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return x, shape (n_factors,)."""
        if self.is_short:
            return np.asarray(self._solved(roots) @ self.reach, np.float32)
        return self._solved(roots @ self.rated)

    def pulls(self, movie_vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return Z (D + Z'Z)^-1 v for each of the vectors v, shape (m, n_factors), as shape (m, n)."""
        if self.is_short:
            return self._solved(self.reach @ movie_vectors.T).T
        return np.asarray((self.rated @ self._solved(movie_vectors.T)).T, np.float32)

    def _solved(self, right_sides: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the solution for one or several right sides, shape (n,) or (n, m)."""
        return np.asarray(np.linalg.solve(self.matrix, right_sides), np.float32)


def _part_of(history: History, rows: NDArray[np.bool_]) -> History:
    """Return the ratings of a mask, shape (n,)."""
    return History(history.movie_indices[rows], history.ratings[rows], history.rated_at[rows])


def _with_diagonal(matrices: NDArray[np.float32], diagonals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return matrices, shape (n, m, m), with ``diagonals``, shape (n, m), added in place."""
    nth = np.arange(matrices.shape[1])
    matrices[:, nth, nth] += diagonals
    return matrices


def _blocks_of_similar_length(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the positions of histories, shape (n_block,), in blocks of about the same length."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        of_block = lengths[order[start : start + USERS_PER_BLOCK]]
        n_padded = of_block * np.arange(1, len(of_block) + 1)
        n_users = max(int(np.count_nonzero(n_padded <= RATINGS_PER_BLOCK)), 1)
        yield order[start : start + n_users]
        start += n_users
